package parity

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// finite replaces what JSON cannot carry.
func finite(v float64) float64 {
	if math.IsInf(v, 0) || v != v {
		return math.MaxFloat64
	}
	return v
}

func raw(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return short(data)
}

// short puts a sentence in the place of a value that is too large to show.
func short(data json.RawMessage) json.RawMessage {
	if len(data) <= maxShown {
		return data
	}
	return fmt.Appendf(nil, `"(left out: %d bytes)"`, len(data))
}

// inputOf is one row of a request, as a record, in the signature's order of
// columns; others that the request holds come last.
func (r *replay) inputOf(body json.RawMessage, row int) json.RawMessage {
	var request struct {
		Instances []json.RawMessage          `json:"instances"`
		Inputs    map[string]json.RawMessage `json:"inputs"`
	}
	if json.Unmarshal(body, &request) != nil {
		return nil
	}
	record := map[string]json.RawMessage{}
	if row < len(request.Instances) {
		if json.Unmarshal(request.Instances[row], &record) != nil {
			return request.Instances[row] // a bare value
		}
		return r.ordered(record)
	}
	for name, column := range request.Inputs {
		var values []json.RawMessage
		if json.Unmarshal(column, &values) == nil && row < len(values) {
			record[name] = values[row]
		}
	}
	return r.ordered(record)
}

// ordered writes a record with its columns in the signature's order.
func (r *replay) ordered(record map[string]json.RawMessage) json.RawMessage {
	names := sortedKeys(record)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(r.rank(a), r.rank(b)) })
	var out bytes.Buffer
	for i, name := range names {
		key, _ := json.Marshal(name) // of a string, which always succeeds
		fmt.Fprintf(&out, "%c%s:%s", "{,"[min(i, 1)], key, record[name])
	}
	if len(names) == 0 {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	return out.Bytes()
}

// rank is the place of a column in the signature, behind all for others.
func (r *replay) rank(name string) int {
	if at, ok := r.places[name]; ok {
		return at
	}
	return len(r.places)
}
