package registry

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

func num(n int) *int { return &n }

func TestDeploy(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	pushed(t, s, "iris", "a")
	pushed(t, s, "iris", "b")
	later := map[string]json.RawMessage{"later": json.RawMessage(`{"version":1}`)}
	d, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(2), Reason: "first", Expected: num(0), Other: later}, by)
	if err != nil {
		t.Fatal(err)
	}
	if d.Number != 3 || d.Stable != 2 || d.Reason != "first" || d.Actor != "ada" || d.RequestID != "req-1" {
		t.Errorf("%+v", d)
	}
	got := state(t, open(t, root), "iris").Current()
	if got.Number != 3 || string(got.Other["later"]) != `{"version":1}` {
		t.Errorf("%+v", got)
	}
	if d := deployed(t, s, "iris", 1); d.Number != 4 {
		t.Errorf("%+v", d)
	}
}

func TestDeployRefusals(t *testing.T) {
	s := open(t, t.TempDir())
	pushed(t, s, "iris", "a")
	pushed(t, s, "iris", "b")
	if err := s.DeleteVersion(t.Context(), "iris", 2, "", by); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		model string
		d     NewDeployment
		code  fault.Code
	}{
		{"no model", "none", NewDeployment{Traffic: wire.Stable(1)}, fault.ModelNotFound},
		{"no version", "iris", NewDeployment{Traffic: wire.Stable(3)}, fault.VersionNotFound},
		{"version zero", "iris", NewDeployment{Traffic: wire.Stable(0)}, fault.VersionNotFound},
		{"deleted", "iris", NewDeployment{Traffic: wire.Stable(2)}, fault.VersionNotFound},
		{"expected one", "iris", NewDeployment{Traffic: wire.Stable(1), Expected: num(7)}, fault.StaleExpected},
		{"long reason", "iris", NewDeployment{Traffic: wire.Stable(1), Reason: strings.Repeat("x", maxRecord)}, fault.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Deploy(t.Context(), c.model, c.d, by)
			wantFault(t, err, c.code)
		})
	}
	if st := state(t, s, "iris"); st.Seq != 3 {
		t.Errorf("something was recorded: %+v", st)
	}
}

func TestStaleExpectedNamesTheCurrent(t *testing.T) {
	s := open(t, t.TempDir())
	pushed(t, s, "iris", "a")
	deployed(t, s, "iris", 1)
	pushed(t, s, "iris", "b") // a record of another kind is no conflict
	d, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(2), Expected: num(2)}, by)
	if err != nil || d.Number != 4 {
		t.Fatalf("%+v %v", d, err)
	}
	for _, expected := range []int{0, 2, 9} {
		_, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1), Expected: num(expected)}, by)
		wantFault(t, err, fault.StaleExpected)
		if f := fault.As(err); f == nil || f.Kind != fault.Conflict || !strings.Contains(f.Detail, "number 4") {
			t.Errorf("%v does not name deployment 4", err)
		}
	}
}

func TestAliases(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	wantFault(t, s.SetAlias(ctx, "iris", "best", 1, nil, by), fault.ModelNotFound)
	pushed(t, s, "iris", "a")
	pushed(t, s, "iris", "b")
	steps := []struct {
		version  int
		expected *int
		code     fault.Code
		points   int
	}{
		{1, num(0), "", 1},
		{2, num(0), fault.StaleExpected, 1},
		{2, num(1), "", 2},
		{2, nil, "", 2},
		{3, nil, fault.VersionNotFound, 2},
		{0, num(1), fault.StaleExpected, 2},
		{0, num(2), "", 0},
		{0, nil, fault.AliasNotFound, 0},
	}
	for i, step := range steps {
		err := s.SetAlias(ctx, "iris", "best", step.version, step.expected, by)
		if (step.code != "" || err != nil) && !fault.Is(err, step.code) {
			t.Errorf("step %d: %v, want %q", i, err, step.code)
		}
		if got := state(t, s, "iris").Aliases["best"]; got != step.points {
			t.Errorf("step %d: the alias points to %d, want %d", i, got, step.points)
		}
	}
	if st := state(t, s, "iris"); st.Seq != 5 {
		t.Errorf("%d records, want 5: setting an alias to where it points needs none", st.Seq)
	}
	wantFault(t, s.SetAlias(ctx, "iris", "1st", 1, nil, by), fault.InvalidReference)
	wantFault(t, s.SetAlias(ctx, "none", "best", 0, nil, by), fault.ModelNotFound)
}

func TestDeleteVersion(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	for _, seed := range []string{"a", "b", "c"} {
		pushed(t, s, "iris", seed)
	}
	deployed(t, s, "iris", 1)
	if err := s.SetAlias(ctx, "iris", "best", 2, nil, by); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeleteVersion(ctx, "iris", 1, "", by), fault.VersionInUse)
	wantFault(t, s.DeleteVersion(ctx, "iris", 2, "", by), fault.VersionInUse)
	if err := s.DeleteVersion(ctx, "iris", 3, "old", by); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeleteVersion(ctx, "iris", 3, "", by), fault.VersionNotFound)
	for _, seed := range []string{"d", "e"} {
		pushed(t, s, "iris", seed)
	}
	traffic := wire.Traffic{Stable: 1, Canary: &wire.Canary{Version: 4, Steps: []int{1}}, Shadow: 5}
	if _, err := s.Deploy(ctx, "iris", NewDeployment{Traffic: traffic}, by); err != nil {
		t.Fatal(err)
	}
	for n, command := range map[int]string{1: "`tenon deploy iris/N`", 2: "`tenon alias iris@best N`", 4: "`tenon rollback iris`", 5: "`tenon deploy iris/1`"} {
		err := s.DeleteVersion(ctx, "iris", n, "", by)
		if wantFault(t, err, fault.VersionInUse); err != nil && !strings.Contains(err.Error(), command) {
			t.Errorf("version %d: no command in %v", n, err)
		}
	}
	deployed(t, s, "iris", 1)
	for _, n := range []int{4, 5} {
		if err := s.DeleteVersion(ctx, "iris", n, "", by); err != nil {
			t.Errorf("version %d takes no requests any more: %v", n, err)
		}
	}
	if v, _ := state(t, s, "iris").Latest(); v.Number != 2 {
		t.Errorf("latest %+v", v)
	}
}

func TestLogTellsWhoDidWhat(t *testing.T) {
	s := open(t, t.TempDir())
	pushed(t, s, "iris", "a")
	deployed(t, s, "iris", 1)
	records, err := s.Log("iris")
	if err != nil || len(records) != 2 {
		t.Fatalf("%v %v", records, err)
	}
	if records[0].Prev != "" || records[1].Prev != records[0].Digest() || records[1].Kind != KindDeployment {
		t.Errorf("%+v", records)
	}
	if records[0].Nonce == records[1].Nonce || records[1].Actor != "ada" || records[1].Time.IsZero() {
		t.Errorf("%+v", records)
	}
}
