//go:build !linux || !cgo

package ort

// returnMemory does nothing: only glibc holds on to freed memory.
func returnMemory() {}
