package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// golden replaces the golden set by n requests of one row, whose answers have
// this mass; the model echoes 3750.5.
func (f files) golden(t testing.TB, n int, mass string) files {
	t.Helper()
	var requests, answers strings.Builder
	for i := range n {
		fmt.Fprintf(&requests, `{"id":"r%d","why":"hold-out","body":{"instances":[%s]}}`+"\n", i, goodRow)
		fmt.Fprintf(&answers, `{"id":"r%d","predictions":[%s]}`+"\n", i, strings.Replace(goodAnswer, "3750.5", mass, 1))
	}
	return f.with("golden/requests.jsonl.gz", zipped(t, requests.String())).with("golden/answers.jsonl.gz", zipped(t, answers.String()))
}

// echo answers as the fake engine does by itself, off times the float64 numbers.
func echo(inputs []*tensor.Tensor, off float64) []*tensor.Tensor {
	var out []*tensor.Tensor
	for _, x := range inputs {
		y := &tensor.Tensor{Type: x.Type, Shape: slices.Clone(x.Shape), Data: slices.Clone(x.Data), Strings: slices.Clone(x.Strings)}
		if y.Type == tensor.Float64 {
			for i := range tensor.View[float64](y) {
				tensor.View[float64](y)[i] *= off
			}
		}
		out = append(out, y)
	}
	return out
}

// TestSkewIsRefused: a bundle whose answers are not the server's is refused
// with a report that shows where, and leaves nothing.
func TestSkewIsRefused(t *testing.T) {
	r := serve(t)
	p := wantProblem(t, r.upload("penguins", "application/x-tar", penguins(t).golden(t, 8, "3751").tar(t, "penguins")), 422, "parity-failed",
		"request r0 parity", "request r1 parity", "request r2 parity", "request r3 parity", "request r4 parity")
	for _, words := range []string{"8 of 8 rows", "Nothing was registered", "allow_parity_failure"} {
		if !strings.Contains(p.Detail, words) {
			t.Errorf("%q does not say %q", p.Detail, words)
		}
	}
	if !strings.Contains(p.Errors[0].Detail, "mass: expected 3751, got 3750.5: 0.5 apart") {
		t.Errorf("%q", p.Errors[0].Detail)
	}
	var report wire.Report
	must(t, json.Unmarshal(p.Report, &report))
	if report.Passed || report.Model != "penguins" || report.FailedRows != 8 || len(report.Worst) != 8 || report.Outputs[1].Failed != 8 || report.Outputs[0].Failed != 0 {
		t.Errorf("%+v", report)
	}
	if w := report.Worst[0]; w.Distance != 0.5 || string(w.Expected) != "3751" || !bytes.Contains(w.Input, []byte(`"island":"Dream"`)) {
		t.Errorf("%+v", w)
	}
	r.untouched("penguins")

	// One row beyond is one finding; a request that the server refuses is told.
	bad := penguins(t).with("golden/requests.jsonl.gz", zipped(t, `{"id":"a","why":"missing","body":{"instances":[`+row("2007", "null")+`]}}`))
	p = wantProblem(t, r.upload("penguins", "application/x-tar", bad.tar(t, "penguins")), 422, "parity-failed", "request a parity")
	if !strings.Contains(p.Errors[0].Detail, "400 invalid-input") || !strings.Contains(p.Errors[0].Detail, "instances[0].year") {
		t.Errorf("%q", p.Errors[0].Detail)
	}
	// NaN against a number has no distance, and is a report all the same.
	p = wantProblem(t, r.upload("penguins", "application/x-tar", penguins(t).golden(t, 1, "null").tar(t, "penguins")), 422, "parity-failed")
	must(t, json.Unmarshal(p.Report, &report))
	if report.Worst[0].Distance != math.MaxFloat64 {
		t.Errorf("%+v", report.Worst)
	}
	// A golden set that cannot be read is the bundle's fault.
	none := penguins(t).with("golden/answers.jsonl.gz", zipped(t, `{"id":"a","predictions":1}`))
	wantProblem(t, r.upload("penguins", "application/x-tar", none.tar(t, "penguins")), 422, "invalid-bundle")
	apart := penguins(t).with("golden/answers.jsonl.gz", zipped(t, `{"id":"b","predictions":[]}`))
	wantProblem(t, r.upload("penguins", "application/x-tar", apart.tar(t, "penguins")), 422, "invalid-bundle")
	r.untouched("penguins")
}

// TestTypesOfTheGraph: an output whose signature leaves its type to the graph
// is compared as what it is, and not for equality.
func TestTypesOfTheGraph(t *testing.T) {
	r := serve(t)
	f := penguins(t)
	untyped := strings.Replace(f["signature.json"], `"from":"mass_out","type":"float64"`, `"from":"mass_out"`, 1)
	if untyped == f["signature.json"] {
		t.Fatal("the signature has no such output")
	}
	near := f.with("signature.json", untyped).golden(t, 1, "3750.5000000001")
	if a := r.upload("penguins", "application/x-tar", near.tar(t, "penguins")); a.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	var report wire.Report
	must(t, json.Unmarshal(r.send("GET", "/v1/models/penguins/versions/1/report", "").body, &report))
	if o := report.Outputs[1]; o.Type != "float64" || o.Tolerance.Rel != 1e-9 || o.Worst == 0 {
		t.Errorf("%+v", o)
	}
}

// TestOverridden: what was let in on purpose says so wherever it is shown.
func TestOverridden(t *testing.T) {
	r := serve(t)
	tarred := string(penguins(t).golden(t, 3, "3751").tar(t, "penguins"))
	push := func(query string) answer {
		return r.send("POST", "/v1/models/penguins/versions"+query, tarred, "Content-Type", "application/x-tar")
	}
	for query, place := range map[string]string{
		"?allow_parity_failure=1": "?allow_parity_failure", "?allow_parity_failure=TRUE": "?allow_parity_failure",
		"?wait=1": "?wait", "?wait=-1s": "?wait", "?wait=11m": "?wait", "?wait=soon": "?wait",
	} {
		wantProblem(t, push(query), 400, "invalid-request", place+" request")
	}
	wantProblem(t, push("?allow_parity_failure=false"), 422, "parity-failed")
	r.untouched("penguins")

	a := push("?allow_parity_failure=true")
	var v wire.Published
	must(t, json.Unmarshal(a.body, &v))
	if a.StatusCode != http.StatusCreated || v.Parity != "overridden" || v.Report == "" || a.Header.Get("Location") != "/v1/models/penguins/versions/1" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if again := push(""); again.StatusCode != http.StatusOK || !bytes.Contains(again.body, []byte(`"parity":"overridden"`)) {
		t.Errorf("pushed again: %d %s", again.StatusCode, again.body)
	}
	_, err := r.Deploy(t.Context(), "penguins", wire.Deploy{Traffic: wire.Stable(1)})
	must(t, err)
	r.shows("penguins", 1, "overridden")
	var report wire.Report
	must(t, json.Unmarshal(r.send("GET", v.Report, "").body, &report))
	if report.Passed || report.FailedRows != 3 {
		t.Errorf("%+v", report)
	}
	// A good bundle is proven, whatever would have been allowed.
	tarred = string(penguins(t).tar(t, "penguins"))
	if a := push("?allow_parity_failure=true"); !bytes.Contains(a.body, []byte(`"parity":"proven"`)) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// shows holds every place that shows the parity of the version in traffic.
func (r *rig) shows(model string, n int, parity string) {
	r.t.Helper()
	m, err := r.Model(r.t.Context(), parse(r.t, model))
	must(r.t, err)
	v, err := r.Version(r.t.Context(), model, n)
	must(r.t, err)
	list, err := r.Versions(r.t.Context(), model)
	must(r.t, err)
	a := r.send("POST", "/v1/models/"+model+"/predict", rows(goodRow))
	header := a.Header.Get("Tenon-Parity")
	if m.Parity != parity || v.Parity != parity || list.Versions[len(list.Versions)-n].Parity != parity || header != parity || a.StatusCode != 200 {
		r.t.Errorf("%s/%d is %s, %s, %s and in the header %s, want %s", model, n, m.Parity, v.Parity, list.Versions[len(list.Versions)-n].Parity, header, parity)
	}
}

// other is a second store on the rig's registry, as another process has one.
func (r *rig) other() *registry.Store {
	r.t.Helper()
	store, err := registry.Open(r.root, registry.Options{})
	must(r.t, err)
	return store
}

// TestFailedLater: a version whose later examination failed takes no new
// traffic, and is not taken from what it has.
func TestFailedLater(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	failed := registry.NewVersion{Parity: registry.ParityFailed, Report: []byte(`{"passed":false}`)}
	must(t, r.other().RecordExamined(t.Context(), "penguins", 1, failed, registry.Stamp{Actor: "examination"}))

	const deployments, champion = "/v1/models/penguins/deployments", "/v1/models/penguins/aliases/champion"
	p := wantProblem(t, r.send("POST", deployments, `{"stable":1}`), 422, "parity-failed")
	if !strings.Contains(p.Detail, "penguins/1") {
		t.Errorf("%q", p.Detail)
	}
	wantProblem(t, r.send("PUT", champion, `{"version":1}`), 422, "parity-failed")
	if a := r.send("GET", "/v1/models/penguins/versions/1/report", ""); string(a.body) != `{"passed":false}` {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r.pushed("penguins", penguins(t).golden(t, 2, "3750.5").tar(t, "penguins"))
	if a := r.send("POST", "/v1/models/penguins/versions/1/predict", rows(goodRow)); a.StatusCode != 200 || a.Header.Get("Tenon-Parity") != "failed" {
		t.Errorf("the version before: %d, %s", a.StatusCode, a.Header.Get("Tenon-Parity"))
	}
	for _, body := range []string{"", `{"to":1}`} {
		wantProblem(t, r.send("POST", "/v1/models/penguins/rollback", body), 422, "parity-failed")
	}
	r.shows("penguins", 2, "proven")

	// It is live again after a start: nothing is taken down.
	before := serve(t)
	before.pushed("penguins", penguins(t).tar(t, "penguins"))
	must(t, before.other().RecordExamined(t.Context(), "penguins", 1, failed, registry.Stamp{Actor: "examination"}))
	after := serve(t, func(s *setup) { s.root = before.root })
	after.shows("penguins", 1, "failed")
}

// stored registers a bundle as a release without examinations did, and puts it
// into traffic.
func stored(t testing.TB, store *registry.Store, model string, tarred []byte) {
	t.Helper()
	in, err := store.Ingest()
	must(t, err)
	_, err = bundle.Receive(bytes.NewReader(tarred), in, bundle.Limits{})
	must(t, err)
	v, err := store.AddVersion(t.Context(), model, in, registry.NewVersion{Parity: registry.ParityNotProven}, registry.Stamp{Actor: "ada"})
	must(t, err)
	must(t, in.Discard())
	_, err = store.Deploy(t.Context(), model, registry.NewDeployment{Traffic: wire.Stable(v.Number)}, registry.Stamp{Actor: "ada"})
	must(t, err)
}

// TestEarlierVersions: what was registered before there were examinations is
// examined beside the serving; the verdict shows at once, on the session that
// serves.
func TestEarlierVersions(t *testing.T) {
	root := t.TempDir()
	store, err := registry.Open(root, registry.Options{})
	must(t, err)
	stored(t, store, "a-good-one", penguins(t).golden(t, 3, "3750.5").tar(t, ""))
	stored(t, store, "a-wrong-one", penguins(t).golden(t, 3, "3751").tar(t, ""))
	stored(t, store, "without", penguins(t).with("golden/requests.jsonl.gz", "").with("golden/answers.jsonl.gz", "").tar(t, ""))
	var loads atomic.Int64
	r := serve(t, func(s *setup) {
		s.root = root
		s.engine = &engine.Fake{Refuse: func(engine.Graph) error { loads.Add(1); return nil }}
	})
	if line := r.log.wait(t, "an earlier version was examined", ""); line["model"] != "a-good-one" || line["parity"] != "proven" {
		t.Errorf("%v", line)
	}
	if line := r.log.wait(t, "an earlier version does not answer as its pipeline did", ""); line["model"] != "a-wrong-one" || line["level"] != "ERROR" {
		t.Errorf("%v", line)
	}
	r.shows("a-good-one", 1, "proven")
	r.shows("a-wrong-one", 1, "failed")
	r.shows("without", 1, "not-proven")
	for model, passed := range map[string]bool{"a-good-one": true, "a-wrong-one": false} {
		var report wire.Report
		must(t, json.Unmarshal(r.send("GET", "/v1/models/"+model+"/versions/1/report", "").body, &report))
		if report.Passed != passed || report.Rows != 3 || report.Model != model {
			t.Errorf("%s: %+v", model, report)
		}
	}
	wantProblem(t, r.send("GET", "/v1/models/without/versions/1/report", ""), 404, "report-not-found")
	if n, open := loads.Load(), r.engine.Open(); n != 5 || open != 3 { // three live ones, two examined
		t.Errorf("%d were loaded, %d are open", n, open)
	}
	if records, err := r.other().Log("a-good-one"); err != nil || len(records) != 3 || records[2].Kind != registry.KindExamined {
		t.Errorf("%+v, %v", records, err)
	}
}

// TestWarmUp: the session that is to serve is asked first. One that does not
// answer as the version was proven to is not routed, and nothing is recorded.
func TestWarmUp(t *testing.T) {
	var off atomic.Bool
	r := serve(t, func(s *setup) {
		s.engine = &engine.Fake{Compute: func(_ context.Context, _ engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if off.Load() {
				return echo(inputs, 1.01), nil
			}
			return echo(inputs, 1), nil
		}}
	})
	tarred := penguins(t).golden(t, 9, "3750.5").tar(t, "penguins")
	_, err := r.Push(t.Context(), "penguins", bodyOf(tarred, false))
	must(t, err)
	const deployments, champion = "/v1/models/penguins/deployments", "/v1/models/penguins/aliases/champion"
	off.Store(true)
	p := wantProblem(t, r.send("POST", deployments, `{"stable":1}`), 422, "parity-failed")
	var report wire.Report
	must(t, json.Unmarshal(p.Report, &report))
	if report.FailedRows == 0 || report.Rows >= 9 || !strings.Contains(p.Detail, "penguins/1") {
		t.Errorf("%q %+v", p.Detail, report)
	}
	wantProblem(t, r.send("PUT", champion, `{"version":1}`), 422, "parity-failed")
	wantProblem(t, r.send("POST", "/v1/models/penguins/predict", rows(goodRow)), 409, "nothing-deployed")
	m, err := r.Model(t.Context(), parse(t, "penguins"))
	if records, _ := r.other().Log("penguins"); err != nil || len(records) != 1 || m.Deployment != nil || len(m.Aliases) != 0 || r.engine.Open() != 0 {
		t.Errorf("%d records, %+v, %d sessions", len(records), m, r.engine.Open())
	}
	off.Store(false)
	_, err = r.Deploy(t.Context(), "penguins", wire.Deploy{Traffic: wire.Stable(1)})
	must(t, err)
	r.shows("penguins", 1, "proven")
}

// TestProbesAreNotCounted: the server's own requests are in no metric and no
// log, and the clients' are.
func TestProbesAreNotCounted(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).golden(t, 9, "3750.5").tar(t, "penguins"))
	for _, name := range []string{"tenon_predictions_total{", "tenon_rows_total{", "tenon_run_seconds_count{", `/predict`} {
		if strings.Contains(r.metrics(), name) {
			t.Errorf("an examination is counted in %s", name)
		}
	}
	r.send("POST", "/v1/models/penguins/predict", rows(goodRow), "X-Request-Id", "a-client")
	r.log.wait(t, "request", "a-client")
	if !strings.Contains(r.metrics(), `tenon_rows_total{model="penguins",version="1"} 1`) {
		t.Error("a client's row is not counted")
	}
	for _, line := range r.log.find("request", "") {
		if path, _ := line["path"].(string); strings.HasSuffix(path, "/predict") && line["request_id"] != "a-client" {
			t.Errorf("%v", line)
		}
	}
}
