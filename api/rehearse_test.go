package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// captures is what the model's object says is kept.
func (r *rig) captures(model string) wire.Captures {
	r.t.Helper()
	m, err := r.Model(r.t.Context(), ref.Reference{Model: model})
	must(r.t, err)
	if m.Captures == nil {
		return wire.Captures{}
	}
	return *m.Captures
}

// untilKept waits until so many requests are kept; they are off the caller's way.
func (r *rig) untilKept(model string, n int) {
	r.t.Helper()
	for r.captures(model).Requests < n {
		if r.t.Context().Err() != nil {
			r.t.Fatal("the requests are not kept")
		}
	}
}

// onDisk is all that the registry's folder holds of captured requests.
func (r *rig) onDisk() string {
	r.t.Helper()
	var all strings.Builder
	must(r.t, filepath.WalkDir(filepath.Join(r.root, "captures"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	}))
	return all.String()
}

// TestCapture: requests are kept from the deployment that says so on, only those
// that were answered, without what is redacted, over a restart, until somebody
// erases them.
func TestCapture(t *testing.T) {
	writes := make(chan time.Time)
	r := serve(t, func(s *setup) { s.writes = writes })
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	const secret = "Biscoe-secret"
	row := strings.Replace(goodRow, `"male"`, `"`+secret+`"`, 1)
	r.send("POST", "/v1/models/penguins/predict", `{"instances":[`+row+`]}`)
	if m, err := r.Model(t.Context(), parse(t, "penguins")); err != nil || m.Captures != nil {
		t.Errorf("before it is asked for: %+v, %v", m.Captures, err)
	}
	d, err := r.Deploy(t.Context(), "penguins", wire.Deploy{Traffic: wire.Traffic{Stable: 1, Capture: &wire.Capture{Share: 1, Redact: []string{"sex", "scores"}}}})
	if err != nil || d.Capture.Share != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	for path, body := range map[string]string{
		"/v1/models/penguins/predict":            `{"instances":[` + row + `],"id":"` + secret + `"}`,
		"/v1/models/penguins/versions/1/predict": `{"instances":[{"island":"Dream"}]}`, // names a version, and is refused
	} {
		r.send("POST", path, body)
	}
	wantProblem(t, r.send("POST", "/v1/models/penguins/predict", `{"instances":[{"island":"`+secret+`"}]}`), 400, "invalid-input")
	columns := `{"inputs":{"island":["Dream","Biscoe"],"sex":["` + secret + `","x"],"body mass (g)":[1,2],"year":[1,2],"scores":[[9,9,9],[8,8,8]]}}`
	if a := r.send("POST", "/v1/models/penguins/predict", columns); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	r.untilKept("penguins", 2)
	writes <- time.Now()
	writes <- time.Now() // the one before is done when this one is taken
	kept := r.onDisk()
	if strings.Contains(kept, secret) || strings.Count(kept, "\n") != 2 {
		t.Errorf("kept:\n%s", kept)
	}
	for _, want := range []string{
		`{"instances":[{"body mass (g)":3750.5,"island":"Dream","scores":[0.5,0.25,0.25],"sex":"male","year":2007}]}`,
		`{"inputs":{"body mass (g)":[1,2],"island":["Dream","Biscoe"],"scores":[[0.5,0.25,0.25],[0.5,0.25,0.25]],"sex":["male","male"],"year":[1,2]}}`,
	} {
		if !strings.Contains(kept, want) {
			t.Errorf("%s is not in\n%s", want, kept)
		}
	}

	after := serve(t, func(s *setup) { s.root = r.root })
	if c := after.captures("penguins"); c.Requests != 2 || c.Since == nil || c.Bytes != int64(len(kept)) {
		t.Errorf("after a restart: %+v", c)
	}
	gone, err := after.EraseCaptures(t.Context(), "penguins")
	if err != nil || gone.Requests != 2 {
		t.Errorf("%+v, %v", gone, err)
	}
	if left := r.onDisk(); left != "" || after.captures("penguins").Requests != 0 {
		t.Errorf("left: %s", left)
	}
	wantProblem(t, r.send("DELETE", "/v1/models/nobody/captures", ""), 404, "model-not-found")
}

// TestCaptureOfUnknownColumns is refused: misspelt, it would keep the values.
func TestCaptureOfUnknownColumns(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	wantProblem(t, r.send("POST", "/v1/models/penguins/deployments", `{"capture":{"share":0.5,"redact":["sexx"]}}`),
		400, "invalid-request", "capture.redact[0] request")
	wantProblem(t, r.send("POST", "/v1/models/penguins/deployments", `{"capture":{"share":0.5,"redact":["sex",""]}}`),
		400, "invalid-request", "capture.redact[1] request")
	if d := r.deployedTo("penguins", `{"capture":{"share":0.5,"redact":["sex","body mass (g)"]}}`); d.Stable != 1 || len(d.Capture.Redact) != 2 {
		t.Errorf("%+v", d)
	}
}

func (r *rig) deployedTo(model, body string) (d wire.Deployment) {
	r.t.Helper()
	a := r.send("POST", "/v1/models/"+model+"/deployments", body)
	if a.StatusCode != 201 {
		r.t.Fatalf("%s: %d %s", body, a.StatusCode, a.body)
	}
	must(r.t, json.Unmarshal(a.body, &d))
	return d
}

// rehearsed rehearses, and waits for the end.
func (r *rig) rehearsed(model string, asked wire.Rehearse) wire.Divergence {
	r.t.Helper()
	found, err := r.Rehearse(r.t.Context(), model, asked, 0, nil)
	must(r.t, err)
	return found
}

// TestRehearseGolden: without captured requests the golden ones are replayed, on
// versions that are not loaded, which are let go again.
func TestRehearseGolden(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	other := penguins(t)
	other["signature.json"] = strings.Replace(other["signature.json"], `"name":"label","kind":"label"`, `"name":"place","kind":"label"`, 1)
	other["golden/answers.jsonl.gz"] = zipped(t, `{"id":"a","predictions":[`+strings.Replace(goodAnswer, "label", "place", 1)+`]}`)
	_, err := r.Push(t.Context(), "penguins", bodyOf(other.tar(t, "penguins"), false))
	must(t, err)
	before := r.engine.Open()
	found := r.rehearsed("penguins", wire.Rehearse{Version: 2})
	if found.Replayed != "golden" || found.Requests != 1 || found.Rows != 1 || found.DisagreeingRows != 0 || found.From.Version != 1 ||
		found.To.Version != 2 || len(found.OnlyFrom) != 1 || found.OnlyFrom[0] != "label" || found.OnlyTo[0] != "place" {
		t.Errorf("%+v", found)
	}
	if now := r.engine.Open(); now != before {
		t.Errorf("%d sessions are open, were %d", now, before)
	}
	if v, err := r.Version(t.Context(), "penguins", 2); err != nil || v.Loaded {
		t.Errorf("%+v, %v", v, err)
	}
	if strings.Contains(r.metrics(), `version="2"`) {
		t.Error("a rehearsal is counted among the requests of clients")
	}
	if o := r.manager.Operations()[0].Describe(nil); o.Kind != "rehearsal" || o.Done != 1 || o.Total != 1 || o.Divergence == nil || o.Result != nil {
		t.Errorf("%+v", o)
	}
}

// TestRehearseCaptured replays what clients have asked, with the values that
// differ and what only one of the versions takes.
func TestRehearseCaptured(t *testing.T) {
	add := map[string]float32{"b": 1000}
	r := serve(t, func(s *setup) {
		s.engine = &engine.Fake{Compute: func(_ context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if markOf(g) == "c" {
				return nil, errors.New("secret")
			}
			out, err := sums(add)(g, in[0])
			return []*tensor.Tensor{out}, err
		}}
	})
	r.alike("a", "b", "c")
	_, err := r.Push(t.Context(), "iris", bodyOf(identity(port{"z", float32Type, 2}), true)) // version 4 has another column
	must(t, err)
	r.deployed(`{"stable":1,"capture":{"share":1}}`)
	for i := range 20 {
		if a := r.send("POST", "/v1/models/iris/predict", fmt.Sprintf(`{"instances":[{"x":[%d,%d]}]}`, i, -i), "X-Request-Id", fmt.Sprint("r", i)); a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	r.untilKept("iris", 20)

	found := r.rehearsed("iris", wire.Rehearse{Version: 2})
	if found.Replayed != "captured" || found.Requests != 20 || found.DisagreeingRows != 20 || found.From.Version != 1 || found.Skipped != 0 {
		t.Errorf("%+v", found)
	}
	if e := found.Examples[0]; !strings.HasPrefix(e.RequestID, "r") || !strings.HasPrefix(string(e.Input), `{"x":[`) {
		t.Errorf("%+v", e)
	}
	if found := r.rehearsed("iris", wire.Rehearse{Version: 2, Limit: 5}); found.Requests != 5 || found.Since.IsZero() {
		t.Errorf("five of them: %+v", found)
	}
	if found := r.rehearsed("iris", wire.Rehearse{Version: 1, Against: 2, Limit: 3}); found.From.Version != 2 || found.To.Version != 1 {
		t.Errorf("against another: %+v", found)
	}
	found = r.rehearsed("iris", wire.Rehearse{Version: 3})
	if f := found.To; f.Failed != 20 || f.Failures[0].Code != "internal" || strings.Contains(f.Failures[0].Last, "secret") || found.Rows != 0 {
		t.Errorf("one that fails: %+v", found)
	}
	found = r.rehearsed("iris", wire.Rehearse{Version: 4})
	if f := found.To; f.Failed != 20 || f.Failures[0].Code != "invalid-input" || !strings.Contains(f.Failures[0].Last, "instances[0].x: the model has no column") {
		t.Errorf("one of another signature: %+v", found)
	}
	if f := found.From; f.Failed != 0 || f.RunSeconds == nil {
		t.Errorf("%+v", f)
	}
	if n := r.captures("iris").Requests; n != 20 {
		t.Errorf("%d are kept: the replayed ones were kept, too", n)
	}
	_, err = r.EraseCaptures(t.Context(), "iris")
	must(t, err)
	for _, o := range r.manager.Operations() {
		if d := o.Describe(nil).Divergence; o.Describe(nil).Kind == "rehearsal" && (d == nil || len(d.Examples) > 0) {
			t.Errorf("after the erasure a rehearsal still shows %+v", d)
		}
	}
}

func TestBadRehearsals(t *testing.T) {
	r := serve(t)
	r.alike("a", "b")
	rehearsals := "/v1/models/iris/rehearsals"
	wantProblem(t, r.send("POST", rehearsals, `{"version":1}`), 409, "nothing-deployed")
	wantProblem(t, r.send("POST", rehearsals, `{"version":1,"against":2}`), 409, "nothing-to-replay")
	r.deployed(`{"stable":1}`)
	for body, place := range map[string]string{
		`{}`:                            "version request",
		`{"version":-1}`:                "version request",
		`{"version":"2"}`:               "version request",
		`{"version":2,"against":-1}`:    "against request",
		`{"version":1}`:                 "against request",
		`{"version":2,"limit":-1}`:      "limit request",
		`{"version":2,"limit":100001}`:  "limit request",
		`{"version":2,"with":"golden"}`: "with request",
	} {
		wantProblem(t, r.send("POST", rehearsals, body), 400, "invalid-request", place)
	}
	wantProblem(t, r.send("POST", rehearsals+"?wait=soon", `{"version":2}`), 400, "invalid-request", "?wait request")
	wantProblem(t, r.send("POST", rehearsals, `{"version":9}`), 404, "version-not-found")
	wantProblem(t, r.send("POST", rehearsals, `{"version":2,"against":9}`), 404, "version-not-found")
	wantProblem(t, r.send("POST", "/v1/models/nobody/rehearsals", `{"version":1}`), 404, "model-not-found")
	wantProblem(t, r.send("POST", rehearsals, `{"version":2}`), 409, "nothing-to-replay")
}

// TestRehearsalGoesOnAsAnOperation: it answers 202 where it takes its time, goes
// on without the client, and ends with the server.
func TestRehearsalGoesOnAsAnOperation(t *testing.T) {
	running, proceed := make(chan struct{}), make(chan struct{})
	r := serve(t, func(s *setup) {
		s.host, s.api.RequestTimeout = host.Options{Runs: 1}, 5*time.Second
		s.engine = &engine.Fake{Compute: func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if markOf(g) == "b" {
				select {
				case running <- struct{}{}:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				select {
				case <-proceed:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			out, err := sums(nil)(g, in[0])
			return []*tensor.Tensor{out}, err
		}}
	})
	r.alike("a", "b")
	r.deployed(`{"stable":1,"capture":{"share":1}}`)
	r.by("")
	r.untilKept("iris", 1)
	a := r.send("POST", "/v1/models/iris/rehearsals?wait=0s", `{"version":2}`)
	var o wire.Operation
	must(t, json.Unmarshal(a.body, &o))
	if a.StatusCode != 202 || a.Header.Get("Location") != "/v1/operations/"+o.ID || o.Kind != "rehearsal" || o.Model != "iris" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	<-running
	if version := r.by(""); version != "1" { // callers have runs of their own
		t.Errorf("%s", version)
	}
	if now, err := r.Operation(t.Context(), o.ID); err != nil || now.State != "running" || now.Divergence != nil {
		t.Errorf("%+v, %v", now, err)
	}
	proceed <- struct{}{}
	outcome, _, err := r.manager.Operations()[0].Wait(t.Context())
	if err != nil || outcome.Divergence.Requests != 1 || outcome.Divergence.DisagreeingRows != 0 {
		t.Errorf("%+v, %v", outcome.Divergence, err)
	}
	if now, err := r.Operation(t.Context(), o.ID); err != nil || now.State != "succeeded" || now.Divergence.Requests != 1 || now.Result != nil {
		t.Errorf("%+v, %v", now, err)
	}

	r.send("POST", "/v1/models/iris/rehearsals?wait=0s", `{"version":2}`)
	<-running
	r.manager.Close()
	if _, ended, err := r.manager.Operations()[0].Wait(t.Context()); !ended || err == nil || !strings.Contains(err.Error(), "the rehearsal was not ended") {
		t.Errorf("ended %v, %v", ended, err)
	}
}

// TestAVersionThatHangsIsGivenUp after a few requests, and the rest is said to be
// left out.
func TestAVersionThatHangsIsGivenUp(t *testing.T) {
	r := serve(t, func(s *setup) {
		s.runTimeout = 20 * time.Millisecond
		s.engine = &engine.Fake{Compute: func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if markOf(g) == "b" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			out, err := sums(nil)(g, in[0])
			return []*tensor.Tensor{out}, err
		}}
	})
	r.alike("a", "b")
	r.deployed(`{"stable":1,"capture":{"share":1}}`)
	for range 8 {
		r.by("")
	}
	r.untilKept("iris", 8)
	found := r.rehearsed("iris", wire.Rehearse{Version: 2})
	if found.To.Failed != 3 || found.To.Failures[0].Code != "deadline" || found.Skipped != 5 || found.From.Failed != 0 {
		t.Errorf("%+v", found)
	}
}

// TestOtherRowsCannotBeCompared: a request whose columns have lengths of their
// own is as many rows as the first one has, which need not be the first of another version.
func TestOtherRowsCannotBeCompared(t *testing.T) {
	r := serve(t)
	for _, ports := range [][]port{{{"p", float32Type, 2}, {"q", float32Type, 2}}, {{"q", float32Type, 2}, {"p", float32Type, 2}}} {
		parts := bytes.Split(identity(ports...), []byte("\x12\x01n"))
		model := append(bytes.Join(parts[:3], []byte("\x12\x01n")), "\x12\x01m"...)
		_, err := r.Push(t.Context(), "iris", bodyOf(append(model, bytes.Join(parts[3:], []byte("\x12\x01m"))...), true))
		must(t, err)
	}
	r.deployed(`{"stable":1,"shadow":2,"capture":{"share":1}}`)
	if a := r.send("POST", "/v1/models/iris/predict", `{"inputs":{"p":[[1,2],[3,4],[5,6]],"q":[[7,8]]}}`); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	r.untilKept("iris", 1)
	found := r.rehearsed("iris", wire.Rehearse{Version: 2})
	if found.Rows != 0 || found.To.Failed != 1 || found.To.Failures[0].Last != "The request is 1 row to it, and 3 rows to the other version." {
		t.Errorf("%+v", found)
	}
	for {
		shadow, err := r.Divergence(t.Context(), "iris", 2)
		must(t, err)
		if shadow.To.Failed == 1 && shadow.Rows == 0 {
			break
		}
		if shadow.Rows > 0 || t.Context().Err() != nil {
			t.Fatalf("the shadow's: %+v", shadow)
		}
	}
}

// TestRehearsalsThatWaitAreBounded: each holds the requests that it replays.
func TestRehearsalsThatWaitAreBounded(t *testing.T) {
	r := serve(t, func(s *setup) {
		s.engine = &engine.Fake{Compute: func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if markOf(g) == "b" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			out, err := sums(nil)(g, in[0])
			return []*tensor.Tensor{out}, err
		}}
	})
	r.alike("a", "b")
	r.deployed(`{"stable":1,"capture":{"share":1}}`)
	r.by("")
	r.untilKept("iris", 1)
	const most = 8
	for range most {
		if a := r.send("POST", "/v1/models/iris/rehearsals?wait=0s", `{"version":2}`); a.StatusCode != 202 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	wantProblem(t, r.send("POST", "/v1/models/iris/rehearsals?wait=0s", `{"version":2}`), 503, "overloaded")
}
