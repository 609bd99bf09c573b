package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
)

// changes are one request of every kind that changes a model, and another of
// the same kind.
func changes(t *testing.T) []struct{ name, method, path, body, other, media string } {
	t.Helper()
	const model = "/v1/models/bare"
	return []struct{ name, method, path, body, other, media string }{
		{"deploy", "POST", model + "/deployments", `{"stable":1}`, `{"stable":2}`, "application/json"},
		{"deploy again", "POST", model + "/deployments", ` {"reason":"why", "force":true, "stable":2 } `, `{"stable":2}`, "application/json"},
		{"rollback", "POST", model + "/rollback", ``, `{"to":2}`, "application/json"},
		{"alias", "PUT", model + "/aliases/best", `{"version":2}`, `{"version":1}`, "application/json"},
		{"alias removed", "DELETE", model + "/aliases/best", ``, ``, ""},
		{"delete", "DELETE", model + "/versions/3", ``, ``, ""},
		{
			"push", "POST", model + "/versions", string(identity(port{"y", float32Type, 7})), string(identity(port{"y", float32Type, 8})),
			"application/octet-stream",
		},
	}
}

// TestIdempotencyKey: a change that is sent again is answered as the first
// was and does nothing, on this server, after a restart and on another; the
// same key for another request is refused.
func TestIdempotencyKey(t *testing.T) {
	r := serve(t)
	r.versions(3)
	second := serve(t, func(s *setup) { s.root = r.root })
	first := map[string]answer{}
	for _, c := range changes(t) {
		a := r.send(c.method, c.path, c.body, "Content-Type", c.media, wire.IdempotencyKey, "key of "+c.name)
		if a.StatusCode/100 != 2 || a.Header.Get(wire.IdempotentReplayed) != "" {
			t.Fatalf("%s: %d %s", c.name, a.StatusCode, a.body)
		}
		first[c.name] = a
	}
	before := len(r.records())
	for _, server := range []*rig{r, second, serve(t, func(s *setup) { s.root = r.root })} {
		for _, c := range changes(t) {
			a, want := server.send(c.method, c.path, c.body, "Content-Type", c.media, wire.IdempotencyKey, "key of "+c.name), first[c.name]
			if a.StatusCode != want.StatusCode || string(a.body) != string(want.body) || a.Header.Get(wire.IdempotentReplayed) != "true" ||
				a.Header.Get("Location") != want.Header.Get("Location") {
				t.Errorf("%s: %d %v %s, want %d %s", c.name, a.StatusCode, a.Header, a.body, want.StatusCode, want.body)
			}
			if c.other != "" {
				a = server.send(c.method, c.path, c.other, "Content-Type", c.media, wire.IdempotencyKey, "key of "+c.name)
				wantProblem(t, a, 422, "idempotency-key-reused")
			}
		}
		// Another path, and another kind of change.
		a := server.send("PUT", "/v1/models/bare/aliases/worst", `{"version":2}`, wire.IdempotencyKey, "key of alias")
		wantProblem(t, a, 422, "idempotency-key-reused")
		a = server.send("POST", "/v1/models/bare/rollback", `{"to":1}`, wire.IdempotencyKey, "key of deploy")
		wantProblem(t, a, 422, "idempotency-key-reused")
		a = server.send("DELETE", "/v1/models/bare/versions/3?reason=other", "", wire.IdempotencyKey, "key of delete")
		wantProblem(t, a, 422, "idempotency-key-reused")
	}
	if after := len(r.records()); after != before || before != 3+len(first) {
		t.Errorf("%d records, then %d", before, after)
	}
	r.answers("/v1/models/bare", 1)
}

func (r *rig) records() []string {
	r.t.Helper()
	log, err := r.Log(r.t.Context(), "bare")
	must(r.t, err)
	var all []string
	for _, record := range log.Records {
		all = append(all, string(record))
	}
	return all
}

// TestRefusedChangesKeepNoKey: what was not done can be tried again.
func TestRefusedChangesKeepNoKey(t *testing.T) {
	r := serve(t)
	r.versions(1)
	deploy := func(body string) answer {
		return r.send("POST", "/v1/models/bare/deployments", body, wire.IdempotencyKey, "k")
	}
	wantProblem(t, deploy(`{"stable":1,"expected":7}`), 409, "stale-expected")
	wantProblem(t, deploy(`{"stable":2}`), 404, "version-not-found")
	if a := deploy(`{"stable":1}`); a.StatusCode != http.StatusCreated || a.Header.Get(wire.IdempotentReplayed) != "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// TestRetriesAtOnce: many at a time, to two servers, are one change.
func TestRetriesAtOnce(t *testing.T) {
	r := serve(t)
	r.versions(1)
	second := serve(t, func(s *setup) { s.root = r.root })
	answers := make(chan answer, 16)
	var all sync.WaitGroup
	for i := range cap(answers) {
		server := []*rig{r, second}[i%2]
		all.Go(func() {
			answers <- server.send("POST", "/v1/models/bare/deployments", `{"stable":1}`, wire.IdempotencyKey, "k")
		})
	}
	all.Wait()
	close(answers)
	made, bodies := 0, map[string]bool{}
	for a := range answers {
		if a.Header.Get(wire.IdempotentReplayed) == "" {
			made++
		}
		bodies[string(a.body)] = true
		if a.StatusCode != http.StatusCreated {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if records := r.records(); made != 1 || len(bodies) != 1 || len(records) != 2 || !strings.Contains(records[1], `"idempotency_key":"k"`) {
		t.Errorf("%d of them made it, %v, %v", made, bodies, records)
	}
	// Whoever got an answer, of either server, finds it live there.
	r.answers("/v1/models/bare", 1)
	second.answers("/v1/models/bare", 1)
}

func TestKeysThatAreNone(t *testing.T) {
	r := serve(t)
	r.versions(1)
	for _, keys := range [][]string{{""}, {strings.Repeat("x", 129)}, {"schlüssel"}, {"a\tb"}, {"a", "b"}} {
		for _, c := range changes(t) {
			request := r.request(c.method, c.path, strings.NewReader(c.body), "Content-Type", c.media)
			request.Header[wire.IdempotencyKey] = keys
			wantProblem(t, r.do(request), 400, "invalid-request")
		}
	}
	for _, key := range []string{"x", strings.Repeat("~", 128), `"quoted, as the draft says"`} {
		if a := r.send("POST", "/v1/models/bare/deployments", `{"stable":1}`, wire.IdempotencyKey, key); a.StatusCode != http.StatusCreated {
			t.Errorf("%q: %d %s", key, a.StatusCode, a.body)
		}
	}
	// Where nothing changes a key means nothing.
	if a := r.send("POST", "/v1/models/bare/predict", `{"instances":[[1,1]]}`, wire.IdempotencyKey, ""); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
