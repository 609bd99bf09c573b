package lifecycle

import (
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
)

// TestOldRehearsalsShowNoRows: what they found is kept, and not the rows.
func TestOldRehearsalsShowNoRows(t *testing.T) {
	var s operations
	const more = 3
	for range keptExamples + more {
		s.begin(KindPush, "iris").end(Outcome{Published: &wire.Published{Version: 1}}, nil)
		s.begin(KindRehearsal, "iris").end(Outcome{Divergence: &wire.Divergence{Requests: 7, Examples: make([]wire.DivergenceExample, 2)}}, nil)
	}
	with := 0
	for _, o := range s.list {
		d := o.Describe(nil)
		switch {
		case d.Kind == KindPush && d.Result == nil, d.Kind == KindRehearsal && d.Divergence.Requests != 7:
			t.Fatalf("%+v", d)
		case d.Kind == KindRehearsal && len(d.Divergence.Examples) > 0:
			with++
		}
	}
	if with != keptExamples {
		t.Errorf("%d show their rows, want %d", with, keptExamples)
	}
}
