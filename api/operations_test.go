package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// stepped is a rig whose engine waits before every run: it tells on running,
// and goes on when proceed lets it, or when its context ends.
type stepped struct {
	*rig
	running, proceed chan struct{}
	loads            *atomic.Int64
}

func step(t testing.TB) stepped {
	t.Helper()
	s := stepped{running: make(chan struct{}), proceed: make(chan struct{}), loads: &atomic.Int64{}}
	fake := &engine.Fake{Refuse: func(engine.Graph) error { s.loads.Add(1); return nil }, Compute: func(ctx context.Context, _ engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		select {
		case s.running <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case <-s.proceed:
			return echo(inputs, 1), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	s.rig = serve(t, func(o *setup) { o.engine = fake })
	return s
}

// let lets n runs pass, and comes back with the next one waiting.
func (s stepped) let(n int) {
	for range n {
		s.proceed <- struct{}{}
		<-s.running
	}
}

// begin uploads without waiting for the examination.
func (r *rig) begin(model string, f files) wire.Operation {
	r.t.Helper()
	a := r.send("POST", "/v1/models/"+model+"/versions?wait=0s", string(f.tar(r.t, model)), "Content-Type", "application/x-tar")
	var o wire.Operation
	must(r.t, json.Unmarshal(a.body, &o))
	if a.StatusCode != http.StatusAccepted || o.ID == "" || o.Model != model || o.Created.IsZero() || a.Header.Get("Location") != "/v1/operations/"+o.ID {
		r.t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	return o
}

func (r *rig) operation(id string) wire.Operation {
	r.t.Helper()
	a := r.send("GET", "/v1/operations/"+id, "")
	var o wire.Operation
	must(r.t, json.Unmarshal(a.body, &o))
	if a.StatusCode != 200 || o.ID != id {
		r.t.Errorf("%d %s", a.StatusCode, a.body)
	}
	return o
}

// ended waits for an operation's end and returns what is said of it then.
func (r *rig) ended(id string) wire.Operation {
	r.t.Helper()
	o, err := r.manager.Operation(id)
	must(r.t, err)
	_, _, _ = o.Wait(r.t.Context())
	return r.operation(id)
}

// TestOperation follows an upload whose client does not wait: how far it is,
// that the next one waits for its turn, and how both end.
func TestOperation(t *testing.T) {
	s := step(t)
	first := s.begin("penguins", penguins(t).golden(t, 3, "3750.5"))
	<-s.running
	if o := s.operation(first.ID); o.State != "running" || o.Phase != "loading" || o.Done != 0 || o.Result != nil || o.Error != nil {
		t.Errorf("before the first answer: %+v", o)
	}
	second := s.begin("skewed", penguins(t).golden(t, 2, "3751"))
	s.let(1)
	if o := s.operation(first.ID); o.State != "running" || o.Phase != "replaying" || o.Done != 1 || o.Total != 3 {
		t.Errorf("after the first answer: %+v", o)
	}
	if o := s.operation(second.ID); o.State != "queued" || o.Phase != "" || o.Result != nil || o.Error != nil {
		t.Errorf("the second: %+v", o)
	}
	s.let(1)
	if o := s.operation(first.ID); o.Done != 2 {
		t.Errorf("after the second answer: %+v", o)
	}
	if n := s.engine.Open(); n != 1 {
		t.Errorf("%d examinations run at once", n)
	}
	wantProblem(t, s.send("GET", "/v1/models/penguins", ""), 404, "model-not-found")
	s.proceed <- struct{}{}
	done := s.ended(first.ID)
	if v := done.Result; done.State != "succeeded" || done.Phase != "" || v == nil || v.Version != 1 || v.Parity != "proven" || v.Report == "" || done.Error != nil {
		t.Errorf("%+v %+v", done, done.Result)
	}
	<-s.running
	s.let(1)
	s.proceed <- struct{}{}
	failed := s.ended(second.ID)
	if p := failed.Error; failed.State != "failed" || failed.Result != nil || p == nil || p.Code != "parity-failed" || p.Status != 422 ||
		len(p.Errors) != 2 || !strings.Contains(string(p.Report), `"failed_rows":2`) {
		t.Errorf("%+v %+v", failed, failed.Error)
	}
	s.untouched("skewed")

	var list wire.Operations
	must(t, json.Unmarshal(s.send("GET", "/v1/operations", "").body, &list))
	if len(list.Operations) != 2 || list.Operations[0].ID != second.ID || list.Operations[1].ID != first.ID {
		t.Errorf("%+v", list)
	}
}

// TestUnknownOperation: what never was, and what a start has forgotten.
func TestUnknownOperation(t *testing.T) {
	r := serve(t)
	if a := r.send("GET", "/v1/operations", ""); string(a.body) != `{"operations":[]}` {
		t.Errorf("none: %s", a.body)
	}
	for _, id := range []string{"0123456789abcdef", "x", "%00", strings.Repeat("a", 1000)} {
		p := wantProblem(t, r.send("GET", "/v1/operations/"+id, ""), 404, "operation-not-found")
		if len(p.Detail) > 200 {
			t.Errorf("a long echo: %q", p.Detail)
		}
	}
}

// TestExistingIsNeverAccepted: a bundle that is a version already is answered
// with it, however short the wait.
func TestExistingIsNeverAccepted(t *testing.T) {
	r := serve(t)
	tarred := string(penguins(t).tar(t, "penguins"))
	r.upload("penguins", "application/x-tar", []byte(tarred))
	for range 30 {
		a := r.send("POST", "/v1/models/penguins/versions?wait=0s", tarred, "Content-Type", "application/x-tar")
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
}

// TestSameBundleTwice: a second push of what is being examined is the same
// version, and is told so.
func TestSameBundleTwice(t *testing.T) {
	s := step(t)
	first := s.begin("penguins", penguins(t))
	<-s.running
	second := s.begin("penguins", penguins(t))
	s.proceed <- struct{}{}
	one := s.ended(first.ID)
	<-s.running
	s.proceed <- struct{}{}
	two := s.ended(second.ID)
	if one.Result == nil || two.Result == nil || one.Result.Existing || !two.Result.Existing || two.Result.Version != 1 || one.Result.Version != 1 {
		t.Errorf("%+v, %+v", one.Result, two.Result)
	}
	if v, err := s.Versions(t.Context(), "penguins"); err != nil || len(v.Versions) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	s.swept()
}

// TestStopEndsExaminations: a server that stops ends the one that runs and
// those that wait, tells whoever waits, and leaves nothing.
func TestStopEndsExaminations(t *testing.T) {
	s := step(t)
	answered := make(chan answer)
	go func() { answered <- s.upload("first", "application/x-tar", penguins(t).tar(t, "first")) }()
	<-s.running
	waiting := s.begin("second", penguins(t))
	bareOne := s.send("POST", "/v1/models/bare/versions?wait=0s", string(bare()), "Content-Type", "application/octet-stream")
	if bareOne.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", bareOne.StatusCode, bareOne.body)
	}
	s.manager.Close()
	wantProblem(t, <-answered, 503, "shutting-down")
	if o := s.operation(waiting.ID); o.State != "failed" || o.Error == nil || o.Error.Code != "shutting-down" || o.Error.Status != 503 {
		t.Errorf("%+v", o)
	}
	for _, model := range []string{"first", "second", "bare"} {
		s.untouched(model)
	}
	if n, loads := s.engine.Open(), s.loads.Load(); n != 0 || loads != 1 {
		t.Errorf("%d sessions are open; %d were loaded, and those that waited need not be", n, loads)
	}
}
