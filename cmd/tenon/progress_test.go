package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

func TestProgressOfAnExamination(t *testing.T) {
	for want, o := range map[string]wire.Operation{
		"waiting for another examination to end": {State: "queued"},
		"examining: loading":                     {State: "running", Phase: "loading"},
		"examining: 120 of 637 requests":         {State: "running", Phase: "replaying", Done: 120, Total: 637},
	} {
		var terminal bytes.Buffer
		p := &progress{to: &terminal}
		p.examining(o)
		p.examining(o) // too soon after the first
		if got := terminal.String(); got != "\r\x1b[K"+want+" " {
			t.Errorf("%q, want %q", got, want)
		}
		p.shown = time.Now().Add(-time.Second)
		p.done()
		if !strings.HasSuffix(terminal.String(), "\r\x1b[K") {
			t.Errorf("the line stays: %q", terminal.String())
		}
	}
	var file bytes.Buffer // no terminal: silent
	p := newProgress(&file, "uploading", 10)
	p.examining(wire.Operation{State: "queued"})
	p.done()
	if file.Len() > 0 {
		t.Errorf("%q", &file)
	}
}

func TestReportForPeople(t *testing.T) {
	share := 0.99
	r := wire.Report{
		Summary: "7 of 20 rows are not what the pipeline answered.", Rows: 20,
		Outputs: []wire.OutputReport{
			{Name: "label", Kind: "label", Tolerance: wire.ToleranceUsed{Exact: true}, Failed: 7},
			{Name: "vector", Kind: "value", Tolerance: wire.ToleranceUsed{Cosine: &share}, Worst: 0.25},
			{Name: "class", Kind: "label", Tolerance: wire.ToleranceUsed{Agreement: &share}},
		},
		Worst: []wire.RowReport{
			{Request: "g1", Row: 2, Detail: "the server refused the request (400 invalid-input)", Distance: math.MaxFloat64},
			{
				Request: "g2", Why: "missing", Output: "label", Expected: json.RawMessage(`"a"`), Got: json.RawMessage(`"b"`), Distance: math.MaxFloat64,
				Input: json.RawMessage(`{"text":"` + strings.Repeat("é", 500) + `"}`),
			},
			{},
			{},
			{},
			{},
			{},
		},
	}
	var out strings.Builder
	tellReport(&out, r)
	for _, want := range []string{
		"equal             7 of 20  -\n", "cosine ≥ 0.99", "agreement ≥ 99 %",
		"request g1, row 2 (-): -\n  the server refused the request (400 invalid-input)\n",
		"request g2, row 0 (missing): label\n  expected  \"a\"\n  got       \"b\"\n  input     {", "é…\n", "\n2 more with --json\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %q", &out, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("größe \x1b[31mred\a\n"); got != "größe �[31mred��" {
		t.Errorf("%q", got)
	}
}
