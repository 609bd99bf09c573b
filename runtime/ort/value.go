package ort

import (
	"fmt"
	"unsafe"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// elementTypes maps our types to ONNX Runtime's.
var elementTypes = map[tensor.Type]binding.TensorElementDataType{
	tensor.Bool:    binding.TensorElementDataTypeBool,
	tensor.Int8:    binding.TensorElementDataTypeInt8,
	tensor.Int16:   binding.TensorElementDataTypeInt16,
	tensor.Int32:   binding.TensorElementDataTypeInt32,
	tensor.Int64:   binding.TensorElementDataTypeInt64,
	tensor.Uint8:   binding.TensorElementDataTypeUint8,
	tensor.Uint16:  binding.TensorElementDataTypeUint16,
	tensor.Uint32:  binding.TensorElementDataTypeUint32,
	tensor.Uint64:  binding.TensorElementDataTypeUint64,
	tensor.Float16: binding.TensorElementDataTypeFloat16,
	tensor.Float32: binding.TensorElementDataTypeFloat,
	tensor.Float64: binding.TensorElementDataTypeDouble,
}

// scalars makes a rank-0 value of each type that the binding knows; it reads
// the element from data.
var scalars = map[tensor.Type]func(data []byte) (binding.Value, error){
	tensor.Bool: scalar[bool], tensor.Float32: scalar[float32], tensor.Float64: scalar[float64],
	tensor.Int8: scalar[int8], tensor.Int16: scalar[int16], tensor.Int32: scalar[int32], tensor.Int64: scalar[int64],
	tensor.Uint8: scalar[uint8], tensor.Uint16: scalar[uint16], tensor.Uint32: scalar[uint32], tensor.Uint64: scalar[uint64],
}

func scalar[T binding.TensorData](data []byte) (binding.Value, error) {
	return binding.NewScalar(*(*T)(unsafe.Pointer(unsafe.SliceData(data))))
}

// supported refuses, before ONNX Runtime sees the model, what the binding
// cannot carry.
func supported(g engine.Graph) error {
	check := func(side string, ports []engine.Port) error {
		for _, p := range ports {
			_, carried := scalars[p.Type]
			if p.Ranked && len(p.Dims) == 0 && !carried {
				return fault.New(fault.Unprocessable, fault.ModelRefused,
					"The graph's %s %q is a %s of rank 0, which is not supported yet: give it the shape [1].", side, p.Name, p.Type)
			}
		}
		return nil
	}
	if len(g.Inputs) == 0 {
		return fault.New(fault.Unprocessable, fault.ModelRefused,
			"The graph has no inputs, so there is nothing to predict from: export it with its inputs left open.")
	}
	if len(g.Outputs) == 0 {
		return fault.New(fault.Unprocessable, fault.ModelRefused,
			"The graph has no outputs, so there is nothing to answer: export it with its outputs named.")
	}
	if err := check("input", g.Inputs); err != nil {
		return err
	}
	if err := check("output", g.Outputs); err != nil {
		return err
	}
	return knownHalves(g)
}

// knownHalves refuses float16 outputs whose shape the inputs cannot tell,
// because their memory is made before the run (see outputPlan).
func knownHalves(g engine.Graph) error {
	symbols := map[string]bool{}
	for _, in := range g.Inputs {
		for _, d := range in.Dims {
			symbols[d.Symbol] = d.Symbol != ""
		}
	}
	for _, p := range g.Outputs {
		known := p.Ranked || p.Type != tensor.Float16
		for k, d := range p.Dims {
			known = known && (p.Type != tensor.Float16 || k == 0 || d.Size >= 0 || symbols[d.Symbol])
		}
		if !known {
			return fault.New(fault.Unprocessable, fault.ModelRefused,
				"The shape of the graph's float16 output %q is not known before a run, "+
					"which is not supported yet: export the output as float32.", p.Name)
		}
	}
	return nil
}

// toValue hands a tensor to ONNX Runtime: numbers by their own memory, which
// must stay as it is until the run has ended, strings by copy.
func toValue(x *tensor.Tensor) (binding.Value, error) {
	if x.Type == tensor.String {
		v, err := binding.NewStringTensor(binding.Shape(x.Shape))
		if err != nil {
			return nil, err
		}
		if err := v.SetContents(x.Strings); err != nil {
			_ = v.Destroy()
			return nil, err
		}
		return v, nil
	}
	if len(x.Shape) == 0 {
		newScalar, carried := scalars[x.Type]
		if !carried {
			return nil, fmt.Errorf("a %s of rank 0 cannot be carried", x.Type)
		}
		return newScalar(x.Data)
	}
	return binding.NewCustomDataTensor(binding.Shape(x.Shape), x.Data, elementTypes[x.Type])
}

// outputPlan says how an output gets its memory: by the binding, or here,
// where the binding's own allocation fails (float16 and rank 0).
type outputPlan struct {
	port    engine.Port
	prepare bool
}

func planOutputs(g engine.Graph) []outputPlan {
	plan := make([]outputPlan, len(g.Outputs))
	for i, p := range g.Outputs {
		plan[i] = outputPlan{port: p, prepare: p.Ranked && (p.Type == tensor.Float16 || len(p.Dims) == 0)}
	}
	return plan
}

func (s *session) allocate(out []binding.Value, inputs []*tensor.Tensor) error {
	for i, p := range s.plan {
		if !p.prepare {
			continue
		}
		shape, err := s.resolve(p.port, inputs)
		if err != nil {
			return err
		}
		if out[i], err = toValue(tensor.New(p.port.Type, shape...)); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds an output's shape from the inputs: equal symbols are equal
// sizes, and an unnamed first dimension is the batch.
func (s *session) resolve(p engine.Port, inputs []*tensor.Tensor) ([]int64, error) {
	shape := make([]int64, len(p.Dims))
	for k, d := range p.Dims {
		shape[k] = d.Size
		if d.Size < 0 {
			shape[k] = s.symbol(d.Symbol, inputs)
		}
		if shape[k] < 0 && k == 0 {
			shape[k] = int64(inputs[0].Rows())
		}
		if shape[k] < 0 {
			return nil, fault.New(fault.Invalid, fault.RunFailed,
				"The size of dimension %d of the float16 output %q is not known before the run, "+
					"which is not supported yet: export the output as float32.", k, p.Name)
		}
	}
	return shape, nil
}

func (s *session) symbol(name string, inputs []*tensor.Tensor) int64 {
	for i, p := range s.graph.Inputs {
		for k, d := range p.Dims {
			if name != "" && d.Symbol == name && k < len(inputs[i].Shape) {
				return inputs[i].Shape[k]
			}
		}
	}
	return -1
}

// fromValue takes an output back. The binding has copied its elements into Go
// memory already, so the tensor outlives the value.
func fromValue(v binding.Value) (*tensor.Tensor, error) {
	switch v := v.(type) {
	case *binding.StringTensor:
		if len(v.GetShape()) == 0 {
			return nil, undeclared()
		}
		values, err := v.GetContents()
		return tensor.FromStrings(values, v.GetShape()...), err
	case *binding.CustomDataTensor:
		return &tensor.Tensor{Type: tensor.Float16, Shape: v.GetShape(), Data: v.GetData()}, nil
	}
	for _, take := range takers {
		if x := take(v); x != nil {
			return x, nil
		}
	}
	return nil, fmt.Errorf("ONNX Runtime answered with a %T, which is no tensor of a type that JSON can carry", v)
}

// takers try one element type each.
var takers = []func(binding.Value) *tensor.Tensor{
	taker[float32](tensor.Float32), taker[float64](tensor.Float64), taker[int64](tensor.Int64),
	taker[int32](tensor.Int32), taker[bool](tensor.Bool), taker[uint8](tensor.Uint8), taker[int8](tensor.Int8),
	taker[int16](tensor.Int16), taker[uint16](tensor.Uint16), taker[uint32](tensor.Uint32), taker[uint64](tensor.Uint64),
}

func taker[T interface {
	binding.TensorData
	tensor.Fixed
}](t tensor.Type) func(binding.Value) *tensor.Tensor {
	return func(v binding.Value) *tensor.Tensor {
		switch v := v.(type) {
		case *binding.Tensor[T]:
			return &tensor.Tensor{Type: t, Shape: v.GetShape(), Data: bytesOf(v.GetData())}
		case *binding.Scalar[T]:
			return tensor.From(t, []T{v.GetData()})
		default:
			return nil
		}
	}
}

func bytesOf[T any](values []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(zero)))
}
