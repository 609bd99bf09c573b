package lifecycle

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

func TestNotes(t *testing.T) {
	text := &bundle.Signature{Inputs: []bundle.Input{{Name: "sex", Type: tensor.String, Missing: bundle.MissingAllowed}}}
	numbers := &bundle.Signature{Inputs: []bundle.Input{{Name: "age", Type: tensor.Float64, Missing: bundle.MissingAllowed}}}
	cased := &onnx.Model{OpTypes: map[string]int{"StringNormalizer": 1}, Opsets: map[string]int64{"": 20}}
	newer := &onnx.Model{Opsets: map[string]int64{"": 29}}
	here := runsOn{"onnxruntime 1.32.0", 28}
	for name, c := range map[string]struct {
		env       string
		signature *bundle.Signature
		graph     *onnx.Model
		server    runsOn
		want      string // "" is no note
	}{
		"the same":               {`{"packages":{"onnxruntime":"1.32.0","pandas":"3.1.1"},"opsets":{"ai.onnx":20},"unicode":"` + unicode.Version + `"}`, text, cased, here, ""},
		"nothing":                {``, text, cased, here, ""},
		"another form":           {`{"packages":3,"unicode":4}`, text, cased, here, ""},
		"another runtime":        {`{"packages":{"onnxruntime":"1.31.0"}}`, text, nil, here, "ONNX Runtime 1.31.0 when it was exported, and this server has 1.32.0"},
		"another engine":         {`{"packages":{"onnxruntime":"1.31.0"}}`, text, nil, runsOn{"fake", 0}, ""},
		"a newer opset":          {`{"opsets":{"ai.onnx":29}}`, numbers, nil, here, "the operator set 29, and this server's onnxruntime 1.32.0 has those up to 28"},
		"the graph's own opset":  {`{"opsets":{"ai.onnx":20}}`, numbers, newer, here, "the operator set 29"},
		"an opset that is there": {`{"opsets":{"ai.onnx":28}}`, numbers, nil, here, ""},
		"text that changes case": {`{"unicode":"1.0.0"}`, text, cased, here, "the tables of Unicode 1.0.0, while this server has those of " + unicode.Version},
		"text that does not":     {`{"unicode":"1.0.0"}`, text, plain(), here, ""},
		"pandas 2 and text":      {`{"packages":{"pandas":"2.2.3"}}`, text, nil, here, "pandas 2.2.3, where columns of text are objects"},
		"pandas 2 and numbers":   {`{"packages":{"pandas":"2.2.3"}}`, numbers, nil, here, ""},
		"pandas 3 and text":      {`{"packages":{"pandas":"3.0.0"}}`, text, nil, here, ""},
		"a bare model":           {`{"packages":{"pandas":"2.2.3"}}`, nil, nil, here, ""},
	} {
		var raw json.RawMessage
		if c.env != "" {
			raw = json.RawMessage(c.env)
		}
		got := notesOn(raw, c.signature, c.graph, c.server)
		switch {
		case c.want == "" && len(got) > 0, c.want != "" && len(got) != 1, c.want != "" && !strings.Contains(got[0], c.want):
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func plain() *onnx.Model { return &onnx.Model{Opsets: map[string]int64{"": 20}} }
