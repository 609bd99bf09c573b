package tensor

import (
	"bytes"
	"errors"
	"math"
	"strings"
)

// value reads the value of column c in one row, the scanner standing before it.
func (d *Decoder) value(c, row int) error {
	col := &d.frame.Layout.Columns[c]
	shape := d.frame.shapes[c]
	if col.AnyRank && row == 0 {
		shape = unknownDims(d.scan)
		d.frame.shapes[c] = shape
	}
	width := d.frame.width(c)
	next := row*width + col.Offset
	if len(shape) == 0 {
		d.frame.grow(col.Buffer, (row+1)*width)
		return d.element(col, next)
	}
	err := d.nested(c, 0, &next)
	d.place.depth = 0
	return err
}

// unknownDims counts the lists that open here, without consuming them.
func unknownDims(s *Scanner) []int64 {
	var shape []int64
	for _, b := range s.data[s.pos:] {
		switch b {
		case ' ', '\n', '\t', '\r':
		case '[':
			if len(shape) < MaxRank {
				shape = append(shape, -1)
			}
		default:
			return shape
		}
	}
	return shape
}

// nested reads the lists of dimension dim, row-major; next is the element to
// be written. The first list of a request decides an unknown dimension.
func (d *Decoder) nested(c, dim int, next *int) error {
	shape := d.frame.shapes[c]
	if d.scan.Peek() != '[' {
		return d.notAList(c, dim)
	}
	more, err := d.scan.Open('[', ']')
	n := 0
	for ; more && err == nil; n++ {
		d.place.index[dim], d.place.depth = n, dim+1
		switch {
		case shape[dim] >= 0 && int64(n) >= shape[dim]:
			_, err = d.scan.Skip() // too long; reported with the count below
		case dim+1 < len(shape):
			err = d.nested(c, dim+1, next)
		default:
			d.frame.grow(d.frame.Layout.Columns[c].Buffer, *next+1)
			err = d.element(&d.frame.Layout.Columns[c], *next)
			*next++
		}
		if err = d.proceed(err); err == nil {
			more, err = d.scan.More(']')
		}
	}
	d.place.depth = dim
	if err == nil {
		d.agreeOnLength(shape, dim, n)
	}
	return err
}

func (d *Decoder) agreeOnLength(shape []int64, dim, n int) {
	switch {
	case n == 0:
		d.find(findShape, "an empty list is no tensor: send at least one element")
	case shape[dim] < 0:
		shape[dim] = int64(n)
	case shape[dim] != int64(n):
		d.find(findShape, "expected a list of %d, got %d elements", shape[dim], n)
	}
}

func (d *Decoder) notAList(c, dim int) error {
	literal, err := d.scan.Skip()
	if err == nil {
		d.find(findShape, "expected a list nested %d deep (shape %s), got %s",
			len(d.frame.shapes[c])-dim, FormatShape(d.frame.shapes[c]), describe(literal))
	}
	return err
}

// element reads one scalar and writes it to element i of the column's buffer.
func (d *Decoder) element(col *Column, i int) error {
	switch c := d.scan.Peek(); {
	case c == 'n':
		return d.null(col, i)
	case col.Type == String:
		return d.text(col, i, c)
	case col.Type == Bool:
		return d.boolean(col, i, c)
	case c == '"' && col.Type.IsFloat():
		return d.nonFinite(col, i)
	case c == '-' || c-'0' <= 9:
		return d.number(col, i)
	default:
		return d.mismatch("expected a number, got %s")
	}
}

func (d *Decoder) mismatch(format string) error {
	literal, err := d.scan.Skip()
	if err == nil {
		d.find(findType, format, describe(literal))
	}
	return err
}

func (d *Decoder) null(col *Column, i int) error {
	if err := d.scan.Word("null"); err != nil {
		return err
	}
	if !col.Nullable {
		d.find(findMissing, "a missing value is not allowed here")
		return nil
	}
	if b := &d.frame.buffers[col.Buffer]; b.Type == String {
		b.Strings[i] = col.Sentinel
	} else {
		d.store(col, i, math.NaN())
	}
	return nil
}

func (d *Decoder) text(col *Column, i int, c byte) error {
	if c != '"' {
		return d.mismatch("expected a string, got %s")
	}
	raw, err := d.scan.Text()
	if err != nil {
		return err
	}
	value := string(raw)
	switch {
	case strings.IndexByte(value, 0) >= 0:
		d.find(findReserved, "the string holds U+0000, which ONNX Runtime's strings cannot carry")
	case col.Sentinel != "" && value == col.Sentinel:
		d.find(findReserved, "the string %s stands for a missing value inside the model: send null for missing", quote(value))
	default:
		if !col.Domain.hasString(value) {
			d.find(findDomain, "%s is not among the values that the model accepts", quote(clip(value)))
		}
		d.frame.buffers[col.Buffer].Strings[i] = value
	}
	return nil
}

func (d *Decoder) boolean(col *Column, i int, c byte) error {
	var v float64
	switch c {
	case 't':
		if err := d.scan.Word("true"); err != nil {
			return err
		}
		v = 1
	case 'f':
		if err := d.scan.Word("false"); err != nil {
			return err
		}
	default:
		return d.mismatch("expected true or false, got %s")
	}
	if !col.Domain.hasInteger(int64(v)) {
		d.find(findDomain, "%t is not among the values that the model accepts", v != 0)
	}
	if b := &d.frame.buffers[col.Buffer]; b.Type.IsFloat() {
		d.store(col, i, v)
	} else {
		storeBits(b, i, uint64(v))
	}
	return nil
}

// nonFinite reads the three strings that stand for numbers JSON cannot write.
func (d *Decoder) nonFinite(col *Column, i int) error {
	literal, err := d.scan.Skip()
	if err != nil {
		return err
	}
	switch string(literal) {
	case `"NaN"`:
		if !col.Nullable {
			d.find(findMissing, "NaN is a missing value, which is not allowed here")
			return nil
		}
		d.store(col, i, math.NaN())
	case `"Infinity"`:
		d.infinite(col, i, math.Inf(1))
	case `"-Infinity"`:
		d.infinite(col, i, math.Inf(-1))
	default:
		d.find(findType, "expected a number, got %s", describe(literal))
	}
	return nil
}

func (d *Decoder) infinite(col *Column, i int, v float64) {
	if !col.Domain.hasFloat(v) {
		d.find(findDomain, "an infinite number is not among the values that the model accepts")
	}
	if !col.Range.hasFloat(v) {
		d.find(findRange, "expected a number %s, got an infinite one", col.Range)
	}
	d.store(col, i, v)
}

func (d *Decoder) number(col *Column, i int) error {
	literal, err := d.scan.Number()
	if err != nil {
		return err
	}
	if col.Type.IsInteger() {
		d.integer(col, i, literal)
		return nil
	}
	v, err := parseFloat(literal)
	narrowest := min(col.Type, d.frame.buffers[col.Buffer].Type) // of the two floats it is cast to
	if err != nil || overflows(narrowest, v) {
		d.find(findRange, "%s is out of the range of %s", clip(string(literal)), narrowest)
		return nil
	}
	if !col.Domain.hasFloat(v) {
		d.find(findDomain, "%s is not among the values that the model accepts", clip(string(literal)))
	}
	if col.Range != nil && !col.Range.hasFloat(rounded(col.Type, v)) {
		d.outside(col, literal)
	}
	d.store(col, i, v)
	return nil
}

// outside records a number that the column's type holds and its range does not.
func (d *Decoder) outside(col *Column, literal []byte) {
	d.find(findRange, "expected a number %s, got %s", col.Range, clip(string(literal)))
}

// overflows reports whether the cast of a finite number to t is infinite.
func overflows(t Type, v float64) bool {
	switch t {
	case Float32:
		return math.IsInf(float64(float32(v)), 0)
	case Float16:
		return Float16Bits(v)&0x7fff == 0x7c00
	default:
		return false
	}
}

func (d *Decoder) integer(col *Column, i int, literal []byte) {
	negative, magnitude, err := parseInteger(literal)
	var bits uint64
	if err == nil {
		bits, err = inRange(col.Type, negative, magnitude)
	}
	switch {
	case errors.Is(err, errFraction):
		d.find(findType, "expected a whole number, got %s", clip(string(literal)))
		return
	case err != nil:
		d.find(findRange, "%s is out of the range of %s", clip(string(literal)), col.Type)
		return
	case !col.Domain.hasInteger(int64(bits)):
		d.find(findDomain, "%s is not among the values that the model accepts", clip(string(literal)))
		return
	case !col.Range.hasInteger(bits):
		d.outside(col, literal)
		return
	}
	b := &d.frame.buffers[col.Buffer]
	v := float64(magnitude)
	if negative {
		v = -v
	}
	switch {
	case !b.Type.IsFloat():
		storeBits(b, i, bits)
	case overflows(b.Type, v):
		d.find(findRange, "%s is out of the range of %s", clip(string(literal)), b.Type)
	default:
		d.store(col, i, v)
	}
}

// store casts a float64 to the buffer's float type, passing through the
// logical type first: a float32 column in a double graph holds float32 values.
func (d *Decoder) store(col *Column, i int, v float64) {
	v = rounded(col.Type, v)
	b := &d.frame.buffers[col.Buffer]
	switch b.Type {
	case Float64:
		View[float64](b)[i] = v
	case Float32:
		View[float32](b)[i] = float32(v)
	case Float16:
		View[uint16](b)[i] = Float16Bits(v)
	}
}

// rounded casts a number to a float type and back; other types leave it as it is.
func rounded(t Type, v float64) float64 {
	switch t {
	case Float32:
		return float64(float32(v))
	case Float16:
		return Float16Value(Float16Bits(v))
	default:
		return v
	}
}

// storeBits writes an integer or a bool, already known to be in range.
func storeBits(b *Tensor, i int, bits uint64) {
	switch b.Type.Size() {
	case 1:
		b.Data[i] = byte(bits)
	case 2:
		View[uint16](b)[i] = uint16(bits)
	case 4:
		View[uint32](b)[i] = uint32(bits)
	default:
		View[uint64](b)[i] = bits
	}
}

func (dom *Domain) hasString(v string) bool {
	if dom == nil || dom.Strings == nil {
		return true
	}
	_, ok := dom.Strings[v]
	return ok
}

func (dom *Domain) hasFloat(v float64) bool {
	if dom == nil || dom.Floats == nil {
		return true
	}
	_, ok := dom.Floats[v]
	return ok
}

func (dom *Domain) hasInteger(v int64) bool {
	if dom == nil || dom.Integers == nil {
		return true
	}
	_, ok := dom.Integers[v]
	return ok
}

// describe names a literal for an error: its value where it is short and
// scalar, its kind otherwise.
func describe(literal []byte) string {
	switch {
	case len(literal) == 0:
		return "nothing"
	case literal[0] == '{':
		return "an object"
	case literal[0] == '[':
		return "a list"
	default:
		return clip(string(bytes.TrimSpace(literal)))
	}
}
