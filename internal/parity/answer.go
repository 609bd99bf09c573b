package parity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// answer is a predict answer of either form, by output and row.
type answer struct {
	Predictions []map[string]any
	Outputs     map[string]any
}

func parseAnswer(data []byte) (*answer, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // integers beyond 2^53 keep their digits
	a := &answer{}
	if err := decoder.Decode(a); err != nil {
		return nil, err
	}
	if a.Predictions == nil && a.Outputs == nil {
		return nil, fmt.Errorf("the answer has neither predictions nor outputs")
	}
	return a, nil
}

// rows is how many rows the answer has.
func (a *answer) rows() int {
	rows := len(a.Predictions)
	for _, column := range a.Outputs {
		rows = max(rows, columnRows(column))
	}
	return rows
}

func columnRows(column any) int {
	switch c := column.(type) {
	case []any:
		return len(c)
	case map[string]any:
		rows := 0
		for _, list := range c {
			rows = max(rows, columnRows(list))
		}
		return rows
	}
	return 0
}

// at returns the value of an output in a row: a scalar, a list, or an object
// by class.
func (a *answer) at(output string, row int) (any, bool) {
	if a.Predictions != nil {
		if row >= len(a.Predictions) {
			return nil, false
		}
		v, ok := a.Predictions[row][output]
		return v, ok
	}
	switch column := a.Outputs[output].(type) {
	case []any:
		if row < len(column) {
			return column[row], true
		}
	case map[string]any:
		byClass := make(map[string]any, len(column))
		for class, list := range column {
			values, ok := list.([]any)
			if !ok || row >= len(values) {
				return nil, false
			}
			byClass[class] = values[row]
		}
		return byClass, true
	}
	return nil, false
}

// number reads a JSON scalar as the output's type: null is NaN, the two
// strings are infinities, and a narrower type rounds, so that its shortest
// decimal is the number that was meant.
func number(v any, t tensor.Type) (float64, bool) {
	switch v := v.(type) {
	case nil:
		return math.NaN(), true
	case string:
		switch v {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
		return 0, false
	case json.Number:
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			return 0, false
		}
		switch t {
		case tensor.Float32:
			f = float64(float32(f))
		case tensor.Float16:
			f = tensor.Float16Value(tensor.Float16Bits(f))
		}
		return f, true
	default:
		return 0, false
	}
}

// leaves calls each for every scalar of a value, in a fixed order by path.
func leaves(v any, path string, each func(path string, leaf any)) {
	switch v := v.(type) {
	case []any:
		for i, element := range v {
			leaves(element, path+"["+strconv.Itoa(i)+"]", each)
		}
	case map[string]any:
		for _, class := range sortedKeys(v) {
			leaves(v[class], path+"."+class, each)
		}
	default:
		each(path, v)
	}
}
