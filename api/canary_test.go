package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// alike registers a version of "iris" for each mark, a letter. They take the same
// rows of two numbers, and the engine can tell them by the mark.
func (r *rig) alike(marks ...string) {
	r.t.Helper()
	for _, mark := range marks {
		model := bytes.ReplaceAll(bare(), []byte("\x12\x01n"), []byte("\x12\x01"+mark)) // the symbol of the rows
		_, err := r.Push(r.t.Context(), "iris", bodyOf(model, true))
		must(r.t, err)
	}
}

func markOf(g engine.Graph) string { return g.Inputs[0].Dims[0].Symbol }

// deployed deploys by a body, and returns the deployment.
func (r *rig) deployed(body string) wire.Deployment {
	r.t.Helper()
	a := r.send("POST", "/v1/models/iris/deployments", body)
	if a.StatusCode != 201 {
		r.t.Fatalf("%s: %d %s", body, a.StatusCode, a.body)
	}
	var d wire.Deployment
	must(r.t, json.Unmarshal(a.body, &d))
	return d
}

// by is the version that answers a caller; "" where none does.
func (r *rig) by(caller string) string {
	r.t.Helper()
	a := r.send("POST", "/v1/models/iris/predict", `{"instances":[[1,2]]}`, "Tenon-Caller", caller)
	if a.StatusCode != 200 {
		r.t.Errorf("%d %s", a.StatusCode, a.body)
	}
	return a.Header.Get("Tenon-Version")
}

// TestCanary: it takes its share beside the stable version, is in every answer
// about the model, and comes back after a restart at the step where it was.
func TestCanary(t *testing.T) {
	r := serve(t)
	r.alike("a", "b", "c")
	r.deployed(`{"stable":1}`)
	d := r.deployed(`{"canary":{"version":2,"steps":[1,50],"step":1},"shadow":3,"reason":"retrained","limits":{"min_requests":7}}`)
	if d.Stable != 1 || d.Canary.Share() != 50 || d.Shadow != 3 || *d.Limits.MinRequests != 7 || d.Reason != "retrained" {
		t.Errorf("%+v", d)
	}
	model, err := r.Model(t.Context(), ref.Reference{Model: "iris"})
	if err != nil || model.Deployment.Canary.Version != 2 || model.Stable != 1 {
		t.Errorf("%+v, %v", model.Deployment, err)
	}
	versions, err := r.Versions(t.Context(), "iris")
	must(t, err)
	for i, role := range []string{"shadow", "canary", "stable"} {
		if v := versions.Versions[i]; v.Role != role || !v.Loaded {
			t.Errorf("version %d is %q, loaded %v", v.Version, v.Role, v.Loaded)
		}
	}
	side := map[string]string{}
	for i := range 100 {
		caller := fmt.Sprint("caller ", i)
		side[caller] = r.by(caller)
	}
	after := serve(t, func(s *setup) { s.root = r.root })
	seen := map[string]int{}
	for caller, version := range side {
		seen[version]++
		if again := after.by(caller); again != version {
			t.Errorf("%s was answered by version %s, and by %s after a restart", caller, version, again)
		}
	}
	if seen["1"] < 25 || seen["2"] < 25 || len(seen) != 2 {
		t.Errorf("at 50 %%, callers were answered by %v", seen)
	}
}

// TestACanaryCostsItsCallersNothing: where it fails, or refuses what the stable
// version takes, that one answers.
func TestACanaryCostsItsCallersNothing(t *testing.T) {
	fails := func(_ context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if markOf(g) == "b" {
			return nil, errors.New("it ran out of something")
		}
		if markOf(g) == "d" {
			panic("a bug that only this version meets")
		}
		return []*tensor.Tensor{tensor.New(tensor.Float32, int64(in[0].Rows()), 2)}, nil
	}
	r := serve(t, func(s *setup) { s.engine = &engine.Fake{Compute: fails} })
	r.alike("a", "b")
	_, err := r.Push(t.Context(), "iris", bodyOf(identity(port{"c", float32Type, 3}), true))
	must(t, err)
	r.alike("d")
	r.deployed(`{"stable":1}`)
	for _, canary := range []int{2, 3, 4} {
		r.deployed(fmt.Sprintf(`{"canary":{"version":%d,"steps":[99]},"force":true}`, canary))
		for range 50 {
			if version := r.by(""); version != "1" {
				t.Errorf("version %s answers in the place of %d", version, canary)
			}
		}
	}
	metrics := r.metrics()
	for _, line := range []string{
		`tenon_predictions_total{code="internal",model="iris",version="2"}`,
		`tenon_predictions_total{code="invalid-input",model="iris",version="3"}`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	// What both refuse is the client's fault still.
	wantProblem(t, r.send("POST", "/v1/models/iris/predict", `{"instances":[[1]]}`), 400, "invalid-input", "instances[0] shape")
}

// TestAHangingCanaryLeavesTime for the stable version to answer, also where
// nothing is known of that one yet.
func TestAHangingCanaryLeavesTime(t *testing.T) {
	hangs := func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if markOf(g) == "b" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return []*tensor.Tensor{tensor.New(tensor.Float32, int64(in[0].Rows()), 2)}, nil
	}
	r := serve(t, func(s *setup) {
		s.engine, s.api.RequestTimeout = &engine.Fake{Compute: hangs}, 500*time.Millisecond
	})
	r.alike("a", "b")
	r.deployed(`{"stable":1}`)
	r.deployed(`{"canary":{"version":2,"steps":[99]}}`)
	for range 3 {
		if version := r.by(""); version != "1" {
			t.Errorf("version %q answers", version)
		}
	}
}

// TestRollbackEndsTheCanary first, and goes back a version only then.
func TestRollbackEndsTheCanary(t *testing.T) {
	r := serve(t)
	r.alike("a", "b", "c")
	r.deployed(`{"stable":1}`)
	r.deployed(`{"stable":2}`)
	r.deployed(`{"canary":{"version":3,"steps":[50]},"isolation":"shared"}`)
	back := func() wire.Deployment {
		t.Helper()
		a := r.send("POST", "/v1/models/iris/rollback", "")
		var d wire.Deployment
		must(t, json.Unmarshal(a.body, &d))
		return d
	}
	if d := back(); d.Stable != 2 || d.Canary != nil {
		t.Errorf("%+v", d)
	}
	if d := back(); d.Stable != 1 || d.Canary != nil {
		t.Errorf("%+v", d)
	}
}

func TestBadTraffic(t *testing.T) {
	r := serve(t)
	r.alike("a", "b", "c")
	wantProblem(t, r.send("POST", "/v1/models/iris/deployments", `{"canary":{"version":2,"steps":[5]}}`), 409, "nothing-deployed")
	r.deployed(`{"stable":1}`)
	for name, c := range map[string]struct {
		body, code, place string
		status            int
	}{
		"canary is stable":    {`{"canary":{"version":1,"steps":[5]}}`, "invalid-request", "canary.version request", 400},
		"no version":          {`{"canary":{"steps":[5]}}`, "invalid-request", "canary.version request", 400},
		"no steps":            {`{"canary":{"version":2}}`, "invalid-request", "canary.steps request", 400},
		"empty steps":         {`{"canary":{"version":2,"steps":[]}}`, "invalid-request", "canary.steps request", 400},
		"falling steps":       {`{"canary":{"version":2,"steps":[5,1]}}`, "invalid-request", "canary.steps[1] request", 400},
		"all of it":           {`{"canary":{"version":2,"steps":[5,100]}}`, "invalid-request", "canary.steps[1] request", 400},
		"steps of words":      {`{"canary":{"version":2,"steps":["5"]}}`, "invalid-request", "canary.steps request", 400},
		"no such step":        {`{"canary":{"version":2,"steps":[5],"step":1}}`, "invalid-request", "canary.step request", 400},
		"misspelt":            {`{"canary":{"version":2,"stages":[5]}}`, "invalid-request", "canary.stages request", 400},
		"twice":               {`{"canary":{"version":2,"version":3,"steps":[5]}}`, "invalid-request", "canary.version request", 400},
		"a number":            {`{"canary":2}`, "invalid-request", "canary request", 400},
		"shadow is stable":    {`{"shadow":1}`, "invalid-request", "shadow request", 400},
		"shadow is canary":    {`{"shadow":2,"canary":{"version":2,"steps":[5]}}`, "invalid-request", "canary.version request", 400},
		"negative shadow":     {`{"shadow":-1}`, "invalid-request", "shadow request", 400},
		"limits of nothing":   {`{"stable":1,"limits":{}}`, "invalid-request", "limits request", 400},
		"a limit in words":    {`{"canary":{"version":2,"steps":[5]},"limits":{"max_error_rate":"low"}}`, "invalid-request", "limits.max_error_rate request", 400},
		"capture of nothing":  {`{"capture":{}}`, "invalid-request", "capture.share request", 400},
		"capture of too much": {`{"capture":{"share":1.5}}`, "invalid-request", "capture.share request", 400},
		"no such canary":      {`{"canary":{"version":9,"steps":[5]}}`, "version-not-found", "", 404},
		"no such shadow":      {`{"shadow":9}`, "version-not-found", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			var places []string
			if c.place != "" {
				places = append(places, c.place)
			}
			wantProblem(t, r.send("POST", "/v1/models/iris/deployments", c.body), c.status, c.code, places...)
		})
	}
	list, err := r.Deployments(t.Context(), "iris")
	if err != nil || len(list.Deployments) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if n := r.engine.Open(); n != 1 {
		t.Errorf("%d sessions are open, want that of the stable version", n)
	}
}

// trialOf serves iris/1 with version 2 on trial, and a clock for looks at it.
func trialOf(t *testing.T, compute func(g engine.Graph, in *tensor.Tensor) (*tensor.Tensor, error), body string) (*rig, func()) {
	t.Helper()
	looks := make(chan time.Time)
	r := serve(t, func(s *setup) {
		s.looks = looks
		s.engine = &engine.Fake{Compute: func(_ context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			out, err := compute(g, in[0])
			return []*tensor.Tensor{out}, err
		}}
	})
	r.alike("a", "b", "c")
	r.deployed(`{"stable":1}`)
	r.deployed(body)
	return r, func() { looks <- time.Now() }
}

// sums answers with the row's first number, and one that the version has.
func sums(add map[string]float32) func(g engine.Graph, in *tensor.Tensor) (*tensor.Tensor, error) {
	return func(g engine.Graph, in *tensor.Tensor) (*tensor.Tensor, error) {
		out := tensor.New(tensor.Float32, int64(in.Rows()), 2)
		for i, v := range tensor.View[float32](in) {
			tensor.View[float32](out)[i] = v + add[markOf(g)]
		}
		return out, nil
	}
}

// ask sends requests with different rows until done says so, looking now and then.
func (r *rig) ask(look func(), done func() bool) {
	r.t.Helper()
	for i := 0; !done(); i++ {
		body := fmt.Sprintf(`{"instances":[[%d,%d]]}`, i%17, i%5)
		if a := r.send("POST", "/v1/models/iris/predict", body); a.StatusCode != 200 {
			r.t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if i%10 == 9 {
			look()
		}
		if r.t.Context().Err() != nil {
			r.t.Fatal("it takes too long")
		}
	}
}

func (r *rig) current() wire.Deployment {
	r.t.Helper()
	list, err := r.Deployments(r.t.Context(), "iris")
	must(r.t, err)
	return list.Deployments[0]
}

// TestAGoodCanaryTakesOver, step by step, each in the log with its reason.
func TestAGoodCanaryTakesOver(t *testing.T) {
	r, look := trialOf(t, sums(nil), `{"canary":{"version":2,"steps":[20,60]},"shadow":3,"reason":"retrained"}`)
	look() // nothing was asked, so nothing is known
	if d := r.current(); d.Canary == nil || d.Canary.Step != 0 {
		t.Fatalf("without a request: %+v", d)
	}
	r.ask(look, func() bool { return r.current().Canary == nil })
	d := r.current()
	if d.Stable != 2 || d.Shadow != 3 || d.Actor != "tenon" || !strings.HasPrefix(d.Reason, "canary 2 promoted: ") {
		t.Errorf("%+v", d)
	}
	list, err := r.Deployments(t.Context(), "iris")
	must(t, err)
	step := list.Deployments[1]
	if step.Canary.Step != 1 || step.Stable != 1 || step.Actor != "tenon" || !strings.HasPrefix(step.Reason, "canary 2 advanced: ") {
		t.Errorf("%+v", step)
	}
}

// TestABadCanaryIsTakenOut, and the model's log says what was wrong with it.
func TestABadCanaryIsTakenOut(t *testing.T) {
	r, look := trialOf(t, sums(map[string]float32{"b": 1000}), `{"canary":{"version":2,"steps":[1,60]}}`)
	r.ask(look, func() bool { return r.current().Canary == nil })
	d := r.current()
	if d.Stable != 1 || d.Actor != "tenon" || !strings.HasPrefix(d.Reason, "canary 2 rolled back: ") || !strings.Contains(d.Reason, "otherwise") {
		t.Errorf("%+v", d)
	}
	if line := r.log.wait(t, "a canary was rolled back", ""); line["level"] != "WARN" || line["model"] != "iris" || line["version"] != 2.0 {
		t.Errorf("%v", line)
	}
	if got := series(r.metrics(), "tenon_canary_rollbacks_total"); len(got) != 1 || got[0] != "tenon_canary_rollbacks_total 1" {
		t.Errorf("%q", got)
	}
	found, err := r.Divergence(t.Context(), "iris", 2)
	if err != nil || found.DisagreeingRows == 0 || found.From.Version != 1 || found.To.Version != 2 || len(found.Examples) == 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	if row := string(found.Examples[0].Input); !strings.HasPrefix(row, "[") {
		t.Errorf("the example's row is %s", row)
	}
}

// TestShadow: its answers are compared, and nobody else sees them.
func TestShadow(t *testing.T) {
	r, look := trialOf(t, sums(map[string]float32{"c": 1}), `{"shadow":3}`)
	wantProblem(t, r.send("GET", "/v1/models/iris/versions/2/divergence", ""), 404, "divergence-not-found")
	wantProblem(t, r.send("GET", "/v1/models/iris/versions/9/divergence", ""), 404, "version-not-found")
	var found wire.Divergence
	r.ask(look, func() bool {
		var err error
		found, err = r.Divergence(t.Context(), "iris", 3)
		must(t, err)
		return found.Requests >= 20
	})
	if found.From.Version != 1 || found.To.Version != 3 || found.Rows != found.Requests || found.Outputs[0].Distance.Mean == 0 {
		t.Errorf("%+v", found)
	}
	if strings.Contains(r.metrics(), `version="3"`) {
		t.Error("copies are counted among the requests of clients")
	}
	if d := r.current(); d.Shadow != 3 || d.Stable != 1 {
		t.Errorf("%+v", d)
	}
}
