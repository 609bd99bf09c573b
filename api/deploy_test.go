package api_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
)

// TestCompetingDeploys: of many who saw the same state, one wins.
func TestCompetingDeploys(t *testing.T) {
	r := serve(t)
	_, err := r.Push(t.Context(), "bare", bodyOf(bare(), true))
	must(t, err)
	none := 0
	const callers = 8
	failures := make([]error, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			_, failures[i] = r.Deploy(t.Context(), "bare", wire.Deploy{Traffic: wire.Stable(1), Expected: &none})
		})
	}
	group.Wait()
	won := 0
	for _, err := range failures {
		var p *client.Problem
		switch {
		case err == nil:
			won++
		case !errors.As(err, &p) || p.Status != 409 || p.Code != "stale-expected" || !strings.Contains(p.Detail, "number 2"):
			t.Errorf("a loser got %v", err)
		}
	}
	list, err := r.Deployments(t.Context(), "bare")
	if err != nil || won != 1 || len(list.Deployments) != 1 {
		t.Errorf("%d won, %+v, %v", won, list, err)
	}
	if n := r.engine.Open(); n != 1 {
		t.Errorf("%d sessions are open, want 1", n)
	}
}

// TestReplacement: a new version takes over, the one before stays loaded for
// a rollback, the one before that goes.
func TestReplacement(t *testing.T) {
	r := serve(t)
	for i, width := range []uint64{2, 3, 4} {
		v, err := r.Push(t.Context(), "bare", bodyOf(identity(port{"x", float32Type, width}), true))
		must(t, err)
		if v.Version != i+1 {
			t.Fatalf("%+v", v)
		}
		_, err = r.Deploy(t.Context(), "bare", wire.Deploy{Traffic: wire.Stable(v.Version), Force: true}) // their columns differ
		must(t, err)
	}
	a := r.send("POST", "/v1/models/bare/predict", `{"instances":[[1,2,3,4]]}`)
	if a.StatusCode != 200 || a.Header.Get("Tenon-Version") != "3" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.send("POST", "/v1/models/bare/versions/2/predict", `{"instances":[[1,2,3]]}`); a.StatusCode != 200 {
		t.Errorf("the previous version: %d %s", a.StatusCode, a.body)
	}
	wantProblem(t, r.send("POST", "/v1/models/bare/versions/1/predict", `{"instances":[[1,2]]}`), 409, "not-loaded")
	if n := r.engine.Open(); n != 2 {
		t.Errorf("%d sessions are open, want 2", n)
	}
}

// TestStaleDeployLetsGo: a version that was loaded for a deployment that came
// too late is closed again.
func TestStaleDeployLetsGo(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	_, err := r.Push(t.Context(), "penguins", bodyOf(penguins(t).with("golden/answers.jsonl.gz", "").
		with("golden/requests.jsonl.gz", "").tar(t, "penguins"), false))
	must(t, err)
	wantProblem(t, r.send("POST", "/v1/models/penguins/deployments", `{"stable":2,"expected":0}`), 409, "stale-expected")
	if n := r.engine.Open(); n != 1 {
		t.Errorf("%d sessions are open, want 1", n)
	}
	a := r.send("POST", "/v1/models/penguins/predict", `{"instances":[`+goodRow+`]}`)
	if a.StatusCode != 200 || a.Header.Get("Tenon-Version") != "1" {
		t.Errorf("%d by version %s", a.StatusCode, a.Header.Get("Tenon-Version"))
	}
}

func TestBadDeploy(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	for name, c := range map[string]struct {
		body, code string
		places     []string
	}{
		"empty":             {"", "invalid-json", nil},
		"null":              {"null", "invalid-json", nil},
		"truncated":         {`{"stable":1`, "invalid-json", nil},
		"trailing":          {`{"stable":1}}`, "invalid-json", nil},
		"nothing":           {"{}", "invalid-request", []string{"stable request"}},
		"null version":      {`{"stable":null}`, "invalid-request", []string{"stable request"}},
		"version 0":         {`{"stable":0}`, "invalid-request", []string{"stable request"}},
		"a fraction":        {`{"stable":1.5}`, "invalid-request", []string{"stable request"}},
		"a string":          {`{"stable":"1"}`, "invalid-request", []string{"stable request"}},
		"a huge number":     {`{"stable":99999999999999999999}`, "invalid-request", []string{"stable request"}},
		"misspelt expected": {`{"stable":1,"expect":2}`, "invalid-request", []string{"expect request"}},
		"another case":      {`{"Stable":1}`, "invalid-request", []string{"Stable request"}},
		"twice":             {`{"stable":1,"stable":1}`, "invalid-request", []string{"stable request"}},
		"expected a string": {`{"stable":1,"expected":"2"}`, "invalid-request", []string{"expected request"}},
		"reason a number":   {`{"stable":1,"reason":2}`, "invalid-request", []string{"reason request"}},
		"reason too long":   {`{"stable":1,"reason":"` + strings.Repeat("a", 65_400) + `"}`, "invalid-request", []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, r.send("POST", "/v1/models/penguins/deployments", c.body), 400, c.code, c.places...)
		})
	}
	list, err := r.Deployments(t.Context(), "penguins")
	if err != nil || len(list.Deployments) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if a := r.send("POST", "/v1/models/penguins/deployments", `{"stable":1,"expected":null,"reason":"again"}`); a.StatusCode != http.StatusCreated {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
