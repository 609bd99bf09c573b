package divergence

import (
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Check finds answers that cannot be right, whatever the other version says.
// It does not change after NewCheck and is safe for concurrent use.
type Check struct {
	kinds  []string
	labels []*labels // by output; nil: all labels pass
}

// NewCheck returns the check of a version with these outputs. A label is held
// to the classes of its probabilities: those of the same ending (label_0 and
// probabilities_0), or the only ones of an only label.
func NewCheck(outputs []Output) *Check {
	c := &Check{labels: make([]*labels, len(outputs))}
	for i := range outputs {
		c.kinds = append(c.kinds, outputs[i].Kind)
		if outputs[i].Kind == kindLabel {
			c.labels[i] = labelsOf(classesOf(outputs, outputs[i].Name))
		}
	}
	return c
}

func classesOf(outputs []Output, label string) []string {
	var last []string
	alone := 0 // labels and probabilities: one each where it is 2
	for i := range outputs {
		o := &outputs[i]
		if o.Kind == kindLabel {
			alone++
		}
		if o.Kind != kindProbabilities {
			continue
		}
		if strings.TrimPrefix(o.Name, kindProbabilities) == strings.TrimPrefix(label, kindLabel) {
			return o.Classes
		}
		last = o.Classes
		alone++
	}
	if last != nil && alone == 2 {
		return last
	}
	return nil
}

// labels are the classes that a label may be, in the types it may have.
type labels struct {
	texts    map[string]bool
	integers map[int64]bool
	floats   map[float64]bool
}

func labelsOf(classes []string) *labels {
	if classes == nil {
		return nil
	}
	l := &labels{texts: map[string]bool{}, integers: map[int64]bool{}, floats: map[float64]bool{}}
	for _, class := range classes {
		l.texts[class] = true
		f, err := strconv.ParseFloat(class, 64)
		if err != nil {
			continue
		}
		l.floats[f] = true
		if n, err := strconv.ParseInt(class, 10, 64); err == nil {
			l.integers[n] = true
		} else if n, err := strconv.ParseUint(class, 10, 64); err == nil {
			l.integers[int64(n)] = true // the bits, as integer reads them
		}
	}
	return l
}

func (l *labels) has(c *cells, i int) bool {
	switch {
	case l == nil:
		return true
	case c.Type == tensor.String:
		return l.texts[c.Values.Strings[i]]
	case c.Type == tensor.Bool:
		return l.texts[strconv.FormatBool(integer(c.Values, i) != 0)]
	case c.Values.Type.IsFloat():
		return l.floats[number64(c.Values, i)]
	default:
		return l.integers[integer(c.Values, i)]
	}
}

// roundingProbability is how far beyond 0 and 1 a probability may be: a sum
// of float32 is.
const roundingProbability = 1e-6

// Invalid returns how many rows hold NaN or an infinite number, a label that
// is none of the classes, or a probability outside 0 to 1. An output that is
// not batched counts in the first row.
func (c *Check) Invalid(outs []tensor.Output, rows int) int {
	n := 0
	for row := range rows {
		for k := range outs {
			if (row == 0 || !outs[k].Whole) && c.invalid(k, &outs[k], row) {
				n++
				break
			}
		}
	}
	return n
}

func (c *Check) invalid(k int, o *tensor.Output, row int) bool {
	cells := cellsOf(o)
	width := cells.width
	if o.Classes != nil {
		width = len(o.Classes)
	}
	start := cells.start(row)
	if o.Values.Type.IsFloat() && outside(o, start, width) {
		return true
	}
	if c.kinds[k] != kindLabel {
		return false
	}
	for i := range width {
		if !c.labels[k].has(&cells, start+i) {
			return true
		}
	}
	return false
}

// outside reports whether one of n floats is no number, or no probability
// where it should be one.
func outside(o *tensor.Output, start, n int) bool {
	for i := start; i < start+n; i++ {
		v := number64(o.Values, i)
		if v-v != 0 { // NaN and infinities
			return true
		}
		if o.Classes != nil && (v < -roundingProbability || v > 1+roundingProbability) {
			return true
		}
	}
	return false
}
