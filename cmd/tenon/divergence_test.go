package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

func TestDivergenceForPeople(t *testing.T) {
	far := 1.5
	d := wire.Divergence{
		Summary: "4 answers 3.1 % of 12,400 rows otherwise than 3: label 2.8 %.",
		From:    wire.DivergenceSide{Version: 3, RunSeconds: &wire.Quantiles{P50: 0.0012, P99: 0.25}},
		To: wire.DivergenceSide{
			Version: 4, Failed: 2, InvalidRows: 7,
			Failures: []wire.DivergenceFailure{{Code: "worker-died", Count: 2, Last: "It died."}},
		},
		Since: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Requests: 400, Rows: 12400, Skipped: 3,
		OnlyTo: []string{"score", "other"},
		Outputs: []wire.DivergenceOutput{
			{Name: "label", Kind: "label", Rows: 12400, Agree: 12053, Changes: []wire.DivergenceChange{{From: "Adelie", To: "Gentoo", Count: 300}}},
			{Name: "mass", Kind: "value", Rows: 12400, Agree: 12400, Scale: 4.25, Distance: &wire.DivergenceDistances{
				Mean: 0.01, Max: 0.09, Quantiles: wire.Quantiles{P50: 0.005, P99: 0.0625},
			}},
		},
	}
	for range 6 {
		d.Examples = append(d.Examples, wire.DivergenceExample{
			RequestID: "r7", Row: 2, Output: "label", Distance: &far, Input: json.RawMessage(`{"sex":"male"}`),
			From: json.RawMessage(`{"label":"Adelie"}`), To: json.RawMessage(`{"label":"Gentoo"}`),
		})
	}
	var out strings.Builder
	tellDivergence(&out, d)
	const example = `
request r7, row 2: label, 1.5 apart
  3       {"label":"Adelie"}
  4       {"label":"Gentoo"}
  input   {"sex":"male"}
`
	want := `4 answers 3.1 % of 12,400 rows otherwise than 3: label 2.8 %.
400 requests since ` + when(d.Since) + `, 3 skipped

OUTPUT  KIND   DISAGREE      MEAN  P50    P99     MAX   SCALE
label   label  347 of 12400  -     -      -       -     -
mass    value  0 of 12400    0.01  0.005  0.0625  0.09  4.25

label became another one:
     300  Adelie → Gentoo

only 4 has score, other

VERSION  FAILED  INVALID  P50     P99
3        0       0        1.2 ms  250 ms
4        2       7        -       -
  4 failed 2 times (worker-died): It died.
` + strings.Repeat(example, 5) + "\n1 more with --json\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
