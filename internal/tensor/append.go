package tensor

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// Output is one logical output of a run, as clients see it.
type Output struct {
	// Key is the output's name as JSON, with its colon: "label":
	Key []byte
	// Type is what the client gets; a bool label may live in an integer tensor.
	Type Type
	// Values holds the elements: Rows equally long slices, row-major.
	Values *Tensor
	// Classes, where set, are the keys of a probability object, with colons.
	Classes [][]byte
	// Offset is the first element of a row's value, Stride the distance between
	// rows. Shape is of one row's value; nil for a scalar.
	Offset, Stride int
	Shape          []int64
	// Whole outputs are not batched: they have one value, not one per row, and
	// only the columns form can carry them.
	Whole bool
}

// JSONKey writes name as a JSON member key with its colon.
func JSONKey(name string) []byte {
	return append(AppendString(nil, name), ':')
}

// AppendRows writes [{"label":…},…], one object per row.
func AppendRows(dst []byte, outs []Output, rows int) []byte {
	dst = append(dst, '[')
	for r := range rows {
		if r > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		for i := range outs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, outs[i].Key...)
			dst = outs[i].appendRow(dst, r)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendColumns writes {"label":[…],…}, one list per output.
func AppendColumns(dst []byte, outs []Output, rows int) []byte {
	dst = append(dst, '{')
	for i := range outs {
		o := &outs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, o.Key...)
		if o.Whole {
			dst, _ = o.appendNested(dst, o.Values.Shape, 0)
			continue
		}
		if o.Classes == nil {
			dst = o.appendColumn(dst, rows)
			continue
		}
		dst = append(dst, '{')
		for k, class := range o.Classes {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, class...)
			column := Output{Type: o.Type, Values: o.Values, Offset: o.Offset + k, Stride: o.Stride}
			dst = column.appendColumn(dst, rows)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func (o *Output) appendColumn(dst []byte, rows int) []byte {
	dst = append(dst, '[')
	for r := range rows {
		if r > 0 {
			dst = append(dst, ',')
		}
		dst = o.appendRow(dst, r)
	}
	return append(dst, ']')
}

func (o *Output) appendRow(dst []byte, row int) []byte {
	start := row*o.Stride + o.Offset
	if o.Classes == nil {
		dst, _ = o.appendNested(dst, o.Shape, start)
		return dst
	}
	dst = append(dst, '{')
	for k, class := range o.Classes {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, class...)
		dst = o.appendElement(dst, start+k)
	}
	return append(dst, '}')
}

func (o *Output) appendNested(dst []byte, shape []int64, i int) ([]byte, int) {
	if len(shape) == 0 {
		return o.appendElement(dst, i), i + 1
	}
	dst = append(dst, '[')
	for k := range shape[0] {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst, i = o.appendNested(dst, shape[1:], i)
	}
	return append(dst, ']'), i
}

func (o *Output) appendElement(dst []byte, i int) []byte {
	x := o.Values
	switch x.Type {
	case String:
		return AppendString(dst, x.Strings[i])
	case Float64:
		return AppendFloat(dst, View[float64](x)[i], 64)
	case Float32:
		return AppendFloat(dst, float64(View[float32](x)[i]), 32)
	case Float16:
		return AppendFloat(dst, Float16Value(View[uint16](x)[i]), 32)
	case Uint64:
		if o.Type != Bool {
			return strconv.AppendUint(dst, View[uint64](x)[i], 10)
		}
	}
	v := integerAt(x, i)
	if o.Type == Bool {
		return strconv.AppendBool(dst, v != 0)
	}
	return strconv.AppendInt(dst, v, 10)
}

func integerAt(x *Tensor, i int) int64 {
	switch x.Type {
	case Int64, Uint64: // the bits of a uint64, which its caller needs no more of
		return View[int64](x)[i]
	case Int32:
		return int64(View[int32](x)[i])
	case Int16:
		return int64(View[int16](x)[i])
	case Int8:
		return int64(View[int8](x)[i])
	case Uint32:
		return int64(View[uint32](x)[i])
	case Uint16:
		return int64(View[uint16](x)[i])
	default: // Uint8 and Bool, whose true may be any byte but 0
		return int64(x.Data[i])
	}
}

// AppendFloat writes the shortest decimal that reads back as the same number
// of that many bits. NaN is null, infinities are strings: JSON has neither.
func AppendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case v != v:
		return append(dst, "null"...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e' // as encoding/json and ECMAScript switch
	}
	return strconv.AppendFloat(dst, v, format, -1, bits)
}

// AppendString writes a JSON string; bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	plain := utf8.ValidString(s)
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] != '"' && s[i] != '\\'
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil { // Marshal of a string has no other outcome than success
		return append(dst, `""`...)
	}
	return append(dst, quoted...)
}
