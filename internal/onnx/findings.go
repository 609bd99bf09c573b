package onnx

import (
	"strconv"

	"github.com/tenon-ml/tenon/internal/fault"
)

// Finding codes, in Field.Code.
const (
	FindingJunk      = "not-onnx"      // no ONNX model at all
	FindingTruncated = "truncated"     // the file ends too early
	FindingMalformed = "malformed"     // a field that cannot be
	FindingLimit     = "limit"         // more than Limits allow
	FindingGraph     = "graph"         // no graph, or two
	FindingInputs    = "inputs"        // nothing to feed
	FindingOutputs   = "outputs"       // nothing to answer
	FindingName      = "name"          // empty or repeated
	FindingOpset     = "opset"         // missing or contradictory
	FindingDomain    = "domain"        // an operator that ONNX Runtime does not bring
	FindingRecursion = "recursion"     // a function that calls itself
	FindingTensor    = "tensor"        // dimensions and data that do not fit
	FindingExternal  = "external-data" // a location that is no plain file name
	FindingType      = "type"          // a type that cannot be
)

// maxFindings bounds what one refusal reports.
const maxFindings = 20

// place is where the walk is; its text is only made when something is found.
type place struct {
	parent *place
	name   string
	index  int // -1 for what is not repeated
}

var root = &place{name: "model", index: -1}

func (p *place) in(name string) *place           { return &place{p, name, -1} }
func (p *place) nth(name string, i int64) *place { return &place{p, name, int(i)} }

// String writes graph.node[3].attribute[0]; the model itself is "model".
func (p *place) String() string {
	text := p.name
	if p.index >= 0 {
		text += "[" + strconv.Itoa(p.index) + "]"
	}
	if p.parent != nil && p.parent != root {
		text = p.parent.String() + "." + text
	}
	return text
}

// find adds a finding; the walk goes on.
func (w *walker) find(at *place, code, format string, args ...any) {
	if w.found == nil {
		w.found = fault.New(fault.Unprocessable, fault.ModelRefused,
			"the ONNX model cannot be served: correct what is named below and export it again")
	}
	if len(w.found.Fields) < maxFindings {
		w.found.At(at.String(), code, format, args...)
	}
}

// fail ends the walk with a sentence and the place. It returns false, so that
// callers can pass it on.
func (w *walker) fail(at *place, code, place, format string, args ...any) bool {
	if w.err == nil {
		w.err = fault.New(fault.Unprocessable, fault.ModelRefused, format, args...).At(at.String(), code, "%s", place)
	}
	return false
}

// over ends the walk at a limit.
func (w *walker) over(at *place, _, what string, limit int64) bool {
	return w.fail(at, FindingLimit, "the count passed the limit here",
		"the model holds more than %d %s: make it smaller, or split it", limit, what)
}

// overrun ends the walk at a field that is longer than its parent: a file that
// was cut off where the parent is the file and the graph has not come yet, a
// broken one otherwise.
func (w *walker) overrun(pos int64, s span, at *place) bool {
	if s != (span{0, w.win.size}) || w.model.IRVersion == 0 || w.graph.key != 0 {
		return w.malformed(pos, s, at, "a field is longer than what holds it")
	}
	return w.fail(at, FindingTruncated, "the file ends inside a field that starts at byte "+strconv.FormatInt(pos, 10),
		"the ONNX file is cut off: it has %d bytes and needs more, so copy or export it again", w.win.size)
}

// malformed ends the walk at something that is no protobuf.
func (w *walker) malformed(pos int64, _ span, at *place, what string) bool {
	where := what + " (byte " + strconv.FormatInt(pos, 10) + ")"
	if w.model.IRVersion == 0 {
		return w.junk(where)
	}
	return w.fail(at, FindingMalformed, where, "the ONNX file is damaged: copy or export it again")
}

func (w *walker) junk(where string) bool {
	return w.fail(root, FindingJunk, where, "this is no ONNX model: send the .onnx file that the converter wrote")
}

// quote echoes at most 64 characters of a name.
func quote(s string) string {
	const most = 64
	if r := []rune(s[:min(len(s), 4*most+4)]); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}
