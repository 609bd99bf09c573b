// Package onnx walks an ONNX model file before ONNX Runtime sees a byte of it.
// The walk is our own and bounded: it reads through a window of fixed size,
// never holds weights in memory, counts everything that could grow, and either
// returns what the platform needs to know of the graph or a fault of code
// ModelRefused whose findings say where and what to do.
//
// lifecycle inspects every uploaded model with it (Inspect), the plan reads a
// graph's inputs and outputs from its Model, and the engine's loader removes
// ZipMap nodes with it (StripZipMap). It knows no bundle, no registry and no
// ONNX Runtime.
//
// The message numbers are those of onnx.proto (ONNX IR 13); fields that are not
// known are passed over, as protobuf does.
package onnx
