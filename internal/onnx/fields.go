package onnx

import (
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Wire types, in the low bits of a key.
const (
	varint = int32(protowire.VarintType)
	fixed8 = int32(protowire.Fixed64Type)
	length = int32(protowire.BytesType)
	fixed4 = int32(protowire.Fixed32Type)
)

// Keys of the fields that the walk looks at: number<<3 | wire type, so that a
// known number with another wire type is passed over, as protobuf does.
const (
	modelIR, modelProducer, modelProducerVersion = 1<<3 | varint, 2<<3 | length, 3<<3 | length
	modelGraph, modelOpset                       = 7<<3 | length, 8<<3 | length
	modelTraining, modelFunction                 = 20<<3 | length, 25<<3 | length

	opsetDomain, opsetVersion = 1<<3 | length, 2<<3 | varint

	trainingInit, trainingAlgorithm = 1<<3 | length, 2<<3 | length

	graphNode, graphName, graphInitializer = 1<<3 | length, 2<<3 | length, 5<<3 | length
	graphInput, graphOutput, graphValue    = 11<<3 | length, 12<<3 | length, 13<<3 | length
	graphSparse                            = 15<<3 | length

	functionName, functionInput, functionOutput = 1<<3 | length, 4<<3 | length, 5<<3 | length
	functionNode, functionOpset, functionDomain = 7<<3 | length, 9<<3 | length, 10<<3 | length
	functionAttribute, functionValue            = 11<<3 | length, 12<<3 | length
	functionOverload                            = 13<<3 | length

	nodeInput, nodeOutput, nodeOp             = 1<<3 | length, 2<<3 | length, 4<<3 | length
	nodeAttribute, nodeDomain, nodeOverloaded = 5<<3 | length, 7<<3 | length, 8<<3 | length

	attributeName, attributeInt              = 1<<3 | length, 3<<3 | varint
	attributeTensor, attributeGraph          = 5<<3 | length, 6<<3 | length
	attributeInts, attributeIntsPacked       = 8<<3 | varint, 8<<3 | length
	attributeStrings                         = 9<<3 | length
	attributeTensors, attributeGraphs        = 10<<3 | length, 11<<3 | length
	attributeType, attributeTypes            = 14<<3 | length, 15<<3 | length
	attributeSparse, attributeSparses        = 22<<3 | length, 23<<3 | length
	sparseValues, sparseIndices              = 1<<3 | length, 2<<3 | length
	sparseDims, sparseDimsPacked             = 3<<3 | varint, 3<<3 | length
	tensorDims, tensorDimsPacked, tensorType = 1<<3 | varint, 1<<3 | length, 2<<3 | varint
	tensorFloats, tensorFloatsPacked         = 4<<3 | fixed4, 4<<3 | length
	tensorInts, tensorIntsPacked             = 5<<3 | varint, 5<<3 | length
	tensorStrings                            = 6<<3 | length
	tensorLongs, tensorLongsPacked           = 7<<3 | varint, 7<<3 | length
	tensorName, tensorRaw                    = 8<<3 | length, 9<<3 | length
	tensorDoubles, tensorDoublesPacked       = 10<<3 | fixed8, 10<<3 | length
	tensorUnsigned, tensorUnsignedPacked     = 11<<3 | varint, 11<<3 | length
	tensorExternal, tensorLocation           = 13<<3 | length, 14<<3 | varint
	entryKey, entryValue                     = 1<<3 | length, 2<<3 | length
	valueName, valueType                     = 1<<3 | length, 2<<3 | length
	typeTensor, typeSequence, typeMap        = 1<<3 | length, 4<<3 | length, 5<<3 | length
	typeOpaque, typeSparse, typeOptional     = 7<<3 | length, 8<<3 | length, 9<<3 | length
	typeElem, typeElemMessage, typeShape     = 1<<3 | varint, 1<<3 | length, 2<<3 | length
	mapKey, mapValue                         = 1<<3 | varint, 2<<3 | length
	shapeDim, dimValue, dimParam             = 1<<3 | length, 1<<3 | varint, 2<<3 | length
)

// field is one field of a message.
type field struct {
	key   int32  // number<<3 | wire type
	value uint64 // of a varint or fixed field
	whole span   // with the tag
	body  span   // of a length-delimited field; otherwise the value's bytes
}

// int returns a varint as a signed number.
func (f field) int() int64 { return int64(f.value) }

// fields yields the fields of the message in s. It ends early when the walk
// fails: a field that runs past its parent, a broken tag, too many items.
func (w *walker) fields(s span, at *place) iter.Seq[field] {
	return func(yield func(field) bool) {
		for pos := s.start; pos < s.end && w.err == nil; {
			f, ok := w.field(pos, s, at)
			if !ok || !yield(f) {
				return
			}
			pos = f.whole.end
		}
	}
}

// field reads the field at pos of the message in s.
func (w *walker) field(pos int64, s span, at *place) (field, bool) {
	const most = 2 * 10 // two varints: the tag and the value or length
	data := w.win.at(pos, int(min(most, s.end-pos)))
	if w.win.err != nil {
		w.err = w.win.err
		return field{}, false
	}
	number, typ, n := protowire.ConsumeTag(data)
	if n < 0 {
		return field{}, w.malformed(pos, s, at, "no valid field starts there")
	}
	f := field{key: int32(number)<<3 | int32(typ), whole: span{start: pos}}
	rest := data[n:]
	f.body.start = pos + int64(n)
	switch typ {
	case protowire.VarintType, protowire.BytesType:
		f.value, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed32Type:
		n = 4
	case protowire.Fixed64Type:
		n = 8
	default:
		return field{}, w.malformed(pos, s, at, "groups do not occur in ONNX")
	}
	if n < 0 {
		return field{}, w.malformed(pos, s, at, "the field's number is cut off")
	}
	f.body.end = f.body.start + int64(n)
	if typ == protowire.BytesType {
		f.body.start = f.body.end
		if f.value > uint64(s.end-f.body.start) {
			return field{}, w.overrun(pos, s, at)
		}
		f.body.end += int64(f.value)
		if w.items++; w.items > w.limits.Items {
			return field{}, w.over(at, "items", "strings and messages", w.limits.Items)
		}
	}
	f.whole.end = f.body.end
	if f.whole.end > s.end {
		return field{}, w.overrun(pos, s, at)
	}
	return f, true
}

// numbers yields the varints of a repeated field, packed or not.
func (w *walker) numbers(f field, at *place) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if f.key&7 == varint {
			yield(f.int())
			return
		}
		for pos := f.body.start; pos < f.body.end && w.err == nil; {
			v, n := protowire.ConsumeVarint(w.win.at(pos, int(min(10, f.body.end-pos))))
			if w.win.err != nil {
				w.err = w.win.err
				return
			}
			if n < 0 {
				w.malformed(pos, f.body, at, "a packed number is cut off")
				return
			}
			if !yield(int64(v)) {
				return
			}
			pos += int64(n)
		}
	}
}
