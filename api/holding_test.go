package api_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// faulty is an engine that can be made to answer 1 % too much, and counts its
// runs.
type faulty struct {
	engine.Fake
	off  atomic.Bool
	runs atomic.Int64
}

func newFaulty() *faulty {
	f := &faulty{}
	f.Compute = func(_ context.Context, _ engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		f.runs.Add(1)
		if f.off.Load() {
			return echo(inputs, 1.01), nil
		}
		return echo(inputs, 1), nil
	}
	return f
}

// elsewhere is a server on the registry whose runtime has another name.
func elsewhere(t *testing.T, root, runtime string, off bool) *rig {
	f := newFaulty()
	f.off.Store(off)
	return serve(t, func(s *setup) { s.root, s.runtime, s.engine = root, runtime, &f.Fake })
}

// examined counts a model's records of later verdicts.
func (r *rig) examined(model string) (n int) {
	r.t.Helper()
	records, err := r.other().Log(model)
	must(r.t, err)
	for _, record := range records {
		if record.Kind == registry.KindExamined {
			n++
		}
	}
	return n
}

// TestAnotherRuntime: live versions whose verdict was found with another engine
// or processor serve at once and are examined again. One that fails then is
// marked, goes on, and is deployed nowhere; where it answers rightly again, it
// is proven again.
func TestAnotherRuntime(t *testing.T) {
	first := elsewhere(t, t.TempDir(), "one", false)
	for _, name := range []string{"live", "aliased", "idle", "let-in"} {
		mass := "3750.5"
		if name == "let-in" {
			mass = "3751"
		}
		a := first.send("POST", "/v1/models/"+name+"/versions?allow_parity_failure=true",
			string(penguins(t).golden(t, 3, mass).tar(t, name)), "Content-Type", "application/x-tar")
		if a.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	for _, name := range []string{"live", "let-in"} {
		_, err := first.Deploy(t.Context(), name, wire.Deploy{Traffic: wire.Stable(1)})
		must(t, err)
	}
	_, err := first.SetAlias(t.Context(), "aliased", "champion", wire.SetAlias{Version: 1})
	must(t, err)

	// The same runtime: nothing is done again.
	same := elsewhere(t, first.root, "one", true)
	same.manager.Close()
	if n := same.examined("live"); n != 0 {
		t.Errorf("%d later verdicts with the same runtime", n)
	}

	other := elsewhere(t, first.root, "another", true)
	waitFor(t, other, "live", "aliased", "let-in")
	other.shows("live", 1, "failed")
	other.shows("let-in", 1, "overridden")
	for _, line := range other.log.find("an earlier version does not answer as its pipeline did", "") {
		if line["level"] != "ERROR" || line["before"] != "one" || line["now"] != "another" || line["model"] == "let-in" {
			t.Errorf("%v", line)
		}
	}
	if n := other.examined("idle"); n != 0 {
		t.Errorf("%d later verdicts on a version that nobody uses", n)
	}
	wantProblem(t, other.send("POST", "/v1/models/live/deployments", `{"stable":1}`), 422, "parity-failed")
	if got := series(other.metrics(), "tenon_parity_ok"); !slices.Contains(got, `tenon_parity_ok{model="live",version="1"} 0`) {
		t.Errorf("%v", got)
	}
	// What becomes live here is examined here.
	other.engine.Compute = nil
	_, err = other.Deploy(t.Context(), "idle", wire.Deploy{Traffic: wire.Stable(1)})
	must(t, err)
	waitFor(t, other, "idle")

	back := elsewhere(t, first.root, "one", false)
	waitFor(t, back, "live", "aliased", "idle")
	back.shows("live", 1, "proven")
	if _, err := back.Deploy(t.Context(), "live", wire.Deploy{Traffic: wire.Stable(1)}); err != nil {
		t.Error(err)
	}
}

// waitFor waits for a later verdict on each of the models.
func waitFor(t *testing.T, r *rig, models ...string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for _, model := range models {
		for {
			changed := r.log.changed()
			told := slices.Concat(r.log.find("an earlier version was examined", ""),
				r.log.find("an earlier version does not answer as its pipeline did", ""))
			if slices.ContainsFunc(told, func(line map[string]any) bool { return line["model"] == model }) {
				break
			}
			select {
			case <-changed:
			case <-late:
				t.Fatalf("%s was not examined", model)
			}
		}
	}
}

// probed is a server with two live models whose golden sets have nine requests
// each, and one that was let in.
func probed(t *testing.T, change ...func(*setup)) (*rig, *faulty) {
	f := newFaulty()
	r := serve(t, append(change, func(s *setup) { s.engine = &f.Fake })...)
	for _, name := range []string{"a", "b", "let-in"} {
		mass := "3750.5"
		if name == "let-in" {
			mass = "3751"
		}
		a := r.send("POST", "/v1/models/"+name+"/versions?allow_parity_failure=true",
			string(penguins(t).golden(t, 9, mass).tar(t, name)), "Content-Type", "application/x-tar")
		if a.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		_, err := r.Deploy(t.Context(), name, wire.Deploy{Traffic: wire.Stable(1)})
		must(t, err)
	}
	return r, f
}

// TestProbe: each live version that is proven is asked in turn; one that
// answers otherwise is told in the log once, in the metric, and of the version
// and its model. It goes on serving.
func TestProbe(t *testing.T) {
	r, f := probed(t)
	before := len(series(r.metrics(), "tenon_rows_total"))
	for range 4 {
		r.manager.ProbeNext(t.Context())
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"a", "b"} {
		m, err := r.Model(t.Context(), parse(t, name))
		must(t, err)
		if want := (&wire.Probe{OK: true, At: at, Rows: 4, Summary: "All 4 rows are what the pipeline answered."}); !reflect.DeepEqual(m.Probe, want) {
			t.Errorf("%s: %+v", name, m.Probe)
		}
	}
	f.off.Store(true)
	for range 4 {
		r.manager.ProbeNext(t.Context())
	}
	v, err := r.Version(t.Context(), "a", 1)
	must(t, err)
	if v.Probe == nil || v.Probe.OK || v.Probe.Summary != "4 of 4 rows are not what the pipeline answered." || v.Parity != "proven" {
		t.Errorf("%+v", v)
	}
	lines := r.log.find("a live version does not answer as its pipeline did", "")
	if len(lines) != 2 || lines[0]["level"] != "ERROR" || lines[0]["model"] != "a" || !strings.Contains(fmt.Sprint(lines[0]["detail"]), "request r8: ") {
		t.Errorf("%v", lines)
	}
	want := []string{
		`tenon_parity_ok{model="a",version="1"} 0`, `tenon_parity_ok{model="b",version="1"} 0`,
	}
	if got := series(r.metrics(), "tenon_parity_ok"); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	want = []string{
		`tenon_parity_probe_total{model="a",result="failed",version="1"} 2`, `tenon_parity_probe_total{model="a",result="ok",version="1"} 2`,
		`tenon_parity_probe_total{model="b",result="failed",version="1"} 2`, `tenon_parity_probe_total{model="b",result="ok",version="1"} 2`,
	}
	if got := series(r.metrics(), "tenon_parity_probe_total"); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	if a := r.send("POST", "/v1/models/a/predict", rows(goodRow)); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}

	f.off.Store(false)
	r.manager.ProbeNext(t.Context())
	if lines := r.log.find("a live version answers as its pipeline did again", ""); len(lines) != 1 || lines[0]["model"] != "a" {
		t.Errorf("%v", lines)
	}
	if got := series(r.metrics(), "tenon_parity_ok"); !slices.Contains(got, `tenon_parity_ok{model="a",version="1"} 1`) {
		t.Errorf("%v", got)
	}
	if after := len(series(r.metrics(), "tenon_rows_total")); after != before+1 {
		t.Errorf("probes are counted among predictions: %d series, %d before", after, before)
	}
}

// TestProbesGoThroughTheGoldenSet: four requests a time, and then from the
// beginning.
func TestProbesGoThroughTheGoldenSet(t *testing.T) {
	r, f := probed(t)
	for _, want := range []int64{4, 4, 1, 4} {
		for range 2 { // of both models
			before := f.runs.Load()
			r.manager.ProbeNext(t.Context())
			if got := f.runs.Load() - before; got != want {
				t.Errorf("%d runs, want %d", got, want)
			}
		}
	}
}

// TestProbesStepBack: where a client has the only run, a probe asks nothing and
// says nothing of the version.
func TestProbesStepBack(t *testing.T) {
	r, f := probed(t, func(s *setup) { s.host = host.Options{Runs: 1} })
	inside, proceed := make(chan struct{}), make(chan struct{})
	right := f.Compute
	f.Compute = func(ctx context.Context, g engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		close(inside)
		<-proceed
		return right(ctx, g, inputs)
	}
	answered := make(chan answer)
	go func() { answered <- r.send("POST", "/v1/models/a/predict", rows(goodRow)) }()
	<-inside
	runs := f.runs.Load()
	r.manager.ProbeNext(t.Context())
	if got := f.runs.Load() - runs; got != 0 {
		t.Errorf("%d runs beside a client's", got)
	}
	close(proceed)
	if a := <-answered; a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if got := series(r.metrics(), "tenon_parity_probe_total"); !reflect.DeepEqual(got, []string{`tenon_parity_probe_total{model="a",result="skipped",version="1"} 1`}) {
		t.Errorf("%v", got)
	}
	if v, err := r.Version(t.Context(), "a", 1); err != nil || v.Probe != nil {
		t.Errorf("%+v, %v", v.Probe, err)
	}
}

// TestTicks: the clock's ticks probe.
func TestTicks(t *testing.T) {
	ticks := make(chan time.Time)
	_, f := probed(t, func(s *setup) { s.ticks = ticks })
	before := f.runs.Load()
	ticks <- time.Time{}
	ticks <- time.Time{} // taken when the first probe has ended
	if f.runs.Load() < before+4 {
		t.Error("a tick does not probe")
	}
}
