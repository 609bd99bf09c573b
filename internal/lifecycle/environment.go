package lifecycle

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// maxEnvironment is the largest environment.json that a report carries.
const maxEnvironment = 16 << 10

// environment is what tenon reads of a bundle's environment.json. Members that
// are absent, or of another type, are not compared.
type environment struct {
	Packages map[string]string `json:"packages"`
	Opsets   map[string]int64  `json:"opsets"`
	Unicode  string            `json:"unicode"`
}

// runsOn is what of this server answers depend on.
type runsOn struct {
	engine string // "onnxruntime 1.32.0"
	opset  int64  // the newest standard operator set of the engine, 0 where that is not known
}

// exportedWith returns a bundle's environment as it is, nil where it has none
// that is worth carrying.
func exportedWith(b *bundle.Bundle) json.RawMessage {
	raw, err := b.Environment()
	if err != nil || len(raw) > maxEnvironment {
		return nil
	}
	return raw
}

// notesOn says in sentences what a bundle was exported with that differs from
// this server in a way that matters. graph is nil where the version is not
// loaded: then nothing is said of what it holds.
func notesOn(raw json.RawMessage, signature *bundle.Signature, graph *onnx.Model, s runsOn) []string {
	var env environment
	if raw == nil || json.Unmarshal(raw, &env) != nil {
		return nil
	}
	var notes []string
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	here, isORT := strings.CutPrefix(s.engine, "onnxruntime ")
	if there := env.Packages["onnxruntime"]; isORT && there != "" && there != here {
		add("It was checked with ONNX Runtime %.20s when it was exported, and this server has %s: "+
			"the last digits may differ, and the examination says by how much.", there, here)
	}
	opset := env.Opsets["ai.onnx"]
	if graph != nil {
		opset = graph.Opsets[""]
	}
	if s.opset > 0 && opset > s.opset {
		add("It needs the operator set %d, and this server's %s has those up to %d: export it again, or serve it with a newer tenon.",
			opset, s.engine, s.opset)
	}
	if graph != nil && graph.OpTypes["StringNormalizer"] > 0 && env.Unicode != "" && env.Unicode != unicode.Version {
		add("It changes the case of text, and was exported with the tables of Unicode %.20s, while this server has those of %s: "+
			"letters that one of them does not know may come out otherwise.", env.Unicode, unicode.Version)
	}
	if pandas := env.Packages["pandas"]; oldPandas(pandas) && missingText(signature) {
		add("It was exported with pandas %.20s, where columns of text are objects, and missing text None or NaN; from 3 on they are of "+
			"the dtype str, which knows only NaN. Send missing text as null, or with the kit, and it is what training had.", pandas)
	}
	return notes
}

// oldPandas reports whether a version is one before text had a dtype.
func oldPandas(version string) bool {
	major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	return err == nil && major < 3
}

func missingText(s *bundle.Signature) bool {
	if s == nil {
		return false
	}
	for i := range s.Inputs {
		if in := &s.Inputs[i]; in.Type == tensor.String && in.Missing == bundle.MissingAllowed {
			return true
		}
	}
	return false
}
