package main

import (
	"fmt"
	"testing"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
)

// BenchmarkIsolation is what a process of its own costs a call: of a model that
// does nothing, of one that takes about 2 ms, and of one like it whose input and
// output have 600 KB; alone, and from as many goroutines as there are cores. docs/isolation.md has the figures.
func BenchmarkIsolation(b *testing.B) {
	const side = 384
	small := enginetest.Identity([]tensor.Type{tensor.Float32}, "N")
	square := enginetest.Model{
		Inputs:  []engine.Port{enginetest.Port("x", tensor.Float32, side, side)},
		Outputs: []engine.Port{enginetest.Port("y", tensor.Float32, side, side)},
		Nodes:   []enginetest.Node{enginetest.Op("MatMul", []string{"x", "x"}, "y")},
	}
	narrow := enginetest.Model{
		Inputs:  []engine.Port{enginetest.Port("x", tensor.Float32, side, 1)},
		Outputs: []engine.Port{enginetest.Port("y", tensor.Float32, 1, 1)},
		Nodes: []enginetest.Node{
			enginetest.Op("Transpose", []string{"x"}, "t"), enginetest.Op("MatMul", []string{"x", "t"}, "a"),
			enginetest.Op("MatMul", []string{"a", "a"}, "b"), enginetest.Op("ReduceMax", []string{"b"}, "y"),
		},
	}
	_, shared := libraryHere(b)
	process := realWorkers(b)
	for _, c := range []struct {
		name  string
		model enginetest.Model
		x     *tensor.Tensor
	}{
		{"small", small, tensor.New(tensor.Float32, 4)},
		{"2ms", narrow, tensor.New(tensor.Float32, side, 1)},
		{"2ms-600KB", square, tensor.New(tensor.Float32, side, side)},
	} {
		for name, e := range map[string]engine.Engine{"shared": shared, "process": process} {
			s, err := e.Load(b.Context(), c.model.Graph())
			if err != nil {
				b.Fatal(err)
			}
			call := func(b *testing.B) {
				if _, err := s.Run(b.Context(), []*tensor.Tensor{c.x}); err != nil {
					b.Error(err)
				}
			}
			b.Run(fmt.Sprintf("%s/%s", c.name, name), func(b *testing.B) {
				for b.Loop() {
					call(b)
				}
			})
			b.Run(fmt.Sprintf("%s/%s/parallel", c.name, name), func(b *testing.B) {
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						call(b)
					}
				})
			})
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		}
	}
}
