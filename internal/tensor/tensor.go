package tensor

import (
	"fmt"
	"math"
	"unsafe"
)

// Tensor is a dense array. Fixed-size elements live in Data, native byte order,
// row-major, 8-byte aligned where New or Grow made it; strings live in Strings.
// A rank-0 tensor has an empty Shape and one element.
type Tensor struct {
	Type    Type
	Shape   []int64
	Data    []byte
	Strings []string
}

// Fixed is the Go side of every fixed-size element type but Float16, which is
// carried as its bits in a uint16.
type Fixed interface {
	bool | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

// New returns a zeroed tensor. The shape must be complete (no negative
// dimension) and its product within memory; both are the caller's to check.
func New(t Type, shape ...int64) *Tensor {
	n := Count(shape)
	x := &Tensor{Type: t, Shape: append([]int64(nil), shape...)}
	if t == String {
		x.Strings = make([]string, n)
	} else {
		x.Data = alignedBytes(int(n) * t.Size())
	}
	return x
}

// From copies values into a new tensor, one element each.
func From[T Fixed](t Type, values []T, shape ...int64) *Tensor {
	x := New(t, shape...)
	copy(View[T](x), values)
	return x
}

// FromStrings wraps values, without copying, as a string tensor.
func FromStrings(values []string, shape ...int64) *Tensor {
	return &Tensor{Type: String, Shape: append([]int64(nil), shape...), Strings: values}
}

// View returns the elements as a slice over the tensor's own memory. The
// caller chooses a T of the element's size and meaning.
func View[T Fixed](x *Tensor) []T {
	if len(x.Data) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(x.Data))), len(x.Data)/int(unsafe.Sizeof(zero)))
}

// Len returns the number of elements.
func (x *Tensor) Len() int { return int(Count(x.Shape)) }

// Rows returns the first dimension, or 1 for a rank-0 tensor.
func (x *Tensor) Rows() int {
	if len(x.Shape) == 0 {
		return 1
	}
	return int(x.Shape[0])
}

// String describes the tensor for logs and errors: float64[3,4].
func (x *Tensor) String() string { return x.Type.String() + FormatShape(x.Shape) }

// Count returns the product of the dimensions; 1 for a rank-0 shape, and -1
// where a dimension is negative or the product does not fit.
func Count(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || (d > 0 && n > math.MaxInt64/d) {
			return -1
		}
		n *= d
	}
	return n
}

// FormatShape writes [3,4]; an unknown dimension is a question mark.
func FormatShape(shape []int64) string {
	out := []byte{'['}
	for i, d := range shape {
		if i > 0 {
			out = append(out, ',')
		}
		if d < 0 {
			out = append(out, '?')
		} else {
			out = fmt.Append(out, d)
		}
	}
	return string(append(out, ']'))
}

// alignedBytes returns n zero bytes that start on an 8-byte boundary, which
// every element type needs when it is viewed in place.
func alignedBytes(n int) []byte {
	if n == 0 {
		return nil
	}
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n)
}
