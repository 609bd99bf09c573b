package ort_test

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
)

// resident returns the process's resident memory in bytes, once Go has given
// back what it can.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// chain is a model of many small weights, added one after the other: they come
// from the heap, which glibc keeps, and not from pages of their own.
func chain(nodes, width int) enginetest.Model {
	m := enginetest.Model{
		Inputs:  []engine.Port{enginetest.Port("x", tensor.Float32, "N", width)},
		Outputs: []engine.Port{enginetest.Port("y", tensor.Float32, "N", width)},
	}
	last := "x"
	for i := range nodes {
		weight, next := "w"+strconv.Itoa(i), "h"+strconv.Itoa(i)
		if i == nodes-1 {
			next = "y"
		}
		m.Initializers = append(m.Initializers, enginetest.Initializer{Name: weight, Values: tensor.New(tensor.Float32, int64(width))})
		m.Nodes = append(m.Nodes, enginetest.Op("Add", []string{last, weight}, next))
		last = next
	}
	return m
}

// TestMemoryComesBack loads and closes, and holds what is left against what
// the sessions took.
func TestMemoryComesBack(t *testing.T) {
	e := real(t)
	g := chain(400, 2048).Graph()
	load := func() engine.Session {
		s, err := e.Load(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Run(t.Context(), []*tensor.Tensor{tensor.New(tensor.Float32, 8, 2048)}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	closeAll := func(sessions ...engine.Session) {
		for _, s := range sessions {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeAll(load()) // what ONNX Runtime keeps once a process
	before := resident(t)
	var sessions []engine.Session
	for range 12 {
		sessions = append(sessions, load())
	}
	took := resident(t) - before
	closeAll(sessions...)
	left := resident(t) - before
	t.Logf("12 sessions took %d MiB and left %d MiB", took>>20, left>>20)
	if left > took/4 {
		t.Errorf("12 sessions took %d MiB, and %d MiB of that do not come back", took>>20, left>>20)
	}
	for range 50 {
		closeAll(load())
	}
	grown := resident(t) - before
	t.Logf("50 cycles left %d MiB", grown>>20)
	if grown > took/4 {
		t.Errorf("50 cycles of load and close left %d MiB", grown>>20)
	}
}
