package onnx

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/internal/tensor"
)

const (
	maxRank = 64
	// maxDense bounds a sparse tensor, which ONNX Runtime makes dense at load.
	maxDense = 1 << 31
)

// stored is what a TensorProto says of itself.
type stored struct {
	name     string
	elem     int32
	dims     []int64
	raw      int64 // bytes of raw_data, -1 where there is none
	floats   int64 // bytes of float_data
	doubles  int64
	numbers  int64 // bytes of the varints in int32_data, int64_data, uint64_data
	strings  int64 // entries of string_data
	external bool
	entries  map[string]string
}

// tensor walks a TensorProto, weighs its data against its dimensions without
// reading them, and returns its name.
func (w *walker) tensor(s span, at *place) string {
	t := stored{raw: -1}
	for f := range w.fields(s, at) {
		n := f.body.len()
		switch f.key {
		case tensorDims, tensorDimsPacked:
			t.dims = w.dims(t.dims, f, at)
		case tensorType:
			t.elem = int32(f.int())
		case tensorFloats, tensorFloatsPacked:
			t.floats += n
		case tensorDoubles, tensorDoublesPacked:
			t.doubles += n
		case tensorInts, tensorIntsPacked, tensorLongs, tensorLongsPacked, tensorUnsigned, tensorUnsignedPacked:
			t.numbers += n
		case tensorStrings:
			t.strings++
		case tensorName:
			t.name = w.name(f, at)
		case tensorRaw:
			t.raw = n
		case tensorExternal:
			w.entry(&t, f.body, at)
		case tensorLocation:
			t.external = f.int() == 1
		}
	}
	if w.err == nil {
		w.weigh(&t, at)
	}
	return t.name
}

func (w *walker) dims(dims []int64, f field, at *place) []int64 {
	for d := range w.numbers(f, at) {
		if len(dims) == maxRank {
			w.over(at, "rank", "dimensions in one tensor", maxRank)
			break
		}
		dims = append(dims, d)
	}
	return dims
}

func (w *walker) entry(t *stored, s span, at *place) {
	var key, value string
	for f := range w.fields(s, at) {
		switch f.key {
		case entryKey:
			key = w.name(f, at)
		case entryValue:
			value = w.name(f, at)
		}
	}
	if t.entries == nil {
		t.entries = map[string]string{}
	}
	if _, twice := t.entries[key]; twice {
		w.find(at, FindingExternal, "the entry %s of the external data occurs twice", quote(key))
	}
	t.entries[key] = value
}

// weigh adds a finding where dimensions and data do not fit.
func (w *walker) weigh(t *stored, at *place) {
	count := tensor.Count(t.dims)
	if count < 0 {
		w.find(at, FindingTensor, "the dimensions %s of %s are negative or too large",
			tensor.FormatShape(t.dims), quote(t.name))
		return
	}
	known := t.elem > 0 && int(t.elem) < len(elements)
	var need int64 = -1
	if known && t.elem != 8 {
		need = bytesOf(count, elements[t.elem].bits)
	}
	switch {
	case t.external:
		w.location(t, need, at)
	case t.elem == 0 && t.empty(): // a default that was never set
	case !known:
		w.find(at, FindingTensor, "the element type %d of %s is not one of ONNX", t.elem, quote(t.name))
	case t.raw >= 0 && t.elem == 8:
		w.find(at, FindingTensor, "%s holds strings as raw data", quote(t.name))
	case t.raw >= 0 && t.raw != need:
		w.find(at, FindingTensor, "%s is %s%s and needs %d bytes, but holds %d",
			quote(t.name), elements[t.elem].name, tensor.FormatShape(t.dims), need, t.raw)
	case t.raw < 0 && !t.plenty(count):
		w.find(at, FindingTensor, "%s is %s%s and holds too few values",
			quote(t.name), elements[t.elem].name, tensor.FormatShape(t.dims))
	}
}

// empty reports whether the tensor holds no data at all.
func (t *stored) empty() bool {
	return t.raw <= 0 && t.floats+t.doubles+t.numbers+t.strings == 0
}

// plenty reports whether the typed fields can hold count values: exactly for
// floats and strings, at a byte a value for varints.
func (t *stored) plenty(count int64) bool {
	switch t.elem {
	case 1, 14: // float32, complex64
		return t.floats == bytesOf(count, elements[t.elem].bits)
	case 11, 15: // float64, complex128
		return t.doubles == bytesOf(count, elements[t.elem].bits)
	case 8:
		return t.strings == count
	}
	return t.numbers >= bytesOf(count, min(elements[t.elem].bits, 8))
}

// bytesOf returns the bytes of count elements, rounded up.
func bytesOf(count, bits int64) int64 {
	if bits >= 8 {
		return times(count, bits/8)
	}
	return count/(8/bits) + min(count%(8/bits), 1)
}

// location checks where external data are said to lie.
func (w *walker) location(t *stored, need int64, at *place) {
	name := t.entries["location"]
	if !plainFile(name) {
		w.find(at, FindingExternal,
			"the data of %s lie at %s: external data must be a file beside the model, named without a folder", quote(t.name), quote(name))
		return
	}
	w.external[name] = true
	for _, key := range []string{"offset", "length"} {
		text, given := t.entries[key]
		if !given {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/2 {
			w.find(at, FindingExternal, "the %s %s of the external data of %s is no size", key, quote(text), quote(t.name))
		} else if key == "length" && need >= 0 && n != need {
			w.find(at, FindingTensor, "%s needs %d bytes, and its external data have %d", quote(t.name), need, n)
		}
	}
}

// sparse walks a SparseTensorProto and returns the name of its values.
func (w *walker) sparse(s span, at *place) string {
	var name string
	var dims []int64
	for f := range w.fields(s, at) {
		switch f.key {
		case sparseValues:
			name = w.tensor(f.body, at.in("values"))
		case sparseIndices:
			w.tensor(f.body, at.in("indices"))
		case sparseDims, sparseDimsPacked:
			dims = w.dims(dims, f, at)
		}
	}
	if n := tensor.Count(dims); n < 0 || n > maxDense {
		w.find(at, FindingTensor, "the sparse tensor %s has %s elements when it is made dense, which is too many",
			quote(name), tensor.FormatShape(dims))
	}
	return name
}
