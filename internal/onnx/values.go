package onnx

// maxTypes bounds sequences of sequences of ….
const maxTypes = 8

// value reads a ValueInfoProto.
func (w *walker) value(s span, at *place) Value {
	v := Value{TypeName: KindUnknown.String()}
	for f := range w.fields(s, at) {
		switch f.key {
		case valueName:
			v.Name = w.name(f, at)
		case valueType:
			name := v.Name
			v = w.typ(f.body, at, 0)
			v.Name = name
		}
	}
	return v
}

// typ reads a TypeProto into a Value without a name.
func (w *walker) typ(s span, at *place, depth int) Value {
	v := Value{TypeName: KindUnknown.String()}
	if depth == maxTypes {
		w.over(at, "types", "types inside each other", maxTypes)
		return v
	}
	for f := range w.fields(s, at) {
		kind := typeKinds[f.key]
		if kind == KindUnknown {
			continue
		}
		if v.Kind != KindUnknown {
			w.find(at, FindingType, "the type is given twice")
		}
		v = w.typeBody(f.body, kind, at, depth)
	}
	return v
}

// typeKinds says what the fields of a TypeProto mean.
var typeKinds = map[int32]ValueKind{
	typeTensor: KindTensor, typeSequence: KindSequence, typeMap: KindMap,
	typeOpaque: KindOpaque, typeSparse: KindSparse, typeOptional: KindOptional,
}

func (w *walker) typeBody(s span, kind ValueKind, at *place, depth int) Value {
	v := Value{Kind: kind, TypeName: kind.String()}
	var inner string
	for f := range w.fields(s, at) {
		switch {
		case kind == KindOpaque:
		case kind == KindMap && f.key == mapKey:
			_, inner = elementType(int32(f.int()))
		case kind == KindMap && f.key == mapValue:
			inner += "," + w.typ(f.body, at, depth+1).TypeName
		case (kind == KindSequence || kind == KindOptional) && f.key == typeElemMessage:
			inner = w.typ(f.body, at, depth+1).TypeName
		case f.key == typeElem && (kind == KindTensor || kind == KindSparse):
			v.ElemType = int32(f.int())
		case f.key == typeShape && (kind == KindTensor || kind == KindSparse):
			v.Ranked, v.Dims = true, w.shape(f.body, v.Dims, at)
		}
	}
	switch kind {
	case KindTensor:
		v.Type, v.TypeName = elementType(v.ElemType)
	case KindSparse:
		_, name := elementType(v.ElemType)
		v.TypeName += "(" + name + ")"
	case KindMap, KindSequence, KindOptional:
		v.TypeName += "(" + inner + ")"
	}
	return v
}

// shape appends the dimensions of a TensorShapeProto.
func (w *walker) shape(s span, dims []Dim, at *place) []Dim {
	for f := range w.fields(s, at) {
		if f.key != shapeDim {
			continue
		}
		if len(dims) == maxRank {
			w.over(at, "rank", "dimensions in one tensor", maxRank)
			break
		}
		dims = append(dims, w.dim(f.body, at))
	}
	return dims
}

// dim reads one dimension. Some exporters write a negative number for one that
// they do not know.
func (w *walker) dim(s span, at *place) Dim {
	d := Dim{Value: -1}
	for f := range w.fields(s, at) {
		switch f.key {
		case dimValue:
			d = Dim{Value: f.int()}
		case dimParam:
			d = Dim{Value: -1, Param: w.intern(f, at)}
		}
	}
	if d.Value < 0 {
		d.Value = -1
	}
	return d
}
