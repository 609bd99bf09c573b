package bundle

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Limits inside a signature. Wider tables travel as one column with a shape.
const (
	maxColumns = 1 << 16 // inputs, and outputs
	maxRank    = 16
	maxLabel   = 1024 // bytes of a column's or tensor's name
)

// check adds a finding for everything that is wrong inside the signature.
func (s *Signature) check(f *findings) {
	checkCount("inputs", len(s.Inputs), f)
	checkCount("outputs", len(s.Outputs), f)
	names := map[string]int{}
	for i := range s.Inputs {
		in, path := &s.Inputs[i], fmt.Sprintf("inputs[%d]", i)
		checkName(in.Name, path, i, names, f)
		checkTensorName(in.Feed, path+".feed", f)
		checkShape(in.Shape, path, f)
		in.check(path, f)
	}
	if len(s.Unused) > maxColumns {
		f.add("unused", "limit", "more than %d are not supported", maxColumns)
	}
	for i, name := range s.Unused {
		checkName(name, fmt.Sprintf("unused[%d]", i), len(s.Inputs)+i, names, f)
	}
	s.checkFeeds(f)
	clear(names)
	taken := map[place]int{}
	for i := range s.Outputs {
		out, path := &s.Outputs[i], fmt.Sprintf("outputs[%d]", i)
		checkName(out.Name, path, i, names, f)
		checkTensorName(out.From, path+".from", f)
		checkShape(out.Shape, path, f)
		out.check(path, f)
		checkPlace(out, path, i, taken, f)
	}
}

func checkCount(what string, n int, f *findings) {
	if n == 0 {
		f.add(what, "missing", "at least one is needed")
	}
	if n > maxColumns {
		f.add(what, "limit", "more than %d are not supported: pass a wide table as one column with a shape", maxColumns)
	}
}

func checkName(name, path string, i int, seen map[string]int, f *findings) {
	if name == "" {
		f.add(path+".name", "name", "the name is empty")
		return
	}
	if first, twice := seen[name]; twice {
		f.add(path+".name", "name", "%s is already the name of number %d: names must differ", quote(name), first)
	} else {
		seen[name] = i
	}
	checkTensorName(name, path+".name", f)
}

// checkTensorName refuses what cannot be shown on a terminal or cannot pass
// through C strings. Line breaks and tabs do occur in column names.
func checkTensorName(name, path string, f *findings) {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }
	if len(name) > maxLabel {
		f.add(path, "name", "the name is longer than %d bytes", maxLabel)
	} else if !utf8.ValidString(name) || strings.ContainsFunc(name, control) {
		f.add(path, "name", "the name %s holds control characters", quote(name))
	}
}

func checkShape(shape []int64, path string, f *findings) {
	if len(shape) > maxRank {
		f.add(path+".shape", "shape", "%d dimensions are more than %d", len(shape), maxRank)
		return
	}
	product := int64(1)
	for i, d := range shape {
		if d != -1 && d < 1 {
			f.add(fmt.Sprintf("%s.shape[%d]", path, i), "shape", "a dimension is positive, or -1 where it is not known")
			return
		}
		if d > math.MaxInt32/product {
			f.add(path+".shape", "shape", "one row would hold more than %d values", math.MaxInt32)
			return
		}
		product *= max(d, 1)
	}
}

func (in *Input) check(path string, f *findings) {
	if in.Type == tensor.Invalid {
		f.add(path+".type", "type", "the type is missing")
	}
	if in.Missing != MissingAllowed && in.Missing != MissingRefused {
		f.add(path+".missing", "value", `expected "allowed" or "refused", got %s`, quote(string(in.Missing)))
	}
	if in.Unknown != UnknownAccept && in.Unknown != UnknownRefuse {
		f.add(path+".unknown", "value", `expected "accept" or "refuse", got %s`, quote(string(in.Unknown)))
	}
	if in.Unknown == UnknownRefuse && len(in.Domain) == 0 {
		f.add(path+".unknown", "value", `"refuse" needs a domain to refuse by`)
	}
	in.checkSentinel(path+".sentinel", f)
	checkScalars(in.Domain, in.Type, path+".domain", f)
	in.checkRange(path, f)
	if in.Column != nil && len(in.Shape) > 0 {
		f.add(path+".shape", "shape", "a column of a matrix holds one value a row: leave the shape out")
	}
}

// checkRange holds each end to the input's type, and then one to the other.
func (in *Input) checkRange(path string, f *findings) {
	if in.Type == tensor.Invalid || !in.Bounded() {
		return
	}
	alone := in.checkEnd(in.Minimum, path+".minimum", f)
	if !in.checkEnd(in.Maximum, path+".maximum", f) || !alone {
		return
	}
	if _, err := tensor.NewRange(in.Type, in.Minimum.Key(), in.Maximum.Key()); err != nil {
		f.add(path+".minimum", "range", "%v", err)
	}
}

// checkEnd reports whether one end is open or a value of the input's type.
func (in *Input) checkEnd(end Scalar, path string, f *findings) bool {
	if end != (Scalar{}) && end.Kind() != "number" {
		f.add(path, "type", "expected a number, got the %s %s", end.Kind(), quote(end.Key()))
		return false
	}
	_, err := tensor.NewRange(in.Type, end.Key(), "")
	if end != (Scalar{}) && err != nil {
		f.add(path, "range", "%v", err)
		return false
	}
	return true
}

func (in *Input) checkSentinel(path string, f *findings) {
	switch {
	case in.Type != tensor.String && in.Sentinel != "":
		f.add(path, "sentinel", "only string columns have a sentinel, and this one is %s", in.Type)
	case in.Type == tensor.String && in.Missing == MissingAllowed && in.Sentinel == "":
		f.add(path, "sentinel", "a string column that allows missing values needs a sentinel to stand for them")
	case strings.ContainsRune(in.Sentinel, 0):
		f.add(path, "sentinel", "the sentinel must not hold U+0000")
	case in.Sentinel != "" && slices.Contains(in.Domain, Text(in.Sentinel)):
		f.add(path, "sentinel", "the sentinel is a value of the domain, so a missing value would look like it")
	}
}

// checkFeeds sees to it that every feed is filled exactly once: by one whole
// column, or by columns 0 to n-1.
func (s *Signature) checkFeeds(f *findings) {
	feeds := map[string][]int{}
	for i := range s.Inputs {
		feeds[s.Inputs[i].Feed] = append(feeds[s.Inputs[i].Feed], i)
	}
	for _, feed := range sortedKeys(feeds) {
		members := feeds[feed]
		taken := make([]bool, len(members))
		for _, i := range members {
			path, column := fmt.Sprintf("inputs[%d]", i), s.Inputs[i].Column
			switch {
			case column == nil && len(members) > 1:
				f.add(path+".column", "column", "%d inputs share the feed %s: each needs its column", len(members), quote(feed))
			case column == nil:
			case *column < 0 || *column >= len(members):
				f.add(path+".column", "column", "the feed %s has %d columns, counted from 0, and this says %d",
					quote(feed), len(members), *column)
			case taken[*column]:
				f.add(path+".column", "column", "column %d of the feed %s is taken twice", *column, quote(feed))
			default:
				taken[*column] = true
			}
		}
	}
}

func (o *Output) check(path string, f *findings) {
	switch o.Kind {
	case KindProbabilities:
		if len(o.Classes) == 0 {
			f.add(path+".classes", "missing", "probabilities need their classes, in the tensor's order")
		}
		if o.Type != tensor.Invalid && !o.Type.IsFloat() {
			f.add(path+".type", "type", "probabilities are floats, and this says %s", o.Type)
		}
	case KindLabel, KindValue:
		if len(o.Classes) > 0 {
			f.add(path+".classes", "classes", "only probabilities have classes")
		}
	default:
		f.add(path+".kind", "value", `expected "label", "probabilities" or "value", got %s`, quote(string(o.Kind)))
	}
	if o.Finite && (o.Kind == KindLabel || (o.Type != tensor.Invalid && !o.Type.IsFloat())) {
		f.add(path+".finite", "type", "only floats can fail to be finite: leave it out for labels and other types")
	}
	checkClasses(o.Classes, path+".classes", f)
	if o.Tolerance != nil {
		o.Tolerance.check(path+".tolerance", f)
	}
}

func checkClasses(classes []Scalar, path string, f *findings) {
	seen := make(map[string]bool, len(classes))
	for i, class := range classes {
		place := fmt.Sprintf("%s[%d]", path, i)
		if class.Kind() != classes[0].Kind() {
			f.add(place, "classes", "a %s among classes that are %ss", class.Kind(), classes[0].Kind())
		}
		if seen[class.Key()] {
			f.add(place, "classes", "the class %s occurs twice", quote(class.Key()))
		}
		seen[class.Key()] = true
	}
}

// place is a column of a graph output.
type place struct {
	tensor string
	column int
}

func checkPlace(o *Output, path string, i int, taken map[place]int, f *findings) {
	if o.Column == nil {
		return
	}
	p := place{o.From, *o.Column}
	if p.column < 0 || p.column >= maxColumns {
		f.add(path+".column", "column", "columns count from 0 to %d, and this says %d", maxColumns-1, p.column)
	} else if first, twice := taken[p]; twice {
		f.add(path+".column", "column", "column %d of %s is already output %d", p.column, quote(o.From), first)
	} else {
		taken[p] = i
	}
}

func (t *Tolerance) check(path string, f *findings) {
	forms := 0
	for _, set := range []bool{t.Rel != nil || t.Abs != nil, t.Agreement != nil, t.Cosine != nil} {
		if set {
			forms++
		}
	}
	if forms != 1 {
		f.add(path, "tolerance", `expected one of {"rel","abs"}, {"agreement"} and {"cosine"}`)
	}
	within := func(name string, x *float64, least, most float64) {
		if x != nil && (math.IsNaN(*x) || *x < least || *x > most) {
			f.add(path+"."+name, "range", "expected a number from %g to %g, got %g: beyond that, \"proven\" would say nothing", least, most, *x)
		}
	}
	within("rel", t.Rel, 0, LoosestDistance)
	within("abs", t.Abs, 0, LoosestDistance)
	within("agreement", t.Agreement, 0.5, 1)
	within("cosine", t.Cosine, 0.5, 1)
}

// checkScalars holds a domain to the column's type.
func checkScalars(domain []Scalar, t tensor.Type, path string, f *findings) {
	seen := make(map[Scalar]bool, len(domain))
	for i, s := range domain {
		place := fmt.Sprintf("%s[%d]", path, i)
		if want := mismatch(s, t); want != "" {
			f.add(place, "type", "expected %s for a column of %s, got the %s %s", want, t, s.Kind(), quote(s.Key()))
		}
		if seen[s] {
			f.add(place, "domain", "the value %s occurs twice", quote(s.Key()))
		}
		seen[s] = true
	}
}

// mismatch returns what a value of the type looks like in JSON where s does
// not, and "" where it does.
func mismatch(s Scalar, t tensor.Type) string {
	fits, want := true, ""
	switch {
	case t == tensor.Invalid:
	case t == tensor.String:
		fits, want = s.Kind() == "string", "a string"
	case t == tensor.Bool:
		fits, want = s.Kind() == "bool", "true or false"
	case t.IsFloat():
		_, err := strconv.ParseFloat(s.Key(), 64)
		fits, want = s.Kind() == "number" && err == nil, "a number"
	case t >= tensor.Uint8:
		_, err := strconv.ParseUint(s.Key(), 10, 8*t.Size())
		fits, want = s.Kind() == "number" && err == nil, "an integer in range"
	default:
		_, err := strconv.ParseInt(s.Key(), 10, 8*t.Size())
		fits, want = s.Kind() == "number" && err == nil, "an integer in range"
	}
	if fits {
		return ""
	}
	return want
}
