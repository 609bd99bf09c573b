package divergence

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

// side is what was seen of one of the two versions.
type side struct {
	version  int
	check    *Check
	failed   int
	failures map[fault.Code]*wire.DivergenceFailure
	invalid  int
	times    histogram
}

func newSide(v Version) side {
	return side{version: v.Number, check: NewCheck(v.Outputs), failures: map[fault.Code]*wire.DivergenceFailure{}}
}

// add counts one answer and returns how many of its rows cannot be right.
func (s *side) add(a *Answer, rows int) int {
	if a.Err != nil {
		s.fail(a.Err)
		return 0
	}
	s.times.addTime(a.Run)
	n := s.check.Invalid(a.Outputs, rows)
	s.invalid += n
	return n
}

// OtherRows is the error of a version that reads a request as another number of
// rows than the one it is compared with: then no answer can be held against
// another.
func OtherRows(rows, than int) error {
	return fault.New(fault.Invalid, fault.InvalidInput,
		"The request is %s to it, and %s to the other version.", plural(rows, "row"), plural(than, "row"))
}

// fail keeps the last sentence of each code; what is no fault is an internal
// one, whose words stay in the log.
func (s *side) fail(err error) {
	s.failed++
	code, sentence := fault.InternalError, "An internal error; the server's log has the reason."
	if e := fault.As(err); e != nil {
		code, sentence = e.Code, located(e)
	}
	f := s.failures[code]
	if f == nil {
		f = &wire.DivergenceFailure{Code: string(code)}
		s.failures[code] = f
	}
	f.Count++
	f.Last = sentence
}

// located is the sentence of a refusal with the first place where it is: a
// count of failures has room for no more.
func located(e *fault.Error) string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	return fmt.Sprintf("%s %s: %s", e.Detail, e.Fields[0].Path, e.Fields[0].Detail)
}

func (s *side) told() wire.DivergenceSide {
	out := wire.DivergenceSide{Version: s.version, Failed: s.failed, InvalidRows: s.invalid}
	for _, f := range s.failures {
		out.Failures = append(out.Failures, *f)
	}
	slices.SortFunc(out.Failures, func(a, b wire.DivergenceFailure) int { return strings.Compare(a.Code, b.Code) })
	if s.times.n > 0 {
		q := s.times.quantiles(1)
		out.RunSeconds = &q
	}
	return out
}
