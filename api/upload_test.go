package api_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// TestBadBundle has a line for everything that a tar can get wrong: each is
// refused with a code and a remedy, and leaves nothing.
func TestBadBundle(t *testing.T) {
	r := serve(t, func(s *setup) { s.limits = bundle.Limits{Bytes: 1 << 20, Files: 10} })
	good := penguins(t)
	whole := good.entries(t, "refused")
	more := func(e ...entry) []byte { return pack(t, append(slices.Clone(whole), e...)...) }
	link := func(kind byte, name, to string) entry {
		return entry{Header: tar.Header{Typeflag: kind, Name: name, Linkname: to}}
	}
	manifest := func(old, new string) []byte {
		changed := strings.Replace(whole[0].data, old, new, 1)
		return pack(t, append([]entry{file("manifest.json", changed)}, whole[1:]...)...)
	}
	tarred := good.tar(t, "refused")
	for name, c := range map[string]struct {
		body []byte
		says string
	}{
		"empty":                         {nil, "empty"},
		"junk":                          {bytes.Repeat([]byte("junk "), 1000), "no tar"},
		"gzip":                          {[]byte(zipped(t, string(tarred))), "gzip"},
		"a bare model":                  {bare(), "application/octet-stream"},
		"cut off in a header":           {tarred[:700], "tar"},
		"cut off in a file":             {tarred[:len(tarred)/2], "cut off"},
		"data behind the end":           {append(slices.Clone(tarred), "more"...), "follow"},
		"no manifest":                   {pack(t, whole[1:]...), "manifest.json"},
		"manifest is no JSON":           {pack(t, file("manifest.json", "{")), "manifest.json"},
		"a later format":                {manifest(`"bundle":1`, `"bundle":2`), "format 2"},
		"wrong digest":                  {manifest(`"sha256":"`, `"sha256":"0000000000`)[:], "64 lower-case"},
		"another digest":                {pack(t, whole[0], file("model.onnx", strings.Replace(whole[1].data, "island", "Island", 1)), whole[2], whole[3], whole[4]), "SHA-256"},
		"another size":                  {pack(t, whole[0], file("model.onnx", whole[1].data+"x"), whole[2], whole[3], whole[4]), "bytes"},
		"a file is missing":             {pack(t, whole[:4]...), "answers.jsonl.gz"},
		"an unlisted file":              {more(file("extra.bin", "x")), "does not list"},
		"a file twice":                  {more(whole[1]), "twice"},
		"the manifest twice":            {more(whole[0]), "twice"},
		"twice but for case":            {more(file("MODEL.onnx", "x")), "twice"},
		"a symbolic link":               {more(link(tar.TypeSymlink, "weights.bin", "/etc/passwd")), "link"},
		"a hard link":                   {more(link(tar.TypeLink, "weights.bin", "model.onnx")), "link"},
		"a device":                      {more(link(tar.TypeChar, "weights.bin", "")), "no ordinary file"},
		"a pipe":                        {more(link(tar.TypeFifo, "weights.bin", "")), "no ordinary file"},
		"a folder":                      {more(link(tar.TypeDir, "weights/", "")), "folder"},
		"a path that climbs":            {more(file("../weights.bin", "x")), "plain names"},
		"a path that descends":          {more(file("golden/../../x", "x")), "plain names"},
		"an absolute path":              {more(file("/etc/weights.bin", "x")), "plain names"},
		"a hidden file":                 {more(file(".ssh", "x")), "dot"},
		"a listed path":                 {manifest(`"files":{`, `"files":{"../x":{"size":0,"sha256":"`+strings.Repeat("0", 64)+`"},`), "manifest.json"},
		"a signature that is none":      {good.with("signature.json", `{"inputs":[]}`).tar(t, "refused"), "signature.json"},
		"a signature of another graph":  {good.with("signature.json", strings.Replace(good["signature.json"], `"feed":"mass"`, `"feed":"weight"`, 1)).tar(t, "refused"), ""},
		"a signature of another shape":  {good.with("signature.json", strings.Replace(good["signature.json"], `"shape":[3]`, `"shape":[4]`, 1)).tar(t, "refused"), ""},
		"a signature of another output": {good.with("signature.json", strings.Replace(good["signature.json"], "mass_out", "no_out", 1)).tar(t, "refused"), ""},
		"a profile that is none":        {good.with("profile.json", "[]").tar2(t), "profile.json"},
	} {
		t.Run(name, func(t *testing.T) {
			code := "invalid-bundle"
			if c.says == "" {
				code = "model-refused"
			}
			p := wantProblem(t, r.upload("refused", "application/x-tar", c.body), 422, code)
			all := p.Detail
			for _, f := range p.Errors {
				all += " " + f.Path + " " + f.Detail
			}
			if !strings.Contains(all, c.says) {
				t.Errorf("%q does not say %q", all, c.says)
			}
			if strings.Contains(all, r.root) {
				t.Errorf("%q names a path of the server", all)
			}
			r.untouched("refused")
		})
	}
	large := good.with("README.md", strings.Repeat("x", 1<<20))
	wantProblem(t, r.upload("refused", "application/x-tar", large.tar2(t)), 413, "upload-too-large")
	p := wantProblem(t, r.upload("refused", "application/x-tar", good.tar(t, "penguins")), 422, "name-mismatch")
	if !strings.Contains(p.Detail, `"penguins"`) || !strings.Contains(p.Detail, `"refused"`) {
		t.Errorf("the names are not in %q", p.Detail)
	}
	r.untouched("refused")
	if a := r.upload("refused", "application/x-tar", tarred); a.StatusCode != http.StatusCreated {
		t.Errorf("the good one afterwards: %d %s", a.StatusCode, a.body)
	}
}

// tar2 packs every file, also those that entries does not know.
func (f files) tar2(t testing.TB) []byte {
	list := []entry{file("manifest.json", f.manifest(t, "refused"))}
	for name, content := range f {
		list = append(list, file(name, content))
	}
	return pack(t, list...)
}

func TestBadModel(t *testing.T) {
	r := serve(t, func(s *setup) { s.limits = bundle.Limits{Bytes: 1 << 20} })
	good := bare()
	loop := pb{}.num(1, 10).sub(7, pb{}.sub(1, pb{}.str(1, "x").str(2, "y").str(4, "Magic").str(7, "elsewhere")).
		sub(11, port{"x", float32Type, 2}.value("x")).sub(12, port{"x", float32Type, 2}.value("y"))).sub(8, pb{}.num(2, 20))
	for name, c := range map[string]struct {
		body   []byte
		status int
		code   string
	}{
		"empty":             {nil, 422, "invalid-bundle"},
		"junk":              {bytes.Repeat([]byte("junk "), 1000), 422, "model-refused"},
		"text":              {[]byte("<html>not found</html>"), 422, "model-refused"},
		"zeros":             {make([]byte, 1000), 422, "model-refused"},
		"truncated":         {good[:len(good)/2], 422, "model-refused"},
		"one byte short":    {good[:len(good)-1], 422, "model-refused"},
		"a byte too many":   {append(slices.Clone(good), 0), 422, "model-refused"},
		"no graph":          {pb{}.num(1, 10).sub(8, pb{}.num(2, 20)), 422, "model-refused"},
		"a foreign domain":  {loop, 422, "model-refused"},
		"no type for JSON":  {identity(port{"x", 14, 2}), 422, "model-refused"}, // complex64
		"over the limit":    {make([]byte, 1<<20+1), 413, "upload-too-large"},
		"a tar as a model":  {penguins(t).tar(t, "refused"), 422, "model-refused"},
		"pickled, in a zip": {[]byte("PK\x03\x04rest"), 422, "model-refused"},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, r.upload("refused", "application/octet-stream", c.body), c.status, c.code)
			if strings.Contains(p.Detail, r.root) {
				t.Errorf("%q names a path of the server", p.Detail)
			}
			r.untouched("refused")
		})
	}
	if n := r.engine.Open(); n != 0 {
		t.Errorf("%d sessions are open", n)
	}
}

// TestEngineRefuses: what the engine does not load is never a version, and a
// failure of ours is not the client's fault and not in its answer.
func TestEngineRefuses(t *testing.T) {
	var answer error
	r := serve(t, func(s *setup) { s.engine = &engine.Fake{Refuse: func(engine.Graph) error { return answer }} })
	answer = fault.New(fault.Unprocessable, fault.ModelRefused, "ONNX Runtime does not load the model: no such operator.")
	p := wantProblem(t, r.upload("refused", "application/octet-stream", bare()), 422, "model-refused")
	if p.Detail != "ONNX Runtime does not load the model: no such operator." {
		t.Errorf("%q", p.Detail)
	}
	r.untouched("refused")
	answer = errors.New("secret: /var/lib/tenon cannot be mapped")
	a := r.upload("refused", "application/octet-stream", bare())
	p = wantProblem(t, a, 500, "internal")
	if bytes.Contains(a.body, []byte("secret")) {
		t.Errorf("an internal error shows itself: %s", a.body)
	}
	line := r.log.wait(t, "a request failed", p.RequestID)
	if text, _ := line["error"].(string); !strings.Contains(text, "secret") {
		t.Errorf("the log does not have the reason: %v", line)
	}
	r.untouched("refused")
}

// TestDiskFails: a registry that cannot be written to is ours to answer for.
func TestDiskFails(t *testing.T) {
	r := serve(t)
	must(t, os.RemoveAll(filepath.Join(r.root, "ingest")))
	a := r.upload("refused", "application/octet-stream", bare())
	p := wantProblem(t, a, 500, "storage-failed")
	if bytes.Contains(a.body, []byte(r.root)) {
		t.Errorf("the answer names a path of the server: %s", a.body)
	}
	r.log.wait(t, "a request failed", p.RequestID)
}

// TestUploadBreaksOff: a client that leaves in the middle registers nothing.
func TestUploadBreaksOff(t *testing.T) {
	r := serve(t)
	body, w := io.Pipe()
	go func() {
		_, _ = w.Write(bare()[:40])
		w.CloseWithError(errors.New("the client's disk failed"))
	}()
	request := r.request("POST", "/v1/models/refused/versions", body,
		"Content-Type", "application/octet-stream", "X-Request-Id", "breaks-off")
	if _, err := http.DefaultClient.Do(request); err == nil {
		t.Error("an answer came")
	}
	if line := r.log.wait(t, "request", "breaks-off"); line["status"] != 499.0 || line["code"] != "client-gone" {
		t.Errorf("%v", line)
	}
	r.untouched("refused")
}

// TestRefusedEarly: a client that is still sending when its upload is refused
// gets the answer, not a reset connection.
func TestRefusedEarly(t *testing.T) {
	r := serve(t)
	const size = 16 << 20
	head := "POST /v1/models/refused/versions HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n"
	wantProblem(t, r.raw(head+strings.Repeat("junk", size/4)), 422, "invalid-bundle")
	r.untouched("refused")
}

// TestClientLeavesWhileItsModelLoads: what was received is a push, whether or
// not somebody waits for it; the log says that nobody did.
func TestClientLeavesWhileItsModelLoads(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	loading, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r := serve(t, func(s *setup) {
		s.engine = &engine.Fake{Refuse: func(engine.Graph) error {
			once.Do(func() { close(loading) })
			<-proceed
			return nil
		}}
	})
	request := httptest.NewRequest("POST", "/v1/models/bare/versions", bytes.NewReader(bare())).WithContext(ctx)
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("X-Request-Id", "leaves")
	left := make(chan struct{})
	go func() {
		defer close(left)
		r.handler.ServeHTTP(httptest.NewRecorder(), request)
	}()
	<-loading
	leave()
	<-left
	if line := r.log.wait(t, "request", "leaves"); line["status"] != 499.0 || line["code"] != "client-gone" {
		t.Errorf("%v", line)
	}
	wantProblem(t, r.send("GET", "/v1/models/bare/versions", ""), 404, "model-not-found")
	close(proceed)
	if v, ended, err := r.manager.Operations()[0].Wait(t.Context()); !ended || err != nil || v.Published.Version != 1 {
		t.Errorf("%+v, ended %v, %v", v, ended, err)
	}
	if v, err := r.Version(t.Context(), "bare", 1); err != nil || v.RequestID != "leaves" {
		t.Errorf("%+v, %v", v, err)
	}
	r.swept()
}

// TestCompetingPushes: the same bundle from many at once is one version.
func TestCompetingPushes(t *testing.T) {
	r := serve(t)
	tarred := penguins(t).tar(t, "penguins")
	const callers = 8
	var news atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			v, err := r.Push(t.Context(), "penguins", bodyOf(tarred, false))
			if err != nil || v.Version != 1 {
				t.Errorf("%+v, %v", v, err)
			}
			if !v.Existing {
				news.Add(1)
			}
		})
	}
	group.Wait()
	versions, err := r.Versions(t.Context(), "penguins")
	if err != nil || len(versions.Versions) != 1 || news.Load() != 1 {
		t.Errorf("%d were told that theirs is new; %+v, %v", news.Load(), versions, err)
	}
	r.swept()
}

// TestUploadOrders reads tars that other programs pack: another order, a
// leading ./, a folder entry for golden/.
func TestUploadOrders(t *testing.T) {
	r := serve(t)
	list := penguins(t).entries(t, "penguins")
	slices.Reverse(list)
	for i := range list {
		list[i].Name = "./" + list[i].Name
	}
	list = append([]entry{{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./"}}, {Header: tar.Header{Typeflag: tar.TypeDir, Name: "./golden/"}}}, list...)
	first, err := r.Push(t.Context(), "penguins", bodyOf(pack(t, list...), false))
	must(t, err)
	again, err := r.Push(t.Context(), "penguins", bodyOf(penguins(t).tar(t, "penguins"), false))
	must(t, err)
	if !again.Existing || again.Digest != first.Digest {
		t.Errorf("%+v, then %+v", first, again)
	}
}

// TestRecordsSayWho: a version and a deployment carry the request that made
// them.
func TestRecordsSayWho(t *testing.T) {
	r := serve(t)
	a := r.send("POST", "/v1/models/bare/versions", string(bare()), "Content-Type", "application/octet-stream", "X-Request-Id", "my-push.1")
	if a.StatusCode != http.StatusCreated || a.Header.Get("Location") != "/v1/models/bare/versions/1" || a.Header.Get("X-Request-Id") != "my-push.1" {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	store, err := registry.Open(r.root, registry.Options{})
	must(t, err)
	st, err := store.State("bare")
	must(t, err)
	if v, _ := st.Version(1); v.RequestID != "my-push.1" || v.Actor != "anonymous@127.0.0.1" || time.Since(v.Created) > time.Hour {
		t.Errorf("%+v", v)
	}
}

// noise is n bytes that are no model, made on the way.
type noise struct {
	left, n int64
	peak    uint64
}

func (z *noise) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	if z.left%(16<<20) == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		z.peak = max(z.peak, m.HeapAlloc)
	}
	k := min(int64(len(p)), z.left, 16<<20-(z.n-z.left)%(16<<20))
	for i := range p[:k] {
		p[i] = byte(0xff - i)
	}
	z.left -= k
	return int(k), nil
}

// TestUploadMemory: a file passes through the server without staying in its
// memory, also where it is refused in the end.
func TestUploadMemory(t *testing.T) {
	const size, allowed = 256 << 20, 32 << 20
	if testing.Short() {
		t.Skip("writes 256 MiB to the disk")
	}
	r := serve(t)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body := &noise{left: size, n: size}
	_, err := r.Push(t.Context(), "refused", client.Body{Reader: body, Size: size, Bare: true})
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != "model-refused" {
		t.Fatalf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(body.peak) - int64(before.HeapAlloc); body.peak == 0 || grown > allowed {
		t.Errorf("the heap grew by %d MiB while %d MiB were uploaded", grown>>20, size>>20)
	}
	if made := after.TotalAlloc - before.TotalAlloc; made > allowed {
		t.Errorf("%d MiB were allocated for an upload of %d MiB", made>>20, size>>20)
	}
	r.untouched("refused")
}
