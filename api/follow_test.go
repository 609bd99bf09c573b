package api_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// soon waits until what another server did has come through.
func soon(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !done(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in 10 s: %s", what)
		}
	}
}

// TestServersFollowOneRegistry: what is changed through one server is live on
// another that has the same folder, a model that is new to it among them.
func TestServersFollowOneRegistry(t *testing.T) {
	first := serve(t)
	second := serve(t, func(s *setup) { s.root = first.root })
	first.versions(2)
	for _, n := range []int{1, 2, 1} {
		first.deploys(n)
		soon(t, fmt.Sprintf("version %d answers", n), func() bool {
			row := "[1" + strings.Repeat(",1", n) + "]"
			return second.send("POST", "/v1/models/bare/predict", `{"instances":[`+row+`]}`).StatusCode == 200
		})
		second.answers("/v1/models/bare", n)
	}
	if n := len(first.log.find(byAnother, "")); n != 0 {
		t.Errorf("the server that made them logs %d as another's", n)
	}
	if line := second.log.wait(t, byAnother, ""); line["model"] != "bare" || line["actor"] != first.log.wait(t, inForce, "")["actor"] {
		t.Errorf("%v", line)
	}
}

const byAnother = "another server made a deployment"

// TestMendedModelServesAgain: a model whose log was restored leaves quarantine
// without a restart, and one whose log is damaged under the server enters it.
func TestMendedModelServesAgain(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	log := filepath.Join(r.root, "models", "penguins", "log", "00000000000000000003.json")
	must(t, os.WriteFile(log, []byte("{}"), 0o600))
	status := func() int { return r.send("POST", "/v1/models/penguins/predict", rows(goodRow)).StatusCode }
	soon(t, "the damaged model is quarantined", func() bool { return status() == 503 })
	if got := series(r.metrics(), "tenon_models_quarantined"); len(got) != 1 || got[0] != "tenon_models_quarantined 1" {
		t.Errorf("%q", got)
	}
	must(t, os.Remove(log))
	soon(t, "the mended model serves", func() bool { return status() == 200 })
	if got := series(r.metrics(), "tenon_models_quarantined"); len(got) != 1 || got[0] != "tenon_models_quarantined 0" {
		t.Errorf("%q", got)
	}
}
