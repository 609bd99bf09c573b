package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
)

// TestDeleteVersion: what takes requests stays, and says what to type; what
// is deleted is 404 everywhere, unloaded, and its number is never given again.
func TestDeleteVersion(t *testing.T) {
	r := serve(t)
	wantProblem(t, r.send("DELETE", "/v1/models/bare/versions/1", ""), 404, "model-not-found")
	r.versions(4)
	r.deploys(1, 2, 3)
	_, err := r.SetAlias(t.Context(), "bare", "champion", wire.SetAlias{Version: 1})
	must(t, err)
	for n, command := range map[string]string{"1": "tenon alias bare@champion", "3": "tenon deploy bare/"} {
		p := wantProblem(t, r.send("DELETE", "/v1/models/bare/versions/"+n, ""), 409, "version-in-use")
		if !strings.Contains(p.Detail, command) {
			t.Errorf("version %s: no command in %q", n, p.Detail)
		}
	}
	r.answers("/v1/models/bare/versions/2", 2) // the one before is loaded
	a := r.send("DELETE", "/v1/models/bare/versions/2?reason=leaks+names", "")
	if want := `{"model":"bare","version":2,"reason":"leaks names"}`; a.StatusCode != http.StatusOK || string(a.body) != want {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if n := r.engine.Open(); n != 2 {
		t.Errorf("%d sessions are open, want the stable one and the aliased one", n)
	}
	r.isGone("2")
	if d := r.back(""); d.Stable != 1 {
		t.Errorf("a rollback goes to version %d, want the one before the deleted one", d.Stable)
	}
	r.answers("/v1/models/bare", 1)
	wantProblem(t, r.send("POST", "/v1/models/bare/rollback", `{"to":2}`), 404, "version-not-found")

	again, err := r.Push(t.Context(), "bare", bodyOf(identity(port{"x", float32Type, 3}), true))
	if err != nil || again.Version != 5 || again.Existing {
		t.Errorf("%+v, %v", again, err)
	}
	gone, err := r.DeleteVersion(t.Context(), "bare", 4, "")
	if err != nil || gone != (wire.Deleted{Model: "bare", Version: 4}) {
		t.Errorf("%+v, %v", gone, err)
	}
	for path, code := range map[string]string{"bare/versions/0": "invalid-reference", "bare/versions/x": "invalid-reference", "bare@a/versions/1": "invalid-reference"} {
		wantProblem(t, r.send("DELETE", "/v1/models/"+path, ""), 400, code)
	}
	after := serve(t, func(s *setup) { s.root = r.root })
	after.isGone("2")
	after.answers("/v1/models/bare", 1)
}

// isGone holds that no route knows the version n of the model "bare".
func (r *rig) isGone(n string) {
	r.t.Helper()
	path := "/v1/models/bare/versions/" + n
	for _, rest := range []string{"", "/bundle", "/report", "/example"} {
		wantProblem(r.t, r.send("GET", path+rest, ""), 404, "version-not-found")
	}
	wantProblem(r.t, r.send("POST", path+"/predict", `{"instances":[[1,1,1]]}`), 404, "version-not-found")
	wantProblem(r.t, r.send("DELETE", path, ""), 404, "version-not-found")
	wantProblem(r.t, r.send("POST", "/v1/models/bare/deployments", `{"stable":`+n+`}`), 404, "version-not-found")
	wantProblem(r.t, r.send("PUT", "/v1/models/bare/aliases/a", `{"version":`+n+`}`), 404, "version-not-found")
	var list wire.Versions
	must(r.t, json.Unmarshal(r.send("GET", "/v1/models/bare/versions", "").body, &list))
	for _, v := range list.Versions {
		if v.Version == 2 {
			r.t.Errorf("%+v", v)
		}
	}
}

// TestDeleteIsFollowed: a server that did not do it unloads the version, too.
func TestDeleteIsFollowed(t *testing.T) {
	first := serve(t)
	first.versions(2)
	first.deploys(1, 2)
	second := serve(t, func(s *setup) { s.root = first.root })
	second.answers("/v1/models/bare/versions/1", 1)
	_, err := first.DeleteVersion(t.Context(), "bare", 1, "")
	must(t, err)
	soon(t, "the other server has unloaded it", func() bool { return second.engine.Open() == 1 })
	wantProblem(t, second.send("POST", "/v1/models/bare/versions/1/predict", `{"instances":[[1,1]]}`), 404, "version-not-found")
}
