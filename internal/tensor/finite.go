package tensor

import "math"

// AllFinite reports whether no element of the output's tensor is NaN or
// infinite; where several outputs share it, those of this one's column count.
func (o *Output) AllFinite(rows int) bool {
	if o.width() != o.Stride {
		for row := range rows {
			if !o.RowFinite(row) {
				return false
			}
		}
		return true
	}
	return finite(o.Values, 0, o.Stride*rows)
}

// RowFinite reports the same of one row's value.
func (o *Output) RowFinite(row int) bool {
	start := row*o.Stride + o.Offset
	return finite(o.Values, start, start+o.width())
}

// width is the elements of one row's value.
func (o *Output) width() int {
	if o.Classes != nil {
		return len(o.Classes)
	}
	return int(Count(o.Shape))
}

func finite(x *Tensor, start, end int) bool {
	switch x.Type {
	case Float64:
		for _, v := range View[float64](x)[start:end] {
			if v-v != 0 { // of NaN and the infinities it is NaN
				return false
			}
		}
	case Float32:
		for _, v := range View[float32](x)[start:end] {
			if v-v != 0 {
				return false
			}
		}
	case Float16:
		for _, bits := range View[uint16](x)[start:end] {
			if v := Float16Value(bits); math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
	}
	return true
}
