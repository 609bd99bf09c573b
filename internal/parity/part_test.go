package parity_test

import (
	"testing"

	"github.com/tenon-ml/tenon/internal/parity"
)

// TestParts: each turn is the next few requests, and after the last the first.
func TestParts(t *testing.T) {
	cases := many(5, func(int) bool { return false })
	cases[4] = row("4", "5")
	for turn, want := range [][2]int{{0, 2}, {2, 2}, {4, 1}, {0, 2}} {
		first, rows := want[0], want[1]
		report, err := parity.ReplayPart(t.Context(), &server{t: t, cases: cases, seen: first}, "/here",
			open(t, double, cases), parity.Part{Turn: turn, Most: 2})
		must(t, err)
		if report.Rows != rows || report.Passed == (first == 4) || report.Columns != nil || report.Outputs[0].Scale != 4 {
			t.Errorf("turn %d: %+v", turn, report)
		}
	}
}
