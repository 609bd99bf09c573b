package api_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// computing is a rig whose bare model answers by f.
func computing(t testing.TB, f func(ctx context.Context) error, change ...func(*setup)) *rig {
	t.Helper()
	fake := &engine.Fake{Compute: func(ctx context.Context, _ engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if err := f(ctx); err != nil {
			return nil, err
		}
		return []*tensor.Tensor{tensor.New(tensor.Float32, int64(inputs[0].Rows()), 2)}, nil
	}}
	r := serve(t, append(change, func(s *setup) { s.engine = fake })...)
	_, err := r.Push(t.Context(), "bare", bodyOf(bare(), true))
	must(t, err)
	a := r.send("POST", "/v1/models/bare/deployments", `{"stable":1}`)
	if a.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return r
}

const bareRow = `{"instances":[[1,2]]}`

func TestRequestID(t *testing.T) {
	r := serve(t)
	for _, id := range []string{"a", "Ab-9_z.0", strings.Repeat("x", 64)} {
		if a := r.send("GET", "/livez", "", "X-Request-Id", id); a.Header.Get("X-Request-Id") != id {
			t.Errorf("%q became %q", id, a.Header.Get("X-Request-Id"))
		}
	}
	seen := map[string]bool{}
	for _, id := range []string{"", strings.Repeat("x", 65), "two words", `"quoted"`, "a/b", "ä", "a,b", "a\tb"} {
		got := r.send("GET", "/livez", "", "X-Request-Id", id).Header.Get("X-Request-Id")
		if len(got) != 16 || strings.Trim(got, "0123456789abcdef") != "" || seen[got] {
			t.Errorf("%q became %q", id, got)
		}
		seen[got] = true
	}
}

func TestAccessLog(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	body := rows(goodRow)
	a := r.send("POST", "/v1/models/penguins/predict", body, "X-Request-Id", "one")
	line := r.log.wait(t, "request", "one")
	for name, want := range map[string]any{
		"level": "INFO", "method": "POST", "path": "/v1/models/penguins/predict", "status": 200.0, "actor": "anonymous@127.0.0.1",
		"in": float64(len(body)), "out": float64(len(a.body)), "model": "penguins", "version": "1", "code": nil, "cut_off": nil,
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v in %v", name, line[name], want, line)
		}
	}
	if ms, ok := line["ms"].(float64); !ok || ms <= 0 {
		t.Errorf("ms is %v", line["ms"])
	}

	// A refusal has its code, and is no error of the server.
	r.send("POST", "/v1/models/penguins/predict", `{"instances":[]}`, "X-Request-Id", "two")
	if line := r.log.wait(t, "request", "two"); line["code"] != "invalid-input" || line["status"] != 400.0 || line["model"] != "penguins" {
		t.Errorf("%v", line)
	}
	r.send("GET", "/nowhere%0a%22", "", "X-Request-Id", "three")
	if line := r.log.wait(t, "request", "three"); line["path"] != "/nowhere\n\"" || line["code"] != "route-not-found" || line["model"] != nil {
		t.Errorf("%v", line)
	}
	for _, id := range []string{"one", "two", "three"} {
		if n, failed := len(r.log.find("request", id)), r.log.find("a request failed", id); n != 1 || failed != nil {
			t.Errorf("request %s has %d lines and the failures %v", id, n, failed)
		}
	}
}

func TestPanic(t *testing.T) {
	r := computing(t, func(context.Context) error { panic("secret: index out of range") })
	a := r.send("POST", "/v1/models/bare/predict", bareRow, "X-Request-Id", "boom")
	wantProblem(t, a, 500, "internal")
	if bytes.Contains(a.body, []byte("secret")) || bytes.Contains(a.body, []byte(".go")) {
		t.Errorf("the answer shows internals: %s", a.body)
	}
	line := r.log.wait(t, "a handler panicked", "boom")
	stack, _ := line["stack"].(string)
	if line["panic"] != "secret: index out of range" || !strings.Contains(stack, "middleware_test.go") {
		t.Errorf("%v", line)
	}
	if line := r.log.wait(t, "request", "boom"); line["status"] != 500.0 || line["code"] != "internal" {
		t.Errorf("%v", line)
	}
	// The run's place is free again, as often as it happens.
	for range 2 * runtime.GOMAXPROCS(0) {
		wantProblem(t, r.send("POST", "/v1/models/bare/predict", bareRow), 500, "internal")
	}
	if g := r.host.Gauges(); g.Running != 0 || g.Waiting != 0 {
		t.Errorf("%+v", g)
	}
}

func TestInternalErrorsStayInside(t *testing.T) {
	r := computing(t, func(context.Context) error { return errors.New("secret: 0x7ffe") })
	a := r.send("POST", "/v1/models/bare/predict", bareRow, "X-Request-Id", "inner")
	wantProblem(t, a, 500, "internal")
	if bytes.Contains(a.body, []byte("secret")) {
		t.Errorf("%s", a.body)
	}
	if line := r.log.wait(t, "a request failed", "inner"); line["error"] != "secret: 0x7ffe" || line["level"] != "ERROR" {
		t.Errorf("%v", line)
	}
}

func TestDeadline(t *testing.T) {
	r := computing(t, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		func(s *setup) { s.api.RequestTimeout = 20 * time.Millisecond })
	wantProblem(t, r.send("POST", "/v1/models/bare/predict", bareRow), 504, "deadline")
}

// TestClientGone: a client that leaves ends its run, and is no failure.
func TestClientGone(t *testing.T) {
	running := make(chan struct{})
	r := computing(t, func(ctx context.Context) error { close(running); <-ctx.Done(); return ctx.Err() })
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-running; leave() }()
	request := r.request("POST", "/v1/models/bare/predict", strings.NewReader(bareRow), "X-Request-Id", "leaves")
	if _, err := http.DefaultClient.Do(request.WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if line := r.log.wait(t, "request", "leaves"); line["status"] != 499.0 || line["code"] != "client-gone" {
		t.Errorf("%v", line)
	}
	if failed := r.log.find("a request failed", "leaves"); failed != nil {
		t.Errorf("%v", failed)
	}
}

// TestOverloaded: with one run and one place to wait, the third request is
// told to come back; the others are answered.
func TestOverloaded(t *testing.T) {
	running, proceed := make(chan struct{}, 2), make(chan struct{})
	r := computing(t, func(context.Context) error { running <- struct{}{}; <-proceed; return nil },
		func(s *setup) { s.host = host.Options{Runs: 1, Queued: 1} })
	answers := make(chan answer, 2)
	predict := func() { answers <- r.send("POST", "/v1/models/bare/predict", bareRow) }
	go predict()
	<-running
	go predict()
	for r.host.Gauges().Waiting == 0 {
		runtime.Gosched()
	}
	a := r.send("POST", "/v1/models/bare/predict", bareRow)
	p := wantProblem(t, a, 503, "overloaded")
	if a.Header.Get("Retry-After") != "1" || !strings.Contains(p.Detail, "runtime.max_queued") {
		t.Errorf("Retry-After %q, %q", a.Header.Get("Retry-After"), p.Detail)
	}
	close(proceed)
	for range 2 {
		if a := <-answers; a.StatusCode != 200 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
}

// TestCrossSite: a web page may not change a server on its visitor's machine;
// programs, and pages that only read, pass.
func TestCrossSite(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	same := strings.TrimPrefix(r.url, "http://")
	for _, c := range []struct {
		method string
		header []string
		status int
	}{
		{"POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"POST", []string{"Origin", "https://evil.example"}, 403},
		{"POST", []string{"Origin", "null"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"POST", []string{"Sec-Fetch-Site", "none"}, 200},
		{"POST", []string{"Origin", "http://" + same}, 200},
		{"POST", nil, 200},
	} {
		a := r.send(c.method, "/v1/models/penguins/predict", rows(goodRow), c.header...)
		if c.status == 403 {
			wantProblem(t, a, 403, "access-denied")
		} else if a.StatusCode != c.status {
			t.Errorf("%v: %d %s", c.header, a.StatusCode, a.body)
		}
	}
	for _, path := range []string{"/v1/models/penguins/deployments", "/v1/models/penguins/versions", "/nowhere"} {
		wantProblem(t, r.send("POST", path, "", "Sec-Fetch-Site", "cross-site"), 403, "access-denied")
	}
	if a := r.send("GET", "/v1/models", "", "Sec-Fetch-Site", "cross-site"); a.StatusCode != 200 || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

// TestRebinding: a page whose own name points at this machine has an Origin
// that is the Host, and is refused all the same by a server on loopback.
func TestRebinding(t *testing.T) {
	r := serve(t, func(s *setup) { s.api.Local = true })
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	for origin, status := range map[string]int{
		"http://evil.example:8080": 403, "http://127.0.0.1.evil.example": 403,
		"http://localhost:8080": 200, "http://127.0.0.1:8080": 200, "http://[::1]:8080": 200, "": 200,
	} {
		request := r.request("POST", "/v1/models/penguins/predict", strings.NewReader(rows(goodRow)))
		if origin != "" {
			request.Host = strings.TrimPrefix(origin, "http://")
			request.Header.Set("Origin", origin)
		}
		if a := r.do(request); a.StatusCode != status {
			t.Errorf("%q: %d %s, want %d", origin, a.StatusCode, a.body, status)
		}
	}
}

func (r *rig) metrics() string { return string(r.send("GET", "/metrics", "").body) }

// series are the lines of the scrape that hold a series of this name.
func series(scrape, name string) (found []string) {
	for line := range strings.Lines(scrape) {
		if strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestMetrics(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	for _, id := range []string{"m1", "m2"} {
		r.send("POST", "/v1/models/penguins/predict", rows(goodRow, goodRow), "X-Request-Id", id)
	}
	r.send("POST", "/v1/models/penguins/predict", `{"instances":[]}`, "X-Request-Id", "m3")
	for _, id := range []string{"m1", "m2", "m3"} {
		r.log.wait(t, "request", id)
	}
	r.send("GET", "/v1/models/penguins", "")
	scrape := r.metrics()
	for _, want := range []string{
		`tenon_requests_total{method="POST",route="/v1/models/:ref/predict",status="200"} 2`,
		`tenon_predictions_total{code="ok",model="penguins",version="1"} 2`,
		`tenon_predictions_total{code="invalid-input",model="penguins",version="1"} 1`,
		`tenon_rows_total{model="penguins",version="1"} 4`,
		`tenon_run_seconds_count{model="penguins",version="1"} 2`,
		`tenon_queue_seconds_count{model="penguins",version="1"} 2`,
		"tenon_runs_running 0", "tenon_runs_waiting 0", "tenon_versions_loaded 1",
	} {
		if !strings.Contains(scrape, "\n"+want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	for _, name := range []string{"tenon_request_seconds_count", "go_goroutines", "process_resident_memory_bytes"} {
		if len(series(scrape, name)) == 0 {
			t.Errorf("the scrape lacks %s", name)
		}
	}
}

// TestSeriesAreBounded: what clients make up makes no new series.
func TestSeriesAreBounded(t *testing.T) {
	r := serve(t)
	for range 2 { // the scrape itself is a series, too
		r.send("GET", "/nowhere/0", "")
		r.send("BREW", "/livez", "")
		r.send("POST", "/v1/models/model-0/predict", "{}")
		r.metrics()
	}
	names := []string{"tenon_requests_total", "tenon_request_seconds_count", "tenon_predictions_total"}
	before := r.metrics()
	for _, n := range []string{"1", "2", "3"} {
		r.send("GET", "/nowhere/"+n, "")
		r.send("BREW"+n, "/livez", "")
		r.send("POST", "/v1/models/model-"+n+"/predict", "{}")
	}
	after := r.metrics()
	for _, name := range names {
		if was, is := series(before, name), series(after, name); len(was) != len(is) {
			t.Errorf("%s: %d series became %d:\n%s", name, len(was), len(is), strings.Join(is, "\n"))
		}
	}
	if strings.Contains(after, "nowhere") || strings.Contains(after, "BREW") || strings.Contains(after, "model-0") {
		t.Error("a client's word is in the scrape")
	}
	if !strings.Contains(after, `route="none"`) || !strings.Contains(after, `method="other"`) {
		t.Error("what is unknown is not counted")
	}
}

// TestTwoServers: two handlers in one process share no numbers.
func TestTwoServers(t *testing.T) {
	one, two := serve(t), serve(t)
	one.send("GET", "/v1/models", "", "X-Request-Id", "first")
	one.log.wait(t, "request", "first")
	if !strings.Contains(one.metrics(), `route="/v1/models"`) || strings.Contains(two.metrics(), `route="/v1/models"`) {
		t.Error("the servers share their metrics")
	}
}
