package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protowire"
)

// writeModel writes the ONNX file of y = Identity(x), where x is a matrix of
// floats with two columns: `model FILE`.
func writeModel(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: model FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), identityModel(), 0o600))
}

// The numbers are those of onnx.proto.
func identityModel() []byte {
	matrix := message(2, message(1, varint(2, 0)), message(1, varint(1, 2))) // TensorShapeProto: ?, 2
	tensorType := message(2, message(1, varint(1, 1), matrix))               // TypeProto.tensor_type: float
	node := message(1, bytesField(1, "x"), bytesField(2, "y"), bytesField(4, "Identity"))
	graph := message(7, node, bytesField(2, "g"),
		message(11, bytesField(1, "x"), tensorType), message(12, bytesField(1, "y"), tensorType))
	var model []byte
	model = append(model, varint(1, 10)...)
	model = append(model, graph...)
	return append(model, message(8, varint(2, 20))...)
}

func varint(field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
}

func bytesField(field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), s)
}

func message(field protowire.Number, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), body)
}
