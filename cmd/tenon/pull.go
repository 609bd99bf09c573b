package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/ref"
)

func pullCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "pull MODEL/VERSION",
		Short: "Fetch a version's very bundle, to push it elsewhere",
		Long: "Fetch the very bundle that was pushed as a version, and check every byte of it.\n" +
			"Pushed to another server it has the same digest. MODEL@ALIAS fetches the version that the alias points to.",
		Args: arguments(1, 1),
	}
	file := c.Flags().StringP("output", "o", "", "the file to write (default MODEL-VERSION.tenon)")
	force := c.Flags().Bool("force", false, "write over a file that is there")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		n, err := versionNamed(c.Context(), server, r)
		if err != nil {
			return err
		}
		if n == 0 {
			return usageError{fmt.Errorf("say which version, as in `tenon pull %s/1`", r.Model)}
		}
		name := *file
		if name == "" {
			name = fmt.Sprintf("%s-%d.tenon", r.Model, n)
		}
		return a.pull(c.Context(), server, ref.Reference{Model: r.Model, Version: n}, name, *force)
	}
	return c
}

// versionNamed is the version that a reference names by its number or by an
// alias; 0 where it names only the model.
func versionNamed(ctx context.Context, server *client.Client, r ref.Reference) (int, error) {
	if r.Alias == "" {
		return r.Version, nil
	}
	model, err := server.Model(ctx, r)
	return model.Aliases[r.Alias], err
}

// pulled is what --json prints.
type pulled struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
	File    string `json:"file"`
	Size    int64  `json:"size"`
}

func (a *app) pull(ctx context.Context, server *client.Client, r ref.Reference, file string, force bool) error {
	done := pulled{Model: r.Model, Version: r.Version, File: file}
	bar := newProgress(a.err, "fetching "+r.String(), 0)
	err := createOutput(file, force, func(f *os.File) (err error) {
		done.Digest, err = fetch(ctx, server, r, f, bar)
		return err
	})
	done.Size = bar.sent
	bar.done()
	if err != nil {
		return err
	}
	return a.print(done, func() {
		fmt.Fprintf(a.out, "%s is in %s (%s, %s)\n", r, file, megabytes(done.Size), shortDigest(done.Digest))
	})
}

// fetch writes a version's bundle to f and reads it again as a server would:
// every file has the digest that the manifest says, and the manifest that
// which the server says.
func fetch(ctx context.Context, server *client.Client, r ref.Reference, f *os.File, bar *progress) (string, error) {
	digest, err := server.Pull(ctx, r.Model, r.Version, io.MultiWriter(f, bar))
	if err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	came, err := bundle.Receive(f, nowhere{}, bundle.Limits{Bytes: math.MaxInt64 / 2})
	if err == nil && came.Digest != digest {
		err = fmt.Errorf("its digest is %s, and the server says %s", came.Digest, digest)
	}
	if err != nil {
		return "", fmt.Errorf("what came is not the bundle of %s, and was thrown away: %w", r, err)
	}
	return digest, nil
}

// nowhere is a sink for bundles that are only checked.
type nowhere struct{}

// Create implements bundle.Sink.
func (nowhere) Create(string) (io.WriteCloser, error) { return discard{io.Discard}, nil }

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// createOutput writes a file that the user named: beside its place first, so
// that nothing half-written ever bears the name. It does not write over a file
// unless it is forced to. No other function of this program creates files.
func createOutput(path string, force bool, write func(*os.File) error) (err error) {
	there := func() error {
		if _, err := os.Lstat(path); err == nil && !force {
			return fmt.Errorf("%s is there already: choose another name with --output, or write over it with --force", path)
		}
		return nil
	}
	if err := there(); err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.part", filepath.Base(path), os.Getpid()))
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(temp)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	if err := there(); err != nil { // since we began
		return err
	}
	return os.Rename(temp, path)
}
