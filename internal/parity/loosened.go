package parity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
)

// embedding is the cosine that vectors are held to by default (design §7).
const embedding = 0.99999

// loosened words what the outputs were held to where that is less than what a
// network in float32 is, "" where none is: "agreement ≥ 99 %". Whoever shows a
// version shows it, so it stays short whatever a signature declares.
func loosened(outputs []*output) string {
	const most = 3
	var said []string
	for _, o := range outputs {
		if words := o.report.Tolerance.Words(); loose(o.report.Tolerance) && !slices.Contains(said, words) {
			said = append(said, words)
		}
	}
	if left := len(said) - most; left > 0 {
		said = append(said[:most], fmt.Sprintf("%d more", left))
	}
	return strings.Join(said, "; ")
}

// loose is whether a rule lets through what that of networks would not. A share
// of rows always does: of the other rows it says nothing.
func loose(t wire.ToleranceUsed) bool {
	switch {
	case t.Agreement != nil:
		return true
	case t.Cosine != nil:
		return *t.Cosine < embedding
	default:
		return t.Rel > network.Rel || t.Abs > network.Abs
	}
}
