package api_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/runtime/engine"
)

func (r *rig) ready(status int) wire.Ready {
	r.t.Helper()
	a := r.send("GET", "/readyz", "")
	var ready wire.Ready
	must(r.t, json.Unmarshal(a.body, &ready))
	if a.StatusCode != status || ready.Ready != (status == 200) {
		r.t.Errorf("/readyz: %d %s, want %d", a.StatusCode, a.body, status)
	}
	return ready
}

// TestRestart: a new server on the same registry serves the same, says that it
// is loading while it is, and what is broken keeps nothing else from serving.
func TestRestart(t *testing.T) {
	before := serve(t)
	for _, name := range []string{"broken", "damaged", "good", "idle"} {
		v, err := before.Push(t.Context(), name, bodyOf(identity(port{"x", float32Type, uint64(len(name))}), true))
		must(t, err)
		if name != "idle" {
			_, err = before.Deploy(t.Context(), name, wire.Deploy{Traffic: wire.Stable(v.Version)})
			must(t, err)
		}
	}
	before.ready(200)
	flip(t, filepath.Join(before.root, "models", "damaged", "log", "00000000000000000001.json"))

	loading, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	after := serve(t, func(s *setup) {
		s.root, s.sleeping = before.root, true
		s.engine = &engine.Fake{Refuse: func(g engine.Graph) error {
			once.Do(func() { close(loading) })
			<-proceed
			if g.Inputs[0].Dims[1].Size == int64(len("broken")) {
				return fault.New(fault.Unprocessable, fault.ModelRefused, "The engine does not take it.")
			}
			return nil
		}}
	})
	after.ready(503)
	resumed := make(chan error, 1)
	go func() { resumed <- after.manager.Resume(t.Context()) }()
	<-loading
	for _, m := range after.ready(503).Models {
		if m.State != "loading" {
			t.Errorf("while loading: %+v", m)
		}
	}
	wantProblem(t, after.send("POST", "/v1/models/good/predict", `{"instances":[[1,2,3,4]]}`), 503, "not-ready")
	if a := after.send("GET", "/livez", ""); a.StatusCode != 200 {
		t.Errorf("/livez: %d", a.StatusCode)
	}
	close(proceed)
	must(t, <-resumed)

	after.states(map[string]string{"broken": "unloadable", "damaged": "quarantined", "good": "live", "idle": "not-deployed"})
	if a := after.send("POST", "/v1/models/good/predict", `{"instances":[[1,2,3,4]]}`); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	wantProblem(t, after.send("POST", "/v1/models/broken/predict", `{"instances":[]}`), 503, "unloadable")
	wantProblem(t, after.send("POST", "/v1/models/idle/predict", `{"instances":[]}`), 409, "nothing-deployed")
	for _, request := range []string{
		"POST /v1/models/damaged/predict", "GET /v1/models/damaged", "GET /v1/models/damaged/versions",
		"GET /v1/models/damaged/versions/1", "GET /v1/models/damaged/deployments",
	} {
		method, path, _ := strings.Cut(request, " ")
		p := wantProblem(t, after.send(method, path, ""), 503, "quarantined")
		if strings.Contains(p.Detail, before.root) {
			t.Errorf("the answer names a path of the server: %s", p.Detail)
		}
	}
	wantProblem(t, after.upload("damaged", "application/octet-stream", bare()), 503, "quarantined")
	after.swept()
}

// states holds /readyz and the list of models to the state of each.
func (r *rig) states(want map[string]string) {
	r.t.Helper()
	for _, m := range r.ready(200).Models {
		if want[m.Model] != m.State {
			r.t.Errorf("/readyz: %+v, want %s", m, want[m.Model])
		}
		if bad := m.State == "unloadable" || m.State == "quarantined"; bad != (m.Detail != "") {
			r.t.Errorf("/readyz: %+v", m)
		}
	}
	models, err := r.Models(r.t.Context())
	must(r.t, err)
	if len(models.Models) != len(want) {
		r.t.Errorf("%d models, want %d", len(models.Models), len(want))
	}
	for _, m := range models.Models {
		state := want[m.Name]
		if m.Ready != (state == "live") || (m.Problem != "") != (state == "unloadable" || state == "quarantined") {
			r.t.Errorf("%s is %s: %+v", m.Name, state, m)
		}
	}
}

// TestResumeKeepsWhatServes: what a request deployed before the server's turn
// to load came is not taken from traffic.
func TestResumeKeepsWhatServes(t *testing.T) {
	before := serve(t)
	before.pushed("penguins", penguins(t).tar(t, "penguins"))
	loads := 0
	after := serve(t, func(s *setup) {
		s.root, s.sleeping = before.root, true
		s.engine = &engine.Fake{Refuse: func(engine.Graph) error { loads++; return nil }}
	})
	_, err := after.Deploy(t.Context(), "penguins", wire.Deploy{Traffic: wire.Stable(1)})
	must(t, err)
	must(t, after.manager.Resume(t.Context()))
	if loads != 1 {
		t.Errorf("the version was loaded %d times", loads)
	}
	after.ready(200)
}

// TestDamagedBlob: a version whose file is damaged cannot be loaded; pushing
// its bundle again mends it, as the error says.
func TestDamagedBlob(t *testing.T) {
	before := serve(t)
	tarred := penguins(t).tar(t, "penguins")
	v := before.pushed("penguins", tarred)
	blobs, err := filepath.Glob(filepath.Join(before.root, "blobs", "sha256", "*", "*"))
	must(t, err)
	for _, path := range blobs {
		if !strings.HasSuffix(v.Digest, filepath.Base(path)) { // all but the manifest
			flip(t, path)
		}
	}
	r := serve(t, func(s *setup) { s.root = before.root })
	r.states(map[string]string{"penguins": "unloadable"})
	p := wantProblem(t, r.send("POST", "/v1/models/penguins/deployments", `{"stable":1}`), 503, "quarantined")
	if !strings.Contains(p.Detail, "push the same bundle again") {
		t.Errorf("no remedy in %q", p.Detail)
	}
	again, err := r.Push(t.Context(), "penguins", bodyOf(tarred, false))
	must(t, err)
	if !again.Existing || again.Version != 1 {
		t.Errorf("%+v", again)
	}
	r.states(map[string]string{"penguins": "live"})
	if _, err := r.Predict(t.Context(), parse(t, "penguins"), []byte(`{"instances":[`+goodRow+`]}`)); err != nil {
		t.Error(err)
	}
}

// flip damages one byte in the middle of a read-only file.
func flip(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, data, 0o600))
}
