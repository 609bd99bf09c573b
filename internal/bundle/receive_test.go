package bundle_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
)

func TestReceive(t *testing.T) {
	files := penguins(t)
	list := entries(t, files)
	reversed := slices.Clone(list)
	slices.Reverse(reversed)
	dotted := []entry{folderEntry("./"), folderEntry("./golden/")}
	for _, e := range list {
		e.header.Name = "./" + e.header.Name
		dotted = append(dotted, e)
	}
	whole := pack(t, list...)
	for name, data := range map[string][]byte{
		"manifest first": whole,
		"manifest last":  pack(t, reversed...),
		"as tar -c .":    pack(t, dotted...),
		"wide padding":   append(slices.Clone(whole), make([]byte, 10<<10)...),
		"no end mark":    whole[:len(whole)-1024],
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			got, err := bundle.Receive(iotest.HalfReader(bytes.NewReader(data)), folder(dir), bundle.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Raw) != list[0].data || got.Digest != "sha256:"+digest(list[0].data) || got.Manifest.Name != "penguins" {
				t.Errorf("got %+v", got)
			}
			sum := int64(len(list[0].data))
			for name, want := range files {
				sum += int64(len(want))
				if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != want {
					t.Errorf("%s: %q, %v", name, data, err)
				}
			}
			if got.Bytes != sum {
				t.Errorf("%d bytes, want %d", got.Bytes, sum)
			}
			if raw, err := os.ReadFile(filepath.Join(dir, "manifest.json")); err != nil || string(raw) != list[0].data {
				t.Errorf("manifest: %q, %v", raw, err)
			}
		})
	}
}

func folderEntry(name string) entry {
	return entry{header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func special(kind byte, name, link string) entry {
	return entry{header: tar.Header{Typeflag: kind, Name: name, Linkname: link}}
}

func TestReceiveRefuses(t *testing.T) {
	files := penguins(t)
	good := entries(t, files)
	with := func(more ...entry) []byte { return pack(t, append(slices.Clone(good), more...)...) }
	first := func(more ...entry) []byte { return pack(t, append(more, good...)...) }
	changed := func(name, data string) []byte {
		list := slices.Clone(good)
		for i := range list {
			if list[i].header.Name == name {
				list[i] = file(name, data)
			}
		}
		return pack(t, list...)
	}
	whole := pack(t, good...)
	early := slices.Clone(good[1:])
	early[0] = file("model.onnx", "not LOOKED at here")
	second := 512 + (len(good[0].data)+511)/512*512 // the model's header
	long := file("../../"+strings.Repeat("escape", 40), "x")
	for name, c := range map[string]struct {
		tar  []byte
		says string
	}{
		"empty":                {nil, "empty"},
		"text":                 {[]byte("this is not a tar"), "no tar"},
		"long text":            {bytes.Repeat([]byte("this is not a tar "), 1000), "no tar"},
		"gzip":                 {[]byte(packed(t, string(whole))), "gzip"},
		"zip":                  {append([]byte("PK\x03\x04"), make([]byte, 600)...), "a zip archive"},
		"an ONNX model":        {append([]byte("\x08\x0a\x12\x08skl2onnx"), bytes.Repeat([]byte{0x7a}, 600)...), "application/octet-stream"},
		"zeros":                {make([]byte, 4096), "no tar"},
		"cut in the header":    {whole[:300], "no tar"},
		"cut in a file":        {whole[:len(whole)/2+100], "cut off"},
		"flipped header":       {flip(whole, second+100), "damaged"},
		"no manifest":          {pack(t, good[1:]...), "no manifest.json"},
		"manifest junk":        {pack(t, file("manifest.json", "junk")), "not JSON"},
		"missing file":         {pack(t, good[:3]...), "does not hold it"},
		"changed file":         {changed("model.onnx", "not LOOKED at here"), "SHA-256"},
		"shorter file":         {changed("model.onnx", "not"), "has 3 bytes, and the manifest says 18"},
		"changed, no manifest": {pack(t, append(early, good[0])...), "SHA-256"},
		"unlisted file":        {with(file("extra.bin", "x")), "does not list"},
		"unlisted, early":      {first(file("extra.bin", "x")), "does not list"},
		"twice":                {with(file("model.onnx", files["model.onnx"])), "twice"},
		"twice by dot":         {with(file("./model.onnx", files["model.onnx"])), "twice"},
		"twice by case":        {with(file("MODEL.onnx", files["model.onnx"])), "twice"},
		"two manifests":        {with(good[0]), "twice"},
		"symlink":              {first(special(tar.TypeSymlink, "model.onnx", "/etc/passwd")), "is a link"},
		"hard link":            {first(special(tar.TypeLink, "model.onnx", "manifest.json")), "is a link"},
		"device":               {first(special(tar.TypeChar, "null", "")), "no ordinary file"},
		"block device":         {first(special(tar.TypeBlock, "sda", "")), "no ordinary file"},
		"fifo":                 {first(special(tar.TypeFifo, "pipe", "")), "no ordinary file"},
		"folder":               {first(folderEntry("data/")), "no folders but golden/"},
		"folder up":            {first(folderEntry("../")), "no folders but golden/"},
		"folder and back":      {first(folderEntry("x/..")), "no folders but golden/"},
		"golden by a way":      {first(folderEntry("x/../golden/")), "no folders but golden/"},
		"up":                   {first(file("../model.onnx", "x")), "plain names"},
		"up inside":            {first(file("golden/../../x", "x")), "plain names"},
		"absolute":             {first(file("/tmp/x", "x")), "plain names"},
		"dots":                 {first(file("././model.onnx", "x")), "plain names"},
		"hidden":               {first(file(".x", "x")), "dot"},
		"in golden":            {first(file("golden/x", "x")), "plain names"},
		"up by PAX":            {pack(t, long), "200 bytes"},
		"old sparse":           {sparseTar(t, good), "sparse"},
		"trailing text":        {append(slices.Clone(whole), "and more"...), "follow the end"},
		"trailing tar":         {append(slices.Clone(whole), whole...), "follow the end"},
		"endless padding":      {append(slices.Clone(whole), make([]byte, 2<<20)...), "padding"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "in")
			got, err := bundle.Receive(bytes.NewReader(c.tar), folder(dir), bundle.Limits{})
			if got != nil {
				t.Errorf("received %+v", got)
			}
			refused(t, err, c.says)
			if outside, _ := os.ReadDir(parent); len(outside) > 1 {
				t.Errorf("files beside the folder: %v", outside)
			}
		})
	}
}

func flip(data []byte, at int) []byte {
	data = slices.Clone(data)
	data[at] ^= 0x10
	return data
}

// sparseTar marks the model as an old GNU sparse file.
func sparseTar(t *testing.T, good []entry) []byte {
	data := pack(t, good[1])
	block := data[:512]
	block[156] = 'S'
	copy(block[257:], "ustar  \x00")
	copy(block[386:], "00000000000\x0000000000022\x00") // one run: offset 0, 18 bytes
	copy(block[483:], "00000000022\x00")
	copy(block[148:], "        ")
	var sum int
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], []byte{
		byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7),
		byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' ',
	})
	return data
}

func TestReceiveLimits(t *testing.T) {
	files := penguins(t)
	data := pack(t, entries(t, files)...)
	reversed := entries(t, files)
	slices.Reverse(reversed)
	last := pack(t, reversed...)
	for name, c := range map[string]struct {
		data   []byte
		limits bundle.Limits
		says   string
	}{
		"bytes":                {data, bundle.Limits{Bytes: int64(len(reversed[7].data)) + 10}, "more than"},
		"bytes, manifest last": {last, bundle.Limits{Bytes: 20}, "more than 20 bytes"},
		"files":                {data, bundle.Limits{Files: 3}, "lists 7 files, and 3"},
		"files, manifest last": {last, bundle.Limits{Files: 3}, "more than 3 files"},
		"manifest":             {data, bundle.Limits{Manifest: 10}, "10 are allowed"},
	} {
		_, err := bundle.Receive(bytes.NewReader(c.data), folder(t.TempDir()), c.limits)
		f := fault.As(err)
		if f == nil || f.Kind != fault.TooLarge || f.Code != fault.UploadTooLarge || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var sum int64
	for _, e := range reversed {
		sum += int64(len(e.data))
	}
	if _, err := bundle.Receive(bytes.NewReader(data), folder(t.TempDir()), bundle.Limits{Bytes: sum, Files: 7}); err != nil {
		t.Errorf("a bundle that just fits: %v", err)
	}
}

// TestReceiveEndsHeaderFloods feeds PAX headers without end: they name no
// file, so only the bytes of the upload bound them.
func TestReceiveEndsHeaderFloods(t *testing.T) {
	e := file("model.onnx", "x")
	e.header.PAXRecords = map[string]string{"VENDOR.x": strings.Repeat("y", 1000)}
	header := pack(t, e)[:512+1024+512]
	flood := &repeat{data: header}
	_, err := bundle.Receive(flood, folder(t.TempDir()), bundle.Limits{Bytes: 1 << 20})
	if f := fault.As(err); f == nil || (f.Code != fault.UploadTooLarge && f.Code != fault.InvalidBundle) {
		t.Errorf("got %v", err)
	}
}

// repeat yields its data for ever.
type repeat struct {
	data []byte
	pos  int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.pos:])
	r.pos = (r.pos + n) % len(r.data)
	return n, nil
}

var errGone = errors.New("connection reset by peer")

func TestReadErrorsAreTheClients(t *testing.T) {
	data := pack(t, entries(t, penguins(t))...)
	for cut := 0; cut < len(data); cut += 97 {
		for _, cause := range []error{errGone, io.ErrUnexpectedEOF} {
			r := io.MultiReader(bytes.NewReader(data[:cut]), iotest.ErrReader(cause))
			_, err := bundle.Receive(r, folder(t.TempDir()), bundle.Limits{})
			var read *bundle.ReadError
			if !errors.As(err, &read) || !errors.Is(err, cause) || fault.As(err) != nil {
				t.Fatalf("after %d bytes: %v", cut, err)
			}
		}
	}
	_, err := bundle.ReceiveModel(iotest.ErrReader(errGone), folder(t.TempDir()), bundle.Limits{})
	var read *bundle.ReadError
	if !errors.As(err, &read) || !errors.Is(err, errGone) {
		t.Errorf("model: %v", err)
	}
}

// brokenSink fails at one of its calls.
type brokenSink struct{ create, write, close error }

func (s brokenSink) Create(string) (io.WriteCloser, error) { return s, s.create }
func (s brokenSink) Write(p []byte) (int, error)           { return len(p), s.write }
func (s brokenSink) Close() error                          { return s.close }

func TestSinkErrorsAreOurs(t *testing.T) {
	files := penguins(t)
	for name, sink := range map[string]brokenSink{
		"create": {create: fs.ErrPermission}, "write": {write: fs.ErrPermission}, "close": {close: fs.ErrPermission},
	} {
		_, err := bundle.Receive(bytes.NewReader(pack(t, entries(t, files)...)), sink, bundle.Limits{})
		if !errors.Is(err, fs.ErrPermission) || fault.As(err) != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err = bundle.ReceiveModel(strings.NewReader("model"), sink, bundle.Limits{})
		if !errors.Is(err, fs.ErrPermission) || fault.As(err) != nil {
			t.Errorf("%s of a model: %v", name, err)
		}
	}
}

func TestReceiveModel(t *testing.T) {
	dir := t.TempDir()
	got, err := bundle.ReceiveModel(iotest.OneByteReader(strings.NewReader("model")), folder(dir), bundle.Limits{Bytes: 5})
	if err != nil {
		t.Fatal(err)
	}
	want := string(bundle.BareManifest(5, digest("model")))
	if string(got.Raw) != want || got.Digest != "sha256:"+digest(want) || !got.Manifest.Bare() || got.Bytes != int64(5+len(want)) {
		t.Errorf("got %+v", got)
	}
	for name, text := range map[string]string{"model.onnx": "model", "manifest.json": want} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != text {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	_, err = bundle.ReceiveModel(strings.NewReader(""), folder(t.TempDir()), bundle.Limits{})
	refused(t, err, "empty")
	_, err = bundle.ReceiveModel(strings.NewReader("models"), folder(t.TempDir()), bundle.Limits{Bytes: 5})
	if f := fault.As(err); f == nil || f.Code != fault.UploadTooLarge {
		t.Errorf("over the limit: %v", err)
	}
}
