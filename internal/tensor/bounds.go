package tensor

import (
	"fmt"
	"math"
)

// Range is the closed interval of numbers that a column accepts. A missing
// value is in every range: whether it is allowed is another question.
type Range struct {
	least, most       float64 // of floats; infinite where a side is open
	lowest, highest   uint64  // of integers, in the order of ordered
	minimum, maximum  string  // as they were written, for errors
	signed, isInteger bool
}

// NewRange reads the ends of a range as values of the column's type are read,
// integers never passing through float64. An empty text leaves a side open. It
// fails for types that are no numbers, for ends that the type does not hold and
// for a minimum above the maximum.
func NewRange(t Type, minimum, maximum string) (*Range, error) {
	r := &Range{
		least: math.Inf(-1), most: math.Inf(1), highest: math.MaxUint64,
		minimum: minimum, maximum: maximum, signed: t <= Int64, isInteger: t.IsInteger(),
	}
	if !t.IsInteger() && !t.IsFloat() {
		return nil, fmt.Errorf("a column of %s has no range", t)
	}
	if err := r.end(t, minimum, &r.least, &r.lowest); err != nil {
		return nil, err
	}
	if err := r.end(t, maximum, &r.most, &r.highest); err != nil {
		return nil, err
	}
	if r.least > r.most || r.lowest > r.highest {
		return nil, fmt.Errorf("the minimum %s is above the maximum %s", minimum, maximum)
	}
	return r, nil
}

// end reads one end, unless it is open.
func (r *Range) end(t Type, literal string, float *float64, whole *uint64) error {
	if literal == "" {
		return nil
	}
	var err error
	if r.isInteger {
		var negative bool
		var magnitude, bits uint64
		if negative, magnitude, err = parseInteger([]byte(literal)); err == nil {
			bits, err = inRange(t, negative, magnitude)
		}
		*whole = r.ordered(bits)
	} else {
		var v float64
		if v, err = parseFloat([]byte(literal)); err == nil && overflows(t, v) {
			err = errRange
		}
		*float = rounded(t, v)
	}
	if err != nil {
		return fmt.Errorf("%s is no value of %s", clip(literal), t)
	}
	return nil
}

// ordered maps the two's complement bits of an integer to an unsigned number
// of the same order.
func (r *Range) ordered(bits uint64) uint64 {
	if r.signed {
		return bits ^ 1<<63
	}
	return bits
}

// hasFloat reports whether a value, already cast to the column's type, is
// inside; NaN is, since it is not outside.
func (r *Range) hasFloat(v float64) bool {
	return r == nil || !(v < r.least || v > r.most)
}

// hasInteger takes the value's two's complement bits.
func (r *Range) hasInteger(bits uint64) bool {
	if r == nil {
		return true
	}
	v := r.ordered(bits)
	return r.lowest <= v && v <= r.highest
}

// Ends returns both ends as they were written, empty where a side is open; nil
// is open on both.
func (r *Range) Ends() (minimum, maximum string) {
	if r == nil {
		return "", ""
	}
	return r.minimum, r.maximum
}

// String says the range for errors: from 0 to 9, of at least 0, of at most 9.
func (r *Range) String() string {
	switch {
	case r.maximum == "":
		return "of at least " + r.minimum
	case r.minimum == "":
		return "of at most " + r.maximum
	default:
		return "from " + r.minimum + " to " + r.maximum
	}
}
