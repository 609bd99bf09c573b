// Package enginetest is the conformance suite of runtime/engine: what every
// engine must do, fake or real, so that what the tests of the upper rooms see
// is what users get. Only tests import it.
//
// It brings its own small models, written byte by byte, which the tests of
// engines and of the host build theirs with as well.
package enginetest
