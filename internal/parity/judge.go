package parity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
)

// ask returns a function that sends rows to the handler in one request; nil
// where it is refused or ctx is done.
func ask(ctx context.Context, h http.Handler, path string) func([]map[string]any, []*output) []map[string]any {
	return func(inputs []map[string]any, outputs []*output) []map[string]any {
		body, err := json.Marshal(map[string]any{"instances": inputs})
		if err != nil || ctx.Err() != nil {
			return nil
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
		if err != nil {
			return nil
		}
		request.Header.Set("Content-Type", "application/json")
		w := &recorder{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(w, request)
		a, problem := w.answer()
		if problem != "" || a.rows() != len(inputs) {
			return nil
		}
		out := make([]map[string]any, len(inputs))
		for i := range out {
			out[i] = values(a, outputs, i)
		}
		return out
	}
}

// explained is whether an answer to an edited row is the pipeline's: within
// the tolerance, or with a hundredth of the distance left, because a parameter
// was estimated. Labels are equal in any case.
func (l *lab) explained(r row, got map[string]any) bool { return l.explainedBut(r, got, 0) }

// explainedBut is explained with another share of the distance left; 0 for the hundredth.
func (l *lab) explainedBut(r row, got map[string]any, share float64) bool {
	if got == nil {
		return false
	}
	left := l.gap(r, got)
	return left == 0 || left <= cmp.Or(share, 0.01)*l.before(r)
}

// before is how far a row was off in numbers. Where it was in none, because a
// label differs or a number is missing, next to nothing may be left.
func (l *lab) before(r row) float64 {
	worst := 0.0
	for _, o := range l.outputs {
		if want, ok := r.want[o.name]; ok {
			if gap := o.gap(want, r.got[o.name]); !math.IsInf(gap, 0) {
				worst = max(worst, gap)
			}
		}
	}
	if worst == 0 {
		return 1e-4
	}
	return worst
}

// same is whether two answers agree within the tolerance.
func (l *lab) same(a, b map[string]any) bool {
	return a != nil && b != nil && l.gap(row{want: a}, b) == 0
}

// gap is the largest distance of an answer from the pipeline's, in parts of
// each output's scale; 0 within the tolerance, infinite for another label.
func (l *lab) gap(r row, got map[string]any) float64 {
	worst := 0.0
	for _, o := range l.outputs {
		if want, ok := r.want[o.name]; ok {
			worst = max(worst, o.gap(want, got[o.name]))
		}
	}
	return worst
}

func (o *output) gap(want, got any) float64 {
	scratch := *o // comparing counts
	scratch.differ = nil
	v := scratch.compare(want, got)
	switch {
	case v.failed:
		return v.distance / o.report.Scale
	case v.differs:
		return math.Inf(1)
	}
	return 0
}

// numbers are the finite leaves of an output in a row, or nil.
func (o *output) numbers(v any) []float64 {
	var out []float64
	for _, leaf := range flatten(v) {
		f, ok := number(leaf.value, o.typ)
		if !ok || math.IsInf(f, 0) || f != f {
			return nil
		}
		out = append(out, f)
	}
	return out
}

// sentence is what a cause says.
func sentence(h hypothesis) string {
	ends := h.ends
	if ends == "" {
		ends = "differing rows answer as the pipeline did"
	}
	return fmt.Sprintf("%s %d of %d %s.", h.says, h.explains, h.of, ends)
}

// quoted lists names in quotes: "a", "b" and 3 more.
func quoted(names []string) string {
	const most = 4
	var out []string
	for _, n := range names[:min(len(names), most)] {
		out = append(out, fmt.Sprintf("%q", clip(n)))
	}
	if left := len(names) - most; left > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(out, ", "), left)
	}
	if n := len(out); n > 1 {
		return strings.Join(out[:n-1], ", ") + " and " + out[n-1]
	}
	return strings.Join(out, "")
}
