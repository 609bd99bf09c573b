package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api"
	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/core"
	v1 "github.com/tenon-ml/tenon/api/v1"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/capture"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/internal/trial"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// rig is a whole server over a real registry, with an engine that echoes.
type rig struct {
	*client.Client
	t       testing.TB
	root    string
	url     string
	handler http.Handler
	manager *lifecycle.Manager
	host    *host.Host
	engine  *engine.Fake
	log     *lines
}

// setup is what a test may change about a rig.
type setup struct {
	root     string
	engine   *engine.Fake
	host     host.Options
	api      api.Options // limits and timeouts; zero ones take the rig's
	limits   bundle.Limits
	sleeping bool // do not resume
	runtime  string
	ticks    chan time.Time // of probes
	looks    chan time.Time // at canaries
	follow   chan time.Time // at the logs; nil is once a second
	writes   chan time.Time // of captured requests

	runTimeout time.Duration // of a rehearsal
}

func serve(t testing.TB, change ...func(*setup)) *rig {
	t.Helper()
	s := setup{engine: &engine.Fake{}}
	for _, c := range change {
		c(&s)
	}
	if s.root == "" {
		s.root = t.TempDir()
	}
	store, err := registry.Open(s.root, registry.Options{})
	must(t, err)
	r := &rig{t: t, root: s.root, engine: s.engine, log: &lines{}}
	log := slog.New(slog.NewJSONHandler(r.log, nil))
	s.host.Log = log
	r.host = host.New(s.engine, s.host)
	captures := capture.New(capture.Options{Dir: filepath.Join(s.root, "captures"), MaxBytes: 1 << 20, Log: log, Ticks: s.writes})
	r.manager = lifecycle.New(lifecycle.Options{
		Store: store, Host: r.host, Captures: captures, Form: v1.Form, RunTimeout: s.runTimeout, Log: log, Limits: s.limits, Runtime: s.runtime, Ticks: s.ticks,
		Looks: s.follow,
		Now:   func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC) },
	})
	trials := trial.New(trial.Options{Host: r.host, Actor: r.manager, Limits: quickly, Log: log, Ticks: s.looks})
	s.api.Trials = trials
	r.handler = api.New(options(s.api, r, log))
	prober := &lifecycle.Prober{Host: r.host, Handler: r.handler}
	r.manager.Use(prober, prober)
	if !s.sleeping {
		must(t, r.manager.Resume(t.Context()))
	}
	server := httptest.NewServer(r.handler)
	watch, unwatch := context.WithCancel(context.WithoutCancel(t.Context()))
	var watching sync.WaitGroup
	watching.Go(func() { trials.Run(watch, r.manager.Record) })
	t.Cleanup(func() {
		server.Close()
		unwatch()
		watching.Wait()
		r.manager.Close()
		r.host.Close()
		if n := r.engine.Open(); n != 0 {
			t.Errorf("%d sessions are open after the end", n)
		}
	})
	r.url = server.URL
	r.Client, err = client.New(server.URL)
	must(t, err)
	return r
}

// quickly are limits of canaries that tests have the time for.
var quickly = rollout.Limits{MinRequests: 20, MaxErrorRate: 0.01, MaxLatencyRatio: 1000, MaxInvalidRate: 0.01, MaxDisagreement: 0.1}

func options(o api.Options, r *rig, log *slog.Logger) api.Options {
	o.Manager, o.Host, o.Log, o.AccessLog = r.manager, r.host, log, true
	o.About = wire.About{Version: "test", Engine: "fake", Registry: r.manager.Registry(), Go: "go"}
	if o.Body == (core.Limits{}) {
		o.Body = core.Limits{Body: 1 << 20, Timeout: time.Minute}
	}
	if o.Upload == (core.Limits{}) {
		o.Upload = core.Limits{Body: 1 << 30, Timeout: time.Minute}
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = time.Minute
	}
	return o
}

// lines is a log that can be waited for.
type lines struct {
	mu    sync.Mutex
	all   []map[string]any
	added chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := map[string]any{}
	if err := json.Unmarshal(p, &line); err != nil {
		line["broken"] = string(p)
	}
	l.all = append(l.all, line)
	if l.added != nil {
		close(l.added)
		l.added = nil
	}
	return len(p), nil
}

// find returns the lines with this message and request id.
func (l *lines) find(msg, id string) (found []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if line["msg"] == msg && (id == "" || line["request_id"] == id) {
			found = append(found, line)
		}
	}
	return found
}

// changed is closed at the next line.
func (l *lines) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.added == nil {
		l.added = make(chan struct{})
	}
	return l.added
}

// wait returns the first such line, which is written after the answer.
func (l *lines) wait(t testing.TB, msg, id string) map[string]any {
	t.Helper()
	for {
		added := l.changed() // before the look, so that no line is missed
		if found := l.find(msg, id); len(found) > 0 {
			return found[0]
		}
		select {
		case <-added:
		case <-t.Context().Done():
		case <-time.After(20 * time.Second):
			t.Fatalf("the log has no %q of request %q", msg, id)
		}
	}
}

// answer is a response, read whole.
type answer struct {
	*http.Response
	body []byte
}

func (r *rig) do(request *http.Request) answer {
	r.t.Helper()
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := plain.Do(request)
	must(r.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(r.t, err)
	return answer{response, body}
}

func (r *rig) request(method, path string, body io.Reader, header ...string) *http.Request {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	must(r.t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return request
}

func (r *rig) send(method, path, body string, header ...string) answer {
	r.t.Helper()
	return r.do(r.request(method, path, strings.NewReader(body), header...))
}

func (r *rig) upload(model, media string, body []byte) answer {
	r.t.Helper()
	return r.send(http.MethodPost, "/v1/models/"+model+"/versions", string(body), "Content-Type", media)
}

// pushed registers a bundle and deploys it.
func (r *rig) pushed(model string, tarred []byte) wire.Published {
	r.t.Helper()
	v, err := r.Push(r.t.Context(), model, client.Body{Reader: bytes.NewReader(tarred), Size: int64(len(tarred))})
	must(r.t, err)
	_, err = r.Deploy(r.t.Context(), model, wire.Deploy{Traffic: wire.Stable(v.Version)})
	must(r.t, err)
	return v
}

// wantProblem holds an answer to the whole shape of a problem and returns it.
// places are "path code" of the findings, in order.
func wantProblem(t testing.TB, a answer, status int, code string, places ...string) wire.Problem {
	t.Helper()
	var p wire.Problem
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("%s %s: not a problem: %v\n%d %s", a.Request.Method, a.Request.URL, err, a.StatusCode, a.body)
	}
	title := http.StatusText(status)
	if a.StatusCode != status || p.Status != status || p.Code != code || p.Type != "urn:tenon:problem:"+code || p.Title != title {
		t.Errorf("%s %s: got %d, want %d %s (%s)\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, code, title, a.body)
	}
	if p.Detail == "" || p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("detail %q, request id %q (header %q)", p.Detail, p.RequestID, a.Header.Get("X-Request-Id"))
	}
	if media := a.Header.Get("Content-Type"); media != "application/problem+json" {
		t.Errorf("Content-Type %q", media)
	}
	var got []string
	for _, f := range p.Errors {
		got = append(got, f.Path+" "+f.Code)
		if f.Detail == "" {
			t.Errorf("the finding at %s says nothing", f.Path)
		}
	}
	if places != nil && strings.Join(got, "\n") != strings.Join(places, "\n") {
		t.Errorf("%s\nfindings %q, want %q", a.body, got, places)
	}
	return p
}

// untouched holds that a refused upload left nothing behind and that the
// server goes on.
func (r *rig) untouched(model string) {
	r.t.Helper()
	wantProblem(r.t, r.send(http.MethodGet, "/v1/models/"+model+"/versions", ""), 404, "model-not-found")
	r.swept()
	if a := r.send(http.MethodGet, "/livez", ""); a.StatusCode != http.StatusOK {
		r.t.Errorf("/livez: %d", a.StatusCode)
	}
}

// swept holds that no upload is left on disk.
func (r *rig) swept() {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.root, "ingest"))
	must(r.t, err)
	if len(entries) > 0 {
		r.t.Errorf("the ingest folder holds %v", entries)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func parse(t testing.TB, text string) ref.Reference {
	t.Helper()
	r, err := ref.Parse(text)
	must(t, err)
	return r
}
