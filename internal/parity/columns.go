package parity

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// What a report shows of input columns, and what is watched meanwhile: the
// ranges of a column's numbers are twice merged down, so that one pass over a
// golden set of any size is enough.
const (
	maxColumns    = 50
	maxWatched    = 500
	maxBins       = 20
	maxSpans      = 128
	maxCategories = 500
)

// tally is what happened to the rows of one value or range.
type tally struct {
	rows, failed       int
	sum, square, worst float64 // of the distances
}

func (t *tally) add(o tally) {
	t.rows, t.failed = t.rows+o.rows, t.failed+o.failed
	t.sum, t.square, t.worst = t.sum+o.sum, t.square+o.square, max(t.worst, o.worst)
}

// outcome is the tally of one row. Its distance is in parts of the output's
// scale, 0 where it has none.
func outcome(failed bool, distance float64) tally {
	t := tally{rows: 1, sum: distance, square: distance * distance, worst: distance}
	if failed {
		t.failed = 1
	}
	return t
}

// columns gathers the outcome of all rows by the values of their inputs.
type columns struct {
	list   []*column
	single bool // the model has one input, whose values may stand bare
}

func newColumns(inputs []bundle.Input) *columns {
	c := &columns{single: len(inputs) == 1}
	for i := range inputs {
		in := &inputs[i]
		if len(in.Shape) == 0 && len(c.list) < maxWatched {
			c.list = append(c.list, &column{
				name: in.Name, typ: in.Type, categories: map[string]*tally{},
				numbers: in.Type != tensor.String && in.Type != tensor.Bool,
			})
		}
	}
	return c
}

// read returns what gives the values of a request's rows; it may be nil, for
// models whose inputs are not looked at.
func (c *columns) read(body json.RawMessage) *inputRows {
	if c == nil || len(c.list) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	in := &inputRows{single: c.single}
	if decoder.Decode(in) != nil {
		return nil
	}
	return in
}

func (c *columns) add(in *inputRows, row int, t tally) {
	if c == nil || in == nil {
		return
	}
	for _, column := range c.list {
		if v, ok := in.at(column.name, row); ok {
			column.add(v, t)
		}
	}
}

// finish lists the columns that tell most first.
func (c *columns) finish() []wire.ColumnReport {
	if c == nil {
		return nil
	}
	told := map[*column]float64{}
	var list []*column
	for _, column := range c.list {
		if told[column] = column.tells(); column.seen() {
			list = append(list, column)
		}
	}
	slices.SortStableFunc(list, func(a, b *column) int { return cmp.Compare(told[b], told[a]) })
	var out []wire.ColumnReport
	for _, column := range list[:min(len(list), maxColumns)] {
		out = append(out, column.finish())
	}
	return out
}

// inputRows is a request's body of either form.
type inputRows struct {
	Instances []any `json:"instances"`
	Inputs    any   `json:"inputs"`

	single bool
}

func (in *inputRows) at(name string, row int) (any, bool) {
	if in.Instances != nil {
		if row >= len(in.Instances) {
			return nil, false
		}
		record, ok := in.Instances[row].(map[string]any)
		if !ok {
			return in.Instances[row], in.single
		}
		v, ok := record[name]
		return v, ok
	}
	values, ok := in.Inputs.([]any)
	if record, named := in.Inputs.(map[string]any); named {
		values, ok = record[name].([]any)
	}
	if !ok || row >= len(values) {
		return nil, false
	}
	return values[row], true
}

// column is one input's values: ranges of numbers, and everything else by its
// JSON text, null among them.
type column struct {
	name       string
	typ        tensor.Type
	numbers    bool
	spans      []span // in order, and apart from each other
	categories map[string]*tally
	pooled     tally // categories beyond maxCategories
}

type span struct {
	from, to float64
	tally
}

func (c *column) add(v any, t tally) {
	if n, ok := v.(json.Number); ok && c.numbers {
		if f, err := strconv.ParseFloat(n.String(), 64); err == nil {
			c.number(f, t)
			return
		}
	}
	text := show(v)
	known := c.categories[text]
	switch {
	case known != nil:
		known.add(t)
	case len(c.categories) < maxCategories:
		c.categories[text] = &t
	default:
		c.pooled.add(t)
	}
}

func (c *column) number(f float64, t tally) {
	i := sort.Search(len(c.spans), func(i int) bool { return c.spans[i].to >= f })
	if i < len(c.spans) && c.spans[i].from <= f {
		c.spans[i].add(t)
		return
	}
	c.spans = slices.Insert(c.spans, i, span{f, f, t})
	c.spans = merged(c.spans, maxSpans)
}

// merged joins the two neighbours that have the fewest rows, until no more
// spans are left than may be: so all come to hold about as many.
func merged(spans []span, most int) []span {
	for len(spans) > most {
		best, least := 0, math.MaxInt
		for i := range len(spans) - 1 {
			if rows := spans[i].rows + spans[i+1].rows; rows < least {
				best, least = i, rows
			}
		}
		spans[best].to = spans[best+1].to
		spans[best].add(spans[best+1].tally)
		spans = slices.Delete(spans, best+1, best+2)
	}
	return spans
}

func (c *column) seen() bool { return len(c.spans)+len(c.categories) > 0 }

// bins is the column as it is shown, with the tally of each bin.
func (c *column) bins() (bins []wire.Bin, tallies []tally) {
	add := func(b wire.Bin, t tally) {
		b.Rows, b.Failed, b.Mean, b.Worst = t.rows, t.failed, t.sum/float64(t.rows), t.worst
		bins, tallies = append(bins, b), append(tallies, t)
	}
	for _, s := range merged(slices.Clone(c.spans), maxBins) {
		add(wire.Bin{From: &s.from, To: &s.to}, s.tally)
	}
	missing := c.categories[missingText]
	names := c.ranked()
	others, pooled := max(len(names)-maxBins, 0), c.pooled
	for _, name := range names[len(names)-others:] {
		pooled.add(*c.categories[name])
	}
	names = names[:len(names)-others]
	slices.SortFunc(names, byNumber)
	for _, name := range names {
		add(wire.Bin{Value: category(name)}, *c.categories[name])
	}
	if pooled.rows > 0 {
		add(wire.Bin{Value: category(show(rest)), Others: others}, pooled)
	}
	if missing != nil {
		add(wire.Bin{Value: category(missingText)}, *missing)
	}
	return bins, tallies
}

const missingText = "null"

// ranked lists the categories, without the missing one, as they are worth a
// bin: those with failures first, then the most frequent.
func (c *column) ranked() []string {
	var names []string
	for name := range c.categories {
		if name != missingText {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := c.categories[a], c.categories[b]
		return cmp.Or(cmp.Compare(y.failed, x.failed), cmp.Compare(y.rows, x.rows), cmp.Compare(a, b))
	})
	return names
}

// category is a bin's value: a JSON text, or a string of what is no longer one
// because it was cut.
func category(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	data, _ := json.Marshal(text) // of a string, which always succeeds
	return data
}

func (c *column) finish() wire.ColumnReport {
	bins, _ := c.bins()
	return wire.ColumnReport{Name: c.name, Type: c.typ.String(), Bins: bins}
}

// tells is how much of what happened to the rows the column explains, from 0
// to 1: the share of the variance that lies between its bins, corrected for
// their number, of failing or of the distance, whichever is more.
func (c *column) tells() float64 {
	_, bins := c.bins()
	var all tally
	for _, b := range bins {
		all.add(b)
	}
	free := float64(all.rows - len(bins))
	if free <= 0 {
		return 0
	}
	explained := func(of func(tally) (sum, square float64)) float64 {
		sum, square := of(all)
		n := float64(all.rows)
		total, within := square-sum*sum/n, square
		for _, b := range bins {
			s, _ := of(b)
			within -= s * s / float64(b.rows)
		}
		if !(total > 1e-12*square) || math.IsInf(square, 0) {
			return 0 // all alike, or too large to say
		}
		return max(1-within/total*(n-1)/free, 0)
	}
	return max(
		explained(func(t tally) (float64, float64) { return float64(t.failed), float64(t.failed) }),
		explained(func(t tally) (float64, float64) { return t.sum, t.square }),
	)
}
