// Package ort runs graphs in this process by ONNX Runtime, through the binding
// github.com/yalue/onnxruntime_go. It is the only package with C in it: a fault
// inside ONNX Runtime ends the process and no recover runs, so what can fault
// belongs elsewhere.
//
// Only cmd/tenon makes an Engine; everything else knows the interface in
// runtime/engine. The shared library is the one inside the PyPI package
// onnxruntime, so that the kit's check and the server run the same code.
//
// What the binding cannot do is refused at load with a sentence: strings of
// rank 0, float16 of rank 0, and outputs of rank 0 that the graph does not
// declare.
package ort
