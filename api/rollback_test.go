package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/registry"
)

// versions registers n versions of the model "bare"; version i takes rows of
// i+1 numbers.
func (r *rig) versions(n int) {
	r.t.Helper()
	for i := range n {
		v, err := r.Push(r.t.Context(), "bare", bodyOf(identity(port{"x", float32Type, uint64(i + 2)}), true))
		must(r.t, err)
		if v.Version != i+1 {
			r.t.Fatalf("%+v", v)
		}
	}
}

func (r *rig) deploys(list ...int) {
	r.t.Helper()
	for _, n := range list {
		_, err := r.Deploy(r.t.Context(), "bare", wire.Deploy{Traffic: wire.Stable(n), Force: true}) // their columns differ
		must(r.t, err)
	}
}

// answers holds that the path is answered by version n.
func (r *rig) answers(path string, n int) {
	r.t.Helper()
	row := "[1" + strings.Repeat(",1", n) + "]"
	a := r.send("POST", path+"/predict", `{"instances":[`+row+`]}`)
	if a.StatusCode != 200 || a.Header.Get("Tenon-Version") != fmt.Sprint(n) {
		r.t.Errorf("%s: %d by version %s, want %d\n%s", path, a.StatusCode, a.Header.Get("Tenon-Version"), n, a.body)
	}
}

func (r *rig) back(body string) wire.Deployment {
	r.t.Helper()
	a := r.send("POST", "/v1/models/bare/rollback", body)
	var d wire.Deployment
	must(r.t, json.Unmarshal(a.body, &d))
	if a.StatusCode != http.StatusCreated {
		r.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return d
}

// TestRollback: back, and back again is forth; to any version by its number.
func TestRollback(t *testing.T) {
	r := serve(t)
	wantProblem(t, r.send("POST", "/v1/models/bare/rollback", ""), 404, "model-not-found")
	r.versions(3)
	wantProblem(t, r.send("POST", "/v1/models/bare/rollback", ""), 409, "nothing-deployed")
	r.deploys(1, 1)
	p := wantProblem(t, r.send("POST", "/v1/models/bare/rollback", "{}"), 409, "nothing-deployed")
	if !strings.Contains(p.Detail, "tenon deploy bare/") {
		t.Errorf("no command in %q", p.Detail)
	}
	r.deploys(2)
	d := r.back("")
	if d.Stable != 1 || d.Number != 7 || d.Reason != "rollback" || d.Actor != "anonymous@127.0.0.1" || d.RequestID == "" {
		t.Errorf("%+v", d)
	}
	r.answers("/v1/models/bare", 1)
	if d = r.back(`{"reason":"it was not that","expected":7}`); d.Stable != 2 || d.Number != 8 || d.Reason != "it was not that" {
		t.Errorf("%+v", d)
	}
	r.answers("/v1/models/bare", 2)
	if d = r.back(`{"to":3}`); d.Stable != 3 {
		t.Errorf("%+v", d)
	}
	r.answers("/v1/models/bare", 3)
	if d = r.back(`{"to":null}`); d.Stable != 2 {
		t.Errorf("%+v", d)
	}
	p = wantProblem(t, r.send("POST", "/v1/models/bare/rollback", `{"expected":9}`), 409, "stale-expected")
	if !strings.Contains(p.Detail, "number 10") {
		t.Errorf("the number in force is not in %q", p.Detail)
	}
	wantProblem(t, r.send("POST", "/v1/models/bare/rollback", `{"to":9}`), 404, "version-not-found")
	for body, place := range map[string]string{
		`{"to":-1}`: "to", `{"to":"1"}`: "to", `{"version":1}`: "version", `{"to":1,"to":1}`: "to", `{"reason":1}`: "reason",
	} {
		wantProblem(t, r.send("POST", "/v1/models/bare/rollback", body), 400, "invalid-request", place+" request")
	}
	wantProblem(t, r.send("POST", "/v1/models/bare/rollback", `{`), 400, "invalid-json")
	wantProblem(t, r.send("POST", "/v1/models/bare/rollback", `{}`, "Content-Type", "text/plain"), 415, "unsupported-media")
	wantProblem(t, r.send("POST", "/v1/models/bare@champion/rollback", ""), 400, "invalid-reference")
	r.answers("/v1/models/bare", 2)
	list, err := r.Deployments(t.Context(), "bare")
	if err != nil || len(list.Deployments) != 7 || list.Deployments[0].Number != 10 {
		t.Errorf("%+v, %v", list, err)
	}
	if n := r.engine.Open(); n != 2 {
		t.Errorf("%d sessions are open, want the stable one and the one before", n)
	}
}

// TestRollbackHandsOn: a deployment that a newer release wrote loses nothing
// by being gone back to.
func TestRollbackHandsOn(t *testing.T) {
	r := serve(t)
	r.versions(2)
	other := map[string]json.RawMessage{"later": json.RawMessage(`{"version":2,"share":0.1}`)}
	_, err := r.other().Deploy(t.Context(), "bare", registry.NewDeployment{Traffic: wire.Stable(1), Other: other}, registry.Stamp{Actor: "newer"})
	must(t, err)
	r.deploys(2)
	r.back("")
	st, err := r.other().State("bare")
	if d := st.Current(); err != nil || d.Stable != 1 || string(d.Other["later"]) != string(other["later"]) {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestAliases: an alias answers from its first moment, moves, is held against
// others who move it, keeps its version loaded, and goes.
func TestAliases(t *testing.T) {
	r := serve(t)
	r.versions(3)
	const champion = "/v1/models/bare/aliases/champion"
	set := func(body string, version int) {
		t.Helper()
		a := r.send("PUT", champion, body)
		if want := fmt.Sprintf(`{"model":"bare","alias":"champion","version":%d}`, version); a.StatusCode != 200 || string(a.body) != want {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
	set(`{"version":1,"expected":0}`, 1)
	r.answers("/v1/models/bare@champion", 1)
	r.answers("/v1/models/bare/versions/1", 1)
	m, err := r.Model(t.Context(), parse(t, "bare@champion"))
	if err != nil || m.Aliases["champion"] != 1 || m.Signature == nil || m.Stable != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	p := wantProblem(t, r.send("PUT", champion, `{"version":2,"expected":0}`), 409, "stale-expected")
	if !strings.Contains(p.Detail, "version 1") {
		t.Errorf("%q does not say where it points", p.Detail)
	}
	if n := r.engine.Open(); n != 1 {
		t.Errorf("%d sessions are open: what was loaded for a conflict stays", n)
	}
	set(`{"version":2,"expected":1}`, 2)
	r.answers("/v1/models/bare@champion", 2)
	wantProblem(t, r.send("POST", "/v1/models/bare/versions/1/predict", `{"instances":[[1,1]]}`), 409, "not-loaded")
	set(`{"version":2}`, 2)
	if records, err := r.other().Log("bare"); err != nil || len(records) != 5 {
		t.Errorf("%d records, %v: an alias that points there already is no news", len(records), err)
	}

	// Neither in traffic nor before, and yet loaded.
	set(`{"version":1}`, 1)
	r.deploys(1, 2, 3)
	r.answers("/v1/models/bare@champion", 1)
	r.answers("/v1/models/bare", 3)
	if n := r.engine.Open(); n != 3 {
		t.Errorf("%d sessions are open, want 3", n)
	}
	if a := r.send("DELETE", champion, ""); a.StatusCode != 200 || string(a.body) != `{"model":"bare","alias":"champion","version":0}` {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	wantProblem(t, r.send("POST", "/v1/models/bare@champion/predict", `{"instances":[[1,1]]}`), 404, "alias-not-found")
	wantProblem(t, r.send("POST", "/v1/models/bare/versions/1/predict", `{"instances":[[1,1]]}`), 409, "not-loaded")
	wantProblem(t, r.send("DELETE", champion, ""), 404, "alias-not-found")
	if n := r.engine.Open(); n != 2 {
		t.Errorf("%d sessions are open, want 2", n)
	}
}

func TestBadAlias(t *testing.T) {
	r := serve(t)
	r.versions(1)
	const champion = "/v1/models/bare/aliases/champion"
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"PUT", champion, `{}`, 400, "invalid-request"},
		{"PUT", champion, `{"version":0}`, 400, "invalid-request"},
		{"PUT", champion, `{"version":-1}`, 400, "invalid-request"},
		{"PUT", champion, `{"version":"1"}`, 400, "invalid-request"},
		{"PUT", champion, `{"stable":1}`, 400, "invalid-request"},
		{"PUT", champion, ``, 400, "invalid-json"},
		{"PUT", champion, `{"version":9}`, 404, "version-not-found"},
		{"PUT", "/v1/models/nobody/aliases/champion", `{"version":1}`, 404, "model-not-found"},
		{"PUT", "/v1/models/bare/aliases/Champion", `{"version":1}`, 400, "invalid-reference"},
		{"PUT", "/v1/models/bare/aliases/1st", `{"version":1}`, 400, "invalid-reference"},
		{"PUT", "/v1/models/bare/aliases/..%2F..", `{"version":1}`, 400, "invalid-reference"},
		{"PUT", "/v1/models/Bare/aliases/champion", `{"version":1}`, 400, "invalid-reference"},
		{"DELETE", champion, "", 404, "alias-not-found"},
		{"DELETE", "/v1/models/nobody/aliases/champion", "", 404, "model-not-found"},
		{"DELETE", "/v1/models/bare/aliases/Champion", "", 400, "invalid-reference"},
		{"GET", champion, "", 405, "method-not-allowed"},
	} {
		wantProblem(t, r.send(c.method, c.path, c.body), c.status, c.code)
	}
	if records, err := r.other().Log("bare"); err != nil || len(records) != 1 || r.engine.Open() != 0 {
		t.Errorf("%d records, %v, %d sessions", len(records), err, r.engine.Open())
	}
}

// TestLog: the records of all that happened, in a chain of hashes that anyone
// who has the files can follow.
func TestLog(t *testing.T) {
	r := serve(t)
	wantProblem(t, r.send("GET", "/v1/models/bare/log", ""), 404, "model-not-found")
	r.versions(2)
	r.deploys(1, 2)
	r.back(`{"reason":"<back> & forth"}`)
	r.send("PUT", "/v1/models/bare/aliases/champion", `{"version":1}`, "X-Request-Id", "my-alias")
	var log wire.Log
	must(t, json.Unmarshal(r.send("GET", "/v1/models/bare/log", "").body, &log))
	kinds, before := "", ""
	for i, raw := range log.Records {
		var record registry.Record
		must(t, json.Unmarshal(raw, &record))
		if record.Seq != i+1 || record.Model != "bare" || record.Prev != before || record.Actor == "" || record.RequestID == "" {
			t.Errorf("%d: %s", i, raw)
		}
		kinds += string(record.Kind) + " "
		stored, err := os.ReadFile(filepath.Join(r.root, "models", "bare", "log", fmt.Sprintf("%020d.json", i+1)))
		must(t, err)
		sum := sha256.Sum256(stored)
		before = "sha256:" + hex.EncodeToString(sum[:])
	}
	if kinds != "version-added version-added deployment deployment deployment alias " {
		t.Errorf("%s", kinds)
	}
	var back, alias registry.Record
	must(t, json.Unmarshal(log.Records[4], &back))
	must(t, json.Unmarshal(log.Records[5], &alias))
	if back.Deployment.Stable != 1 || back.Deployment.Reason != "<back> & forth" || alias.Alias.Name != "champion" || alias.RequestID != "my-alias" {
		t.Errorf("%+v, %+v", back.Deployment, alias)
	}
}
