package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/ref"
)

func pushCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "push FILE",
		Short: "Register a bundle, or a bare .onnx file, as a new version",
		Long: "Register a bundle that the Python kit exported (a .tenon file or a folder), or a bare .onnx file, as a new version.\n" +
			"Pushing the same file again answers with the version that it already is.",
		Args: arguments(1, 1),
	}
	var o pushOptions
	c.Flags().StringVar(&o.name, "name", "", "the model's name, for a file without one; it renames no bundle (default: the bundle's, or the .onnx file's)")
	c.Flags().BoolVar(&o.deploy, "deploy", false, "put the new version into traffic at once")
	c.Flags().StringVar(&o.reason, "reason", "", "why, for the deployment's record")
	c.Flags().BoolVar(&o.allowFailure, "allow-parity-failure", false,
		"let the version in although its answers are not the pipeline's; it is marked overridden for ever")
	c.Flags().StringVar(&o.report, "report", "",
		"write the examination's report to this file, of a refused push, too: a page, or JSON where the name ends in .json")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.push(c, args[0], o)
	}
	return c
}

type pushOptions struct {
	name, reason, report string
	deploy, allowFailure bool
}

// pushWait is how long a push waits for the answer before it looks at the
// examination, to show how far that is.
const pushWait = time.Second

// pushed is what --json prints: the version, and the deployment where one was
// asked for.
type pushed struct {
	wire.Published
	Deployment *wire.Deployment `json:"deployment,omitempty"`
}

func (a *app) push(c *cobra.Command, file string, o pushOptions) error {
	server, err := a.client()
	if err != nil {
		return err
	}
	source, err := openSource(file, o.name)
	if err != nil {
		return err
	}
	defer source.Close()
	bar := newProgress(a.err, "uploading "+filepath.Base(file), source.size)
	version, err := server.Push(c.Context(), source.name, client.Body{
		Reader: bar.reader(source), Size: source.size, Bare: source.bare,
		AllowParityFailure: o.allowFailure, Wait: pushWait, Progress: bar.examining,
	})
	bar.done()
	if err != nil {
		return a.tellRefused(err, file, o.report)
	}
	if o.report != "" {
		if err := a.keepReport(c, server, version, o.report); err != nil {
			return fmt.Errorf("%s/%d was registered, but not its report written: %w", version.Model, version.Version, err)
		}
	}
	result := pushed{Published: version}
	if o.deploy {
		deployment, err := server.Deploy(c.Context(), version.Model, wire.Deploy{Traffic: wire.Stable(version.Version), Reason: o.reason})
		if err != nil {
			return fmt.Errorf("%s/%d was registered, but not deployed: %w", version.Model, version.Version, err)
		}
		result.Deployment = &deployment
	}
	return a.print(result, func() { a.tellPushed(result) })
}

// keepReport writes the report of a version that was let in.
func (a *app) keepReport(c *cobra.Command, server *client.Client, v wire.Published, file string) error {
	r, err := serverReport(c.Context(), server, v.Model, v.Version)
	if err != nil {
		return err
	}
	return a.writeReport(r, file)
}

func (a *app) tellPushed(p pushed) {
	what := "is registered"
	if p.Existing {
		what = "was registered before"
	}
	if p.Deployment != nil {
		what += " and takes the traffic"
	}
	fmt.Fprintf(a.out, "%s/%d %s (parity: %s, %s)\n", p.Model, p.Version, what, verdict(p.Parity, p.Loosened), shortDigest(p.Digest))
	if p.Deployment == nil {
		fmt.Fprintf(a.out, "put it live with: tenon deploy %s/%d\n", p.Model, p.Version)
	}
}

// source is a file or folder to push.
type source struct {
	io.ReadCloser
	name string
	size int64 // -1: not known
	bare bool
}

// openSource opens what is to be pushed and finds the model's name.
func openSource(path, name string) (*source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be pushed: %w", path, err)
	}
	s := &source{name: name, size: info.Size(), bare: strings.HasSuffix(path, ".onnx")}
	switch {
	case info.IsDir():
		err = s.openFolder(path)
	case s.bare:
		if s.name == "" {
			s.name = strings.ToLower(strings.TrimSuffix(filepath.Base(path), ".onnx"))
		}
		s.ReadCloser, err = os.Open(path)
	default:
		err = s.openTar(path)
	}
	if err != nil {
		return nil, err
	}
	if err := ref.CheckName(s.name); err != nil {
		_ = s.Close()
		return nil, usageError{fmt.Errorf("%w Choose one with --name", err)}
	}
	return s, nil
}

// openTar looks for the manifest of a tar, unless the name is given already.
func (s *source) openTar(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	s.ReadCloser = f
	if s.name == "" {
		if s.name, err = nameInTar(f); err != nil {
			_ = f.Close()
			return fmt.Errorf("%s is no bundle: %w; export one with the kit, or give a file that ends in .onnx", path, err)
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

func nameInTar(r io.Reader) (string, error) {
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return "", errors.New("it has no manifest.json")
		}
		if err != nil {
			return "", err
		}
		if strings.TrimPrefix(header.Name, "./") != bundle.ManifestFile {
			continue
		}
		var manifest struct{ Name string }
		if err := json.NewDecoder(io.LimitReader(files, bundle.DefaultManifest)).Decode(&manifest); err != nil {
			return "", fmt.Errorf("its manifest.json cannot be read: %w", err)
		}
		return manifest.Name, nil
	}
}

// openFolder sends a bundle's folder as the tar that it is the content of.
func (s *source) openFolder(path string) error {
	files := os.DirFS(path)
	b, err := bundle.Open(files)
	if err != nil {
		return fmt.Errorf("%s is no bundle: %w", path, err)
	}
	if s.name == "" {
		s.name = b.Manifest.Name
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(bundle.WriteTar(w, files)) }()
	s.ReadCloser, s.size = r, -1
	return nil
}
