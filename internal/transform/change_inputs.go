package transform

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// inputs holds that every request of the old layout is read by the new one. A
// decoder refuses keys that are no column, and rows that lack one, whether it
// may be missing or not; so columns can neither come nor go. Unused ones may
// stand in a request, and need not.
func (d *diff) inputs(old, next *tensor.Layout) {
	d.path = "inputs"
	if next.FixedRows > 0 && next.FixedRows != old.FixedRows {
		d.breaks(ChangeRows, "the graph takes exactly %d rows at a time now", next.FixedRows)
	}
	taken := make([]bool, len(next.Columns))
	groups := map[string]*tensor.Column{} // by the new group: the first of its columns, as it was
	for i := range old.Columns {
		was := &old.Columns[i]
		d.at("inputs", was.Name)
		k := slices.IndexFunc(next.Columns, func(c tensor.Column) bool { return c.Name == was.Name })
		if k < 0 && slices.Contains(next.Unused, was.Name) {
			d.note(ChangeRemoved, "the column is not read any more, and may be sent still")
			continue
		} else if k < 0 {
			d.breaks(ChangeRemoved, "the column is gone, and requests that send it are refused")
			continue
		}
		taken[k] = true
		is := &next.Columns[k]
		d.column(acceptsOf(old, was), acceptsOf(next, is))
		if was.Whole || is.Whole {
			continue
		}
		if first, ok := groups[is.Group]; !ok {
			groups[is.Group] = was
		} else if first.Group != was.Group {
			d.breaks(ChangeRows, "needs as many rows as %s now", first.Name)
		}
	}
	for k := range next.Columns {
		if !taken[k] {
			d.at("inputs", next.Columns[k].Name)
			d.breaks(ChangeAdded, "the column is new, and requests without it are refused")
		}
	}
	d.unused(old, next)
}

// unused holds that a column which may be sent still may; one that is read now
// was reported as new.
func (d *diff) unused(old, next *tensor.Layout) {
	for _, name := range old.Unused {
		known := slices.ContainsFunc(next.Columns, func(c tensor.Column) bool { return c.Name == name })
		if d.at("inputs", name); !known && !slices.Contains(next.Unused, name) {
			d.breaks(ChangeRemoved, "the column was not read, and requests that send it are refused now")
		}
	}
	for _, name := range next.Unused {
		known := slices.ContainsFunc(old.Columns, func(c tensor.Column) bool { return c.Name == name })
		if d.at("inputs", name); !known && !slices.Contains(old.Unused, name) {
			d.note(ChangeAdded, "the column may be sent, and is not read")
		}
	}
}

// accepts is what a column takes: a value has to fit its own type and that of
// the buffer that it is cast to.
type accepts struct {
	*tensor.Column
	buffer *tensor.Buffer
	values []string // of a closed domain, as JSON writes them, sorted; nil: open
	known  map[string]bool
	least  end
	most   end
}

func acceptsOf(l *tensor.Layout, c *tensor.Column) accepts {
	a := accepts{Column: c, buffer: &l.Buffers[c.Buffer], values: valuesOf(c)}
	minimum, maximum := c.Range.Ends()
	a.least, a.most = endOf(minimum), endOf(maximum)
	a.known = setOf(a.values)
	return a
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}

func (d *diff) column(was, is accepts) {
	if d.inputType(was, is) {
		d.inputDomain(was, is)
		d.inputRange(was, is)
	}
	d.inputShape(was.Column, is.Column)
	switch {
	case was.Nullable && !is.Nullable:
		d.breaks(ChangeMissing, "missing values are refused now")
	case !was.Nullable && is.Nullable:
		d.note(ChangeMissing, "missing values are allowed now")
	}
	if is.Sentinel != was.Sentinel && written(was.Type) == texts && was.takes(strconv.Quote(is.Sentinel)) &&
		strings.ContainsFunc(is.Sentinel, func(r rune) bool { return !unicode.Is(unicode.Co, r) }) {
		d.breaks(ChangeReserved, "the text %q stands for a missing value now, and is refused", is.Sentinel)
	}
}

// inputType reports whether values of both are of one kind in JSON. Of a
// closed domain only its values count, and inputDomain looks at them.
func (d *diff) inputType(was, is accepts) bool {
	old, now := was.narrowest(), is.narrowest()
	switch {
	case written(old) != written(now):
		d.breaks(ChangeType, "is %s now, was %s: a request must send %s", now, old, written(now))
		return false
	case old == now && was.buffer.Type == is.buffer.Type:
	case was.Domain == nil && !old.IsInteger() && now.IsInteger():
		d.breaks(ChangeType, "is %s now, was %s: numbers with a fraction are refused", now, old)
	case was.Domain == nil && beyond(was, is):
		d.breaks(ChangeType, "is %s now, was %s: larger numbers are refused", now, old)
	case old != now:
		d.note(ChangeType, "is %s now, was %s", now, old)
	}
	return true
}

// narrowest is the type that decides what is refused: of two floats the
// smaller one.
func (a accepts) narrowest() tensor.Type {
	if a.Type.IsFloat() {
		return min(a.Type, a.buffer.Type)
	}
	return a.Type
}

// The kinds of JSON values, in words.
const (
	texts   = "strings"
	bools   = "true or false"
	numbers = "numbers"
)

func written(t tensor.Type) string {
	switch t {
	case tensor.String:
		return texts
	case tensor.Bool:
		return bools
	default:
		return numbers
	}
}

// beyond reports whether the old column took numbers that the new one refuses.
// A float32 in place of a float64 is not meant: it rounds, and nobody's
// features lie beyond 1e38.
func beyond(was, is accepts) bool {
	if is.narrowest() == tensor.Float32 || is.narrowest() == tensor.Float64 {
		return false
	}
	oldLow, oldHigh := was.limits()
	low, high := is.limits()
	return oldLow < low || oldHigh > high
}

// limits are the least and the greatest number that a column takes.
func (a accepts) limits() (low, high float64) {
	t := a.narrowest()
	switch {
	case t == tensor.Float64:
		low, high = -math.MaxFloat64, math.MaxFloat64
	case t == tensor.Float32:
		low, high = -math.MaxFloat32, math.MaxFloat32
	case t == tensor.Float16:
		low, high = -maxFloat16, maxFloat16
	case t >= tensor.Uint8:
		high = math.Exp2(float64(8*t.Size())) - 1
	default:
		low, high = -math.Exp2(float64(8*t.Size()-1)), math.Exp2(float64(8*t.Size()-1))-1
	}
	if a.buffer.Type == tensor.Float16 {
		low, high = max(low, -maxFloat16), min(high, maxFloat16)
	}
	return low, high
}

const maxFloat16 = 65504

// inputShape holds that a value which was read as the old shape is read as the
// new one.
func (d *diff) inputShape(was, is *tensor.Column) {
	fits := func(old, now int64) bool { return now < 0 || old == now }
	switch {
	case was.Whole != is.Whole && is.Whole:
		d.breaks(ChangeShape, "takes one whole tensor %s now, took one value per row", tensor.FormatShape(is.Shape))
	case was.Whole != is.Whole:
		d.breaks(ChangeShape, "takes one value per row now, took one whole tensor %s", tensor.FormatShape(was.Shape))
	case is.AnyRank:
		return
	case was.AnyRank, !slices.EqualFunc(was.Shape, is.Shape, fits):
		d.breaks(ChangeShape, "takes %s now, took %s", shapeOf(is), shapeOf(was))
	case !slices.Equal(was.Shape, is.Shape):
		d.note(ChangeShape, "takes %s now, took %s", shapeOf(is), shapeOf(was))
	}
}

func shapeOf(c *tensor.Column) string {
	switch {
	case c.AnyRank:
		return "lists of any depth"
	case len(c.Shape) == 0:
		return "single values"
	default:
		return "lists of the shape " + tensor.FormatShape(c.Shape)
	}
}

// inputDomain compares the closed sets of values; nil is open. The types are
// of one kind in JSON.
func (d *diff) inputDomain(was, is accepts) {
	before, after := was.values, is.values
	switch {
	case before == nil && after == nil:
	case before == nil:
		d.breaks(ChangeDomain, "takes only %s now", some(after))
	default:
		lost := slices.DeleteFunc(slices.Clone(before), is.takes)
		if len(lost) > 0 {
			d.breaks(ChangeDomain, "refuses %s now", some(lost))
		}
		if gained := without(after, before); len(gained) > 0 {
			d.note(ChangeDomain, "takes %s, too", some(gained))
		} else if is.Domain == nil && was.Domain != nil {
			d.note(ChangeDomain, "takes any value now")
		}
	}
}

// takes reports whether a column takes one of the values of another's domain.
func (a accepts) takes(value string) bool {
	if a.values != nil && !a.known[value] {
		return false
	}
	n, err := strconv.ParseFloat(value, 64)
	if written(a.Type) != numbers || err != nil {
		return true
	}
	low, high := a.limits()
	return low <= n && n <= high && a.least.has(value, -1) && a.most.has(value, 1) && (!a.Type.IsInteger() || n == math.Trunc(n))
}

// without returns the texts of list that are not in other.
func without(list, other []string) []string {
	known := setOf(other)
	return slices.DeleteFunc(slices.Clone(list), func(v string) bool { return known[v] })
}

// valuesOf writes a closed domain; a whole number is the same text in every type.
func valuesOf(c *tensor.Column) []string {
	switch {
	case c.Domain == nil && c.Type == tensor.Bool:
		return []string{"false", "true"}
	case c.Domain == nil:
		return nil
	}
	var out []string
	for v := range c.Domain.Strings {
		out = append(out, strconv.Quote(v))
	}
	for v := range c.Domain.Floats {
		out = append(out, strconv.FormatFloat(v, 'f', -1, 64))
	}
	for v := range c.Domain.Integers {
		switch c.Type {
		case tensor.Bool:
			out = append(out, strconv.FormatBool(v != 0))
		case tensor.Uint64:
			out = append(out, strconv.FormatUint(uint64(v), 10))
		default:
			out = append(out, fmt.Sprint(v))
		}
	}
	slices.Sort(out)
	return out
}
