package divergence

import (
	"strconv"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// number64 reads one element of a number tensor; a bool is 0 or 1.
func number64(x *tensor.Tensor, i int) float64 {
	switch x.Type {
	case tensor.Float64:
		return tensor.View[float64](x)[i]
	case tensor.Float32:
		return float64(tensor.View[float32](x)[i])
	case tensor.Float16:
		return tensor.Float16Value(tensor.View[uint16](x)[i])
	case tensor.Uint64:
		return float64(tensor.View[uint64](x)[i])
	default:
		return float64(integer(x, i))
	}
}

// integer reads one element of an integer or bool tensor; of a uint64 beyond
// an int64 it is the bits.
func integer(x *tensor.Tensor, i int) int64 {
	switch x.Type {
	case tensor.Int64, tensor.Uint64:
		return tensor.View[int64](x)[i]
	case tensor.Int32:
		return int64(tensor.View[int32](x)[i])
	case tensor.Int16:
		return int64(tensor.View[int16](x)[i])
	case tensor.Int8:
		return int64(tensor.View[int8](x)[i])
	case tensor.Uint32:
		return int64(tensor.View[uint32](x)[i])
	case tensor.Uint16:
		return int64(tensor.View[uint16](x)[i])
	default:
		return int64(x.Data[i])
	}
}

// sameElement compares two elements as an answer shows them: 1 and 1.0 are the
// same, "1" and 1 are not, and neither are true and 1.
func sameElement(a *cells, i int, b *cells, j int) bool {
	switch {
	case a.Type == tensor.String || b.Type == tensor.String:
		return a.Type == b.Type && a.Values.Strings[i] == b.Values.Strings[j]
	case a.Type == tensor.Bool || b.Type == tensor.Bool:
		return a.Type == b.Type && (integer(a.Values, i) != 0) == (integer(b.Values, j) != 0)
	case a.Values.Type.IsFloat() || b.Values.Type.IsFloat():
		return apart(number64(a.Values, i), number64(b.Values, j)) == 0
	default:
		x, y := integer(a.Values, i), integer(b.Values, j)
		return x == y && (x >= 0 || (a.Values.Type == tensor.Uint64) == (b.Values.Type == tensor.Uint64))
	}
}

// maxLabel is how many bytes of a label are kept.
const maxLabel = 80

// text writes one element as people read it.
func text(c *cells, i int) string {
	switch {
	case c.Type == tensor.String:
		s := c.Values.Strings[i]
		if len(s) > maxLabel {
			s = s[:maxLabel] + "…"
		}
		return s
	case c.Type == tensor.Bool:
		return strconv.FormatBool(integer(c.Values, i) != 0)
	case c.Values.Type.IsFloat():
		return strconv.FormatFloat(number64(c.Values, i), 'g', -1, 64)
	case c.Values.Type == tensor.Uint64:
		return strconv.FormatUint(uint64(integer(c.Values, i)), 10)
	default:
		return strconv.FormatInt(integer(c.Values, i), 10)
	}
}
