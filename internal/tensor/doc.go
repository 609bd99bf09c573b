// Package tensor is the vocabulary of values: element types, tensors, the
// frame that a request is decoded into, and the JSON codec between the two.
//
// A tensor keeps its elements as bytes in native order, so that the memory a
// decoder writes is the memory ONNX Runtime reads. Number semantics are
// numpy's: a decimal is parsed as float64 and then cast, an integer never
// passes through float64, and what does not fit is an error that names the
// element.
//
// The package knows nothing of models: internal/transform compiles a signature
// into a Layout, and codecs only follow it.
package tensor
