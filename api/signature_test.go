package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// retrained registers the penguins with a signature in which texts are others;
// it has no golden set, which would not fit.
func (r *rig) retrained(pairs ...string) int {
	r.t.Helper()
	f := penguins(r.t)
	f["signature.json"] = strings.NewReplacer(pairs...).Replace(f["signature.json"])
	f = f.with("golden/answers.jsonl.gz", "").with("golden/requests.jsonl.gz", "")
	v, err := r.Push(r.t.Context(), "penguins", bodyOf(f.tar(r.t, "penguins"), false))
	must(r.t, err)
	return v.Version
}

// deploysBody sends a deployment.
func (r *rig) deploysBody(format string, args ...any) answer {
	return r.send("POST", "/v1/models/penguins/deployments", fmt.Sprintf(format, args...))
}

// TestSignatureThatBreaksCallers is refused for the stable slot and for a
// canary, and forced into them; nothing stays loaded of a refusal.
func TestSignatureThatBreaksCallers(t *testing.T) {
	r := serve(t)
	first := r.retrained()
	same := r.retrained(`"Dream"]`, `"Dream","Torgersen"]`) // more is taken
	broken := r.retrained(`"Biscoe",`, ``, `"body mass (g)"`, `"mass"`)
	deployed := func(a answer) (d wire.Deployment) {
		t.Helper()
		if a.StatusCode != 201 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		must(t, json.Unmarshal(a.body, &d))
		return d
	}
	deployed(r.deploysBody(`{"stable":%d}`, first))
	deployed(r.deploysBody(`{"stable":%d,"reason":"wider"}`, same))

	open := r.engine.Open()
	for _, body := range []string{`{"stable":%d}`, `{"canary":{"version":%d,"steps":[5]}}`} {
		p := wantProblem(t, r.deploysBody(body, broken), 409, "signature-incompatible")
		var got []string
		for _, f := range p.Errors {
			got = append(got, f.Path+" "+f.Code)
		}
		want := `inputs.island domain, inputs["body mass (g)"] removed, inputs.mass added`
		if text := strings.Join(got, ", "); text != want || !strings.Contains(p.Detail, "penguins/3 would break the callers of penguins/2") {
			t.Errorf("%s\nwant %s\n%s", text, want, p.Detail)
		}
		if n := r.engine.Open(); n != open {
			t.Errorf("%d sessions are open, and there were %d", n, open)
		}
	}

	deployed(r.deploysBody(`{"shadow":%d}`, broken)) // it answers nobody
	canary := deployed(r.deploysBody(`{"canary":{"version":%d,"steps":[5]},"force":true,"reason":"new columns"}`, broken))
	want := `new columns (forced, it breaks the callers of penguins/2 at inputs.island, inputs["body mass (g)"], inputs.mass)`
	if canary.Reason != want {
		t.Errorf("reason %q, want %q", canary.Reason, want)
	}
	if d := deployed(r.deploysBody(`{"stable":%d,"reason":"done"}`, broken)); d.Reason != "done" {
		t.Errorf("a canary that was let in is refused, or forced again: %q", d.Reason)
	}

	// The way back is open, and so is the one forth.
	for _, n := range []int{same, broken} {
		var d wire.Deployment
		must(t, json.Unmarshal(r.send("POST", "/v1/models/penguins/rollback", "").body, &d))
		if d.Stable != n || d.Reason != "rollback" {
			t.Errorf("%+v, want version %d", d, n)
		}
	}
	wantProblem(t, r.deploysBody(`{"stable":%d}`, same), 409, "signature-incompatible")
}

// TestSignatureOfAVersionThatIsNotLoaded counts all the same, unless it cannot
// be loaded: then nobody is answered whom a change could break.
func TestSignatureOfAVersionThatIsNotLoaded(t *testing.T) {
	r := serve(t)
	first, broken := r.retrained(), r.retrained(`"body mass (g)"`, `"mass"`)
	if a := r.deploysBody(`{"stable":%d}`, first); a.StatusCode != 201 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	v, err := r.Version(t.Context(), "penguins", first)
	must(t, err)
	damaged := false
	fake := &engine.Fake{Refuse: func(g engine.Graph) error {
		if damaged && strings.Contains(g.Path, strings.TrimPrefix(v.Digest, "sha256:")) {
			return fault.New(fault.Unprocessable, fault.ModelRefused, "It is damaged.")
		}
		return nil
	}}
	r = serve(t, func(s *setup) { s.root, s.sleeping, s.engine = r.root, true, fake })
	wantProblem(t, r.deploysBody(`{"stable":%d}`, broken), 409, "signature-incompatible")
	if n := fake.Open(); n != 0 {
		t.Errorf("%d sessions are open, loaded to be compared", n)
	}
	damaged = true
	if a := r.deploysBody(`{"stable":%d}`, broken); a.StatusCode != 201 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
