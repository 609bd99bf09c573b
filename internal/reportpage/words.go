package reportpage

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
)

// outputRow is one output in the table of outputs.
type outputRow struct {
	Name, Kind, Type, Tolerance, Failed, Worst, Allowed string
	Bad                                                 bool
}

func outputRows(r *wire.Report) []outputRow {
	var rows []outputRow
	for _, o := range r.Outputs {
		row := outputRow{
			Name: o.Name, Kind: o.Kind, Type: o.Type, Tolerance: tolerance(o.Tolerance),
			Failed: fmt.Sprintf("%d of %d", o.Failed, r.Rows), Worst: "–", Allowed: "–", Bad: o.Failed > 0,
		}
		if !o.Tolerance.Exact && o.Tolerance.Agreement == nil {
			row.Worst, row.Allowed = far(o.Worst), far(o.Allowed)
		}
		if o.Agreement != nil {
			row.Worst = fmt.Sprintf("%.4g %% agree", 100**o.Agreement)
			if m := o.MadeUp; m != nil {
				row.Worst += fmt.Sprintf("; beside it %d of %d made-up rows", m.Agree, m.Rows)
			}
		}
		if o.Tolerance.Agreement != nil && o.Failed == 0 {
			row.Failed = "–" // the share of all rows is within it, or is not
		}
		rows = append(rows, row)
	}
	return rows
}

func tolerance(t wire.ToleranceUsed) string {
	said := t.Words()
	if bounded(t) {
		said += " of the scale"
	}
	if t.Declared {
		said += " (set at export)"
	}
	return said
}

// bounded is whether each number has a distance that is allowed.
func bounded(t wire.ToleranceUsed) bool { return !t.Exact && t.Agreement == nil && t.Cosine == nil }

// far words a distance; the largest number stands for one that does not exist,
// such as that between two labels.
func far(d float64) string {
	const none = 1e308
	if d >= none || d != d {
		return "–"
	}
	return fmt.Sprintf("%.3g", d)
}

// num words a number on an axis or in a table.
func num(f float64) string {
	if f == 0 { // also a negative one
		return "0"
	}
	return fmt.Sprintf("%.4g", f)
}

// worstRow is one of the rows that are furthest off.
type worstRow struct {
	Request, Why, Output, Expected, Got, Distance, Times, Detail string
	Row                                                          int
	Input                                                        []pair
}

func worstRows(r *wire.Report) []worstRow {
	var rows []worstRow
	for _, w := range r.Worst {
		row := worstRow{
			Request: w.Request, Why: w.Why, Output: w.Output, Row: w.Row, Detail: w.Detail,
			Distance: far(w.Distance), Times: times(w), Input: record(w.Input),
			Expected: clip(string(w.Expected)), Got: clip(string(w.Got)),
		}
		if key, expected, got, ok := meant(w); ok {
			row.Output, row.Expected, row.Got = w.Output+key, expected, got
		}
		rows = append(rows, row)
	}
	return rows
}

// record shows a row's input, strings in their quotes: 39 is not "39".
func record(raw json.RawMessage) []pair {
	object := members(raw)
	if object == nil {
		if len(raw) == 0 {
			return nil
		}
		return []pair{{"", clip(string(raw))}}
	}
	var list []pair
	for _, name := range sortedKeys(object) {
		list = append(list, pair{name, clip(string(object[name]))})
	}
	return list
}

// times is how many times what is allowed a distance is.
func times(w wire.RowReport) string {
	if w.Allowed <= 0 || far(w.Distance) == "–" {
		return "–"
	}
	return fmt.Sprintf("%.3g×", w.Distance/w.Allowed)
}

// meant is the one number of a list, or of probabilities, that a row's distance
// is of: it stands for all of them.
func meant(w wire.RowReport) (key, expected, got string, ok bool) {
	want, have := numbers(w.Expected), numbers(w.Got)
	best := math.Inf(1)
	for _, name := range sortedKeys(want) {
		other, both := have[name]
		a, errA := want[name].Float64()
		b, errB := other.Float64()
		if !both || errA != nil || errB != nil {
			return "", "", "", false
		}
		if off := math.Abs(math.Abs(a-b) - w.Distance); off < best {
			best, key, expected, got = off, name, want[name].String(), other.String()
		}
	}
	return key, expected, got, len(want) > 0 && len(want) == len(have)
}

// numbers reads an object or a list of numbers, by ".class" or "[place]"; nil
// is anything else.
func numbers(raw json.RawMessage) map[string]json.Number {
	var byClass map[string]json.Number
	var list []json.Number
	out := map[string]json.Number{}
	switch {
	case json.Unmarshal(raw, &byClass) == nil && byClass != nil:
		for class, n := range byClass {
			out["."+class] = n
		}
	case json.Unmarshal(raw, &list) == nil && list != nil:
		for i, n := range list {
			out[fmt.Sprintf("[%d]", i)] = n
		}
	}
	return out
}

// section is one member of a JSON object of unknown form, as a table.
type section struct {
	Name string
	Head []string
	Rows [][]string
}

// maxSectionRows keeps a table of 65,536 columns from being one.
const maxSectionRows = 100

// covered words a cell of a table of coverage, where a share is [seen, of].
func covered(raw json.RawMessage) string {
	var pair []int64
	if json.Unmarshal(raw, &pair) == nil && len(pair) == 2 {
		return fmt.Sprintf("%d of %d", pair[0], pair[1])
	}
	return text(raw)
}

// sections shows an object: members that are objects of objects become a table
// with one row each, the others rows of a name and a value.
func sections(raw json.RawMessage) []section {
	object := members(raw)
	plain := section{Head: []string{"what", "value"}}
	var list []section
	for _, name := range sortedKeys(object) {
		inner := members(object[name])
		switch {
		case inner == nil:
			plain.Rows = append(plain.Rows, []string{name, text(object[name])})
		case nested(inner):
			list = append(list, matrix(name, inner))
		default:
			list = append(list, section{name, []string{"what", "value"}, nil}.with(inner))
		}
	}
	if len(plain.Rows) > 0 {
		list = append([]section{plain}, list...)
	}
	return list
}

func (s section) with(object map[string]json.RawMessage) section {
	for _, p := range flatten("", object) {
		s.Rows = append(s.Rows, []string{p.Name, p.Value})
	}
	return s.cut()
}

func nested(object map[string]json.RawMessage) bool {
	for _, raw := range object {
		if members(raw) == nil {
			return false
		}
	}
	return len(object) > 0
}

// matrix has a row for each member, and a column for each member of any of them.
func matrix(name string, object map[string]json.RawMessage) section {
	known := map[string]bool{}
	for _, raw := range object {
		for column := range members(raw) {
			known[column] = true
		}
	}
	columns := sortedKeys(known)
	s := section{Name: name, Head: append([]string{"name"}, columns...)}
	for _, row := range sortedKeys(object) {
		cells, values := []string{row}, members(object[row])
		for _, column := range columns {
			cells = append(cells, covered(values[column]))
		}
		s.Rows = append(s.Rows, cells)
	}
	return s.cut()
}

func (s section) cut() section {
	if left := len(s.Rows) - maxSectionRows; left > 0 {
		last := make([]string, len(s.Head))
		last[0] = fmt.Sprintf("and %d more", left)
		s.Rows = append(s.Rows[:maxSectionRows], last)
	}
	return s
}

// flat shows an object as names and values, those inside it as "packages.numpy".
func flat(raw json.RawMessage) []pair { return flatten("", members(raw)) }

func flatten(prefix string, object map[string]json.RawMessage) []pair {
	var list []pair
	for _, name := range sortedKeys(object) {
		if inner := members(object[name]); len(inner) > 0 {
			list = append(list, flatten(prefix+name+".", inner)...)
			continue
		}
		list = append(list, pair{prefix + name, text(object[name])})
	}
	return list
}

// members reads a JSON object; nil is anything else.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	return object
}

// text shows a JSON value: a string as itself, anything else as it is written.
func text(raw json.RawMessage) string {
	var s string
	if bytes.HasPrefix(raw, []byte(`"`)) && json.Unmarshal(raw, &s) == nil {
		return clip(s)
	}
	return clip(string(raw))
}

// clip is at most a text's first so many characters, on one line.
func clip(s string) string {
	const most = 200
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
