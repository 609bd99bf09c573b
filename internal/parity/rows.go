package parity

import (
	"bytes"
	"encoding/json"

	"github.com/tenon-ml/tenon/internal/bundle"
)

// How many rows a diagnosis looks at. A golden set has some 1,500 rows of its
// own; of wide rows fewer are kept, so that memory stays in tens of MB.
const (
	maxRows   = 3000
	maxFailed = 2000
	maxCells  = 400_000
)

// row is one golden row with what the pipeline and the server said, by output.
type row struct {
	why       string
	size      int // rows in its request
	input     map[string]any
	want, got map[string]any // got is nil where the request was refused
	failed    bool
	lacks     []*feature // what is missing in it
}

// evidence collects the rows that a diagnosis is made of. A nil one collects nothing.
type evidence struct {
	rows   []row
	failed int
	cells  int
}

// add takes the rows of one request; got is nil where it was refused, and
// failed says of each row whether it differs.
func (e *evidence) add(c bundle.Case, expected, got *answer, outputs []*output, failed []bool) {
	if e == nil || len(e.rows) >= maxRows || e.cells >= maxCells {
		return
	}
	records := recordsOf(c.Body)
	if len(records) != len(failed) {
		return
	}
	for i, input := range records {
		if len(e.rows) >= maxRows || failed[i] && e.failed >= maxFailed || !failed[i] && len(e.rows)-e.failed >= maxRows-maxFailed {
			continue
		}
		r := row{why: c.Why, size: len(failed), input: input, want: values(expected, outputs, i), failed: failed[i]}
		if got != nil {
			r.got = values(got, outputs, i)
		}
		if e.rows = append(e.rows, r); r.failed {
			e.failed++
		}
		e.cells += cells(input)
	}
}

// values is one row of an answer, by output.
func values(a *answer, outputs []*output, row int) map[string]any {
	out := make(map[string]any, len(outputs))
	for _, o := range outputs {
		if v, ok := a.at(o.name, row); ok {
			out[o.name] = v
		}
	}
	return out
}

func cells(input map[string]any) int {
	n := 0
	for _, v := range input {
		if list, ok := v.([]any); ok {
			n += len(list)
		}
		n++
	}
	return n
}

// recordsOf reads a request of either form as records; nil where it is neither.
func recordsOf(body json.RawMessage) []map[string]any {
	var request struct {
		Instances []map[string]any `json:"instances"`
		Inputs    map[string][]any `json:"inputs"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // integers beyond 2^53 keep their digits
	if decoder.Decode(&request) != nil {
		return nil
	}
	records := request.Instances
	for name, column := range request.Inputs {
		for i, v := range column {
			if i == len(records) {
				records = append(records, map[string]any{})
			}
			records[i][name] = v
		}
	}
	return records
}
