package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"strings"
)

// Sink is where received files go; the registry's ingest is one. Create is
// called once for each file, under a name that badFileName lets pass, and the
// file is complete when Close returned nil. When Receive fails, whatever was
// created is the caller's to throw away.
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// Limits bound an upload. A field that is zero or negative takes the default.
type Limits struct {
	Bytes    int64 // all files together
	Files    int   // files beside the manifest
	Manifest int64 // bytes of manifest.json
}

// The defaults of Limits. A manifest of 4,096 files takes about 600 KB.
const (
	DefaultBytes    = 8 << 30
	DefaultManifest = 4 << 20
)

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	if l.Files <= 0 || l.Files > maxFiles {
		l.Files = maxFiles
	}
	if l.Manifest <= 0 {
		l.Manifest = DefaultManifest
	}
	return l
}

// Received describes a bundle whose files are all in the sink, with sizes and
// digests as the manifest says.
type Received struct {
	Manifest *Manifest
	Raw      []byte // the manifest's bytes
	Digest   string // the bundle's: "sha256:…" of Raw
	Bytes    int64  // of all files, the manifest among them
}

// ReadError says that the body could not be read to its end: the client or
// the network broke off, or a limit of the transport was met. It is never the
// bundle's fault; errors.As finds the cause behind it.
type ReadError struct{ Err error }

// Error gives the cause.
func (e *ReadError) Error() string { return "read the upload: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// bufferSize is what one receipt holds in memory beside the manifest.
const bufferSize = 128 << 10

// Receive reads a bundle that travels as a tar and passes each file to the
// sink while it hashes and counts. The manifest may come at any place. Memory
// does not grow with the files.
func Receive(r io.Reader, sink Sink, limits Limits) (*Received, error) {
	limits = limits.withDefaults()
	src := &source{r: r, left: rawLimit(limits)}
	x := &receiver{
		src: src, sink: sink, limits: limits,
		tar:    tar.NewReader(src),
		buffer: make([]byte, bufferSize),
		got:    map[string]File{},
		folded: map[string]bool{},
	}
	for {
		header, err := x.tar.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, x.broken(err)
		}
		if err := x.entry(header); err != nil {
			return nil, err
		}
	}
	if err := x.padding(); err != nil {
		return nil, err
	}
	return x.finish()
}

// receiver is one receipt.
type receiver struct {
	src      *source
	tar      *tar.Reader
	sink     Sink
	limits   Limits
	buffer   []byte
	raw      []byte // the manifest, once it came
	manifest *Manifest
	got      map[string]File
	folded   map[string]bool // names in lower case: a sink may lie on a file system that folds
	bytes    int64
}

func (x *receiver) entry(h *tar.Header) error {
	name, err := entryName(h)
	if err != nil || name == "" {
		return err
	}
	if x.folded[strings.ToLower(name)] {
		return refuse("the tar holds %s twice (case does not count): pack every file once", quote(name))
	}
	x.folded[strings.ToLower(name)] = true
	if h.Size > x.limits.Bytes-x.bytes {
		return tooLarge("the bundle holds more than %d bytes: make it smaller, or raise registry.max_upload on the server",
			x.limits.Bytes)
	}
	x.bytes += h.Size
	if name == ManifestFile {
		return x.readManifest(h.Size)
	}
	if len(x.got) == x.limits.Files {
		return tooLarge("the bundle holds more than %d files, which is the limit", x.limits.Files)
	}
	return x.readFile(name, h.Size)
}

// entryName returns the name of a file to read, "" for an entry to pass over,
// or why the entry is refused.
func entryName(h *tar.Header) (string, error) {
	name := strings.TrimPrefix(h.Name, "./")
	switch h.Typeflag {
	case tar.TypeDir:
		if folder := strings.TrimSuffix(name, "/"); folder == "" || folder == "." || folder == goldenFolder {
			return "", nil
		}
		return "", refuse("the tar holds the folder %s: a bundle has no folders but golden/", quote(h.Name))
	case tar.TypeReg:
	case tar.TypeSymlink, tar.TypeLink:
		return "", refuse("%s is a link: pack the file itself (tar --dereference --hard-dereference)", quote(h.Name))
	case tar.TypeGNUSparse:
		return "", sparse(h.Name)
	default:
		return "", refuse("%s is no ordinary file (tar type %q): a bundle holds files only", quote(h.Name), h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "", sparse(h.Name)
		}
	}
	if name == ManifestFile {
		return name, nil
	}
	if bad := badFileName(name); bad != "" {
		return "", refuse("the tar holds a file %s: %s", quote(h.Name), bad)
	}
	return name, nil
}

func sparse(name string) error {
	return refuse("%s is packed as a sparse file: pack it whole (tar without --sparse)", quote(name))
}

func (x *receiver) readManifest(size int64) error {
	if size > x.limits.Manifest {
		return tooLarge("manifest.json has %d bytes, and %d are allowed", size, x.limits.Manifest)
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(x.tar, raw); err != nil {
		return x.broken(err)
	}
	m, err := ParseManifest(raw)
	if err != nil {
		return err
	}
	x.raw, x.manifest = raw, m
	if err := x.plan(); err != nil {
		return err
	}
	for _, name := range sortedKeys(x.got) { // those that came before the manifest
		if err := x.listed(name, x.got[name].Size); err != nil {
			return err
		}
	}
	return x.writeManifest(raw)
}

func (x *receiver) writeManifest(raw []byte) error {
	w, err := x.create(ManifestFile)
	if err != nil {
		return err
	}
	if _, err = w.Write(raw); err != nil {
		err = &sinkError{err}
	}
	return x.closed(ManifestFile, w, err)
}

// plan refuses at once what the manifest promises beyond the limits.
func (x *receiver) plan() error {
	if len(x.manifest.Files) > x.limits.Files {
		return tooLarge("the manifest lists %d files, and %d are allowed", len(x.manifest.Files), x.limits.Files)
	}
	total := int64(len(x.raw))
	for file := range maps.Values(x.manifest.Files) {
		if file.Size > x.limits.Bytes-total {
			return tooLarge("the manifest lists more than %d bytes: make the bundle smaller, "+
				"or raise registry.max_upload on the server", x.limits.Bytes)
		}
		total += file.Size
	}
	return nil
}

// listed holds a name and a size to the manifest, where that came already.
func (x *receiver) listed(name string, size int64) error {
	if x.manifest == nil {
		return nil
	}
	want, ok := x.manifest.Files[name]
	if !ok {
		return refuse("the tar holds %s, which the manifest does not list: "+
			"a bundle holds exactly the files of its manifest", quote(name))
	}
	if want.Size != size {
		return refuse("%s has %d bytes, and the manifest says %d: export the bundle again", name, size, want.Size)
	}
	return nil
}

func (x *receiver) readFile(name string, size int64) error {
	if err := x.listed(name, size); err != nil {
		return err
	}
	w, err := x.create(name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := x.copy(x.tar, w, sum)
	if err := x.closed(name, w, err); err != nil {
		return err
	}
	file := File{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}
	x.got[name] = file
	if x.manifest != nil {
		return x.same(name, file)
	}
	return nil
}

func (x *receiver) same(name string, got File) error {
	if want := x.manifest.Files[name]; got != want {
		return refuse("%s is not the file that the manifest describes (SHA-256 %s, expected %s): "+
			"it was changed or damaged, so export or copy the bundle again", name, got.SHA256, want.SHA256)
	}
	return nil
}

// copy moves what is left of r to w and to the hash. Errors of r and of w are
// told apart: those of w come back as a sinkError.
func (x *receiver) copy(r io.Reader, w io.Writer, sum hash.Hash) (int64, error) {
	var total int64
	for {
		n, err := r.Read(x.buffer)
		if n > 0 {
			sum.Write(x.buffer[:n])
			if _, err := w.Write(x.buffer[:n]); err != nil {
				return total, &sinkError{err}
			}
			total += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// sinkError marks an error of the sink on its way up.
type sinkError struct{ error }

func (x *receiver) create(name string) (io.WriteCloser, error) {
	w, err := x.sink.Create(name)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", name, err)
	}
	return w, nil
}

// closed closes w after a copy that ended with err.
func (x *receiver) closed(name string, w io.Closer, err error) error {
	closeErr := w.Close()
	var failed *sinkError
	switch {
	case errors.As(err, &failed):
		return fmt.Errorf("store %s: %w", name, failed.error)
	case err != nil:
		return x.broken(err)
	case closeErr != nil:
		return fmt.Errorf("store %s: %w", name, closeErr)
	}
	return nil
}

// broken turns an error of the tar reader into what it means: the body could
// not be read, it is too large, or it is no tar.
func (x *receiver) broken(err error) error {
	switch {
	case x.src.err != nil:
		return &ReadError{x.src.err}
	case x.src.left <= 0:
		return tooLarge("the upload is larger than the %d bytes that are allowed: make it smaller, "+
			"or raise registry.max_upload on the server", x.limits.Bytes)
	case x.src.read == 0:
		return refuse("the upload is empty: send the bundle's tar as the body")
	case x.src.read < 2*blockSize || len(x.folded) == 0:
		return refuse("the upload is no tar%s: send the file that tenon.export wrote", x.src.looksLike()).Because(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("the tar ends in the middle of a file: it was cut off, so send it again").Because(err)
	}
	return refuse("the tar is damaged: export or copy the bundle again").Because(err)
}

// padding reads the zeros behind the tar's end mark and refuses anything else.
func (x *receiver) padding() error {
	zero := make([]byte, blockSize)
	for total := 0; total <= maxPadding; {
		n, err := x.src.Read(x.buffer)
		for rest := x.buffer[:n]; len(rest) > 0; {
			k := min(len(rest), blockSize)
			if !bytes.Equal(rest[:k], zero[:k]) {
				return refuse("data follow the end of the tar: send the file as it was exported, and nothing behind it")
			}
			rest = rest[k:]
		}
		total += n
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return x.broken(err)
		}
	}
	return refuse("more than %d bytes of padding follow the end of the tar: pack it again", maxPadding)
}

// finish checks that everything came.
func (x *receiver) finish() (*Received, error) {
	if x.manifest == nil {
		if len(x.folded) == 0 {
			return nil, x.broken(io.EOF)
		}
		return nil, refuse("the tar holds no manifest.json: send a bundle that tenon.export wrote, " +
			"or a bare model as application/octet-stream")
	}
	for _, name := range sortedKeys(x.manifest.Files) {
		file, came := x.got[name]
		if !came {
			return nil, refuse("the manifest lists %s, and the tar does not hold it: "+
				"the bundle is incomplete, so export or copy it again", name)
		}
		if err := x.same(name, file); err != nil {
			return nil, err
		}
	}
	return &Received{Manifest: x.manifest, Raw: x.raw, Digest: Digest(x.raw), Bytes: x.bytes}, nil
}
