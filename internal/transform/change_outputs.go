package transform

import (
	"fmt"
	"slices"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// outputs holds that everything which callers read of the old version is in
// the new one's answers and means the same. Their order is of no account.
func (d *diff) outputs(old, next *Plan) {
	for i := range old.Outputs {
		was := &old.Outputs[i]
		d.at("outputs", was.Name)
		k := slices.IndexFunc(next.Outputs, func(o Output) bool { return o.Name == was.Name })
		if k < 0 {
			d.breaks(ChangeRemoved, "the output is gone")
			continue
		}
		is := &next.Outputs[k]
		if was.Kind != is.Kind {
			d.breaks(ChangeKind, "is of the kind %s now, was %s", is.Kind, was.Kind)
		}
		d.outputType(was.Type, is.Type)
		switch {
		case is.Finite && !was.Finite:
			d.note(ChangeRange, "rows for which it is no finite number are refused now")
		case was.Finite && !is.Finite:
			d.note(ChangeRange, "may be missing or infinite now")
		}
		switch {
		case was.Kind != is.Kind && (was.Kind == bundle.KindProbabilities || is.Kind == bundle.KindProbabilities):
		case is.Kind == bundle.KindProbabilities:
			d.classes(was.Classes, is.Classes)
		default:
			d.outputShape(old.form(was), next.form(is))
		}
	}
	for k := range next.Outputs {
		is := &next.Outputs[k]
		if !slices.ContainsFunc(old.Outputs, func(o Output) bool { return o.Name == is.Name }) {
			d.at("outputs", is.Name)
			d.note(ChangeAdded, "the output is new")
		}
	}
}

// outputType holds that programs can read the new type as they read the old:
// numbers are numbers in JSON, but one that reads whole numbers chokes on a
// fraction.
func (d *diff) outputType(was, is tensor.Type) {
	switch {
	case was == is:
	case written(was) != written(is):
		d.breaks(ChangeType, "is %s now, was %s: an answer holds %s", is, was, written(is))
	case was.IsInteger() && is.IsFloat():
		d.breaks(ChangeType, "is %s now, was %s: a number may have a fraction", is, was)
	default:
		d.note(ChangeType, "is %s now, was %s", is, was)
	}
}

func (d *diff) classes(was, is []string) {
	if lost := without(was, is); len(lost) > 0 {
		d.breaks(ChangeClasses, "has no class %s any more", some(quoted(lost)))
	}
	if gained := without(is, was); len(gained) > 0 {
		d.note(ChangeClasses, "has the class %s, too", some(quoted(gained)))
	}
}

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprintf("%q", v)
	}
	return out
}

// form is the shape of an output in an answer.
type form struct {
	known bool    // or the graph leaves it open, and only the answers tell
	whole bool    // one value for the request, not one per row
	shape []int64 // of that value; -1: open
}

// form tells an output's shape as far as the signature and the graph do.
func (p *Plan) form(o *Output) form {
	dims := o.raw.Shape()
	switch {
	case o.Scalar:
		return form{known: true}
	case o.Shape != nil:
		shape := slices.Clone(o.Shape)
		for i := range shape {
			if o.raw.Ranked && shape[i] < 0 {
				shape[i] = dims[i+1]
			}
		}
		return form{known: true, shape: shape}
	case !o.raw.Ranked:
		return form{}
	case len(dims) == 0 || dims[0] >= 0 && dims[0] != int64(p.Layout.FixedRows):
		return form{known: true, whole: true, shape: dims}
	default:
		return form{known: true, shape: dims[1:]}
	}
}

func (f form) String() string {
	switch {
	case f.whole:
		return "one value " + tensor.FormatShape(f.shape) + " per request"
	case len(f.shape) == 0:
		return "one value per row"
	default:
		return tensor.FormatShape(f.shape) + " per row"
	}
}

// outputShape holds that a value has the shape that callers know; one whose
// shape was open may have any.
func (d *diff) outputShape(was, is form) {
	fits := func(old, now int64) bool { return old < 0 || old == now }
	switch {
	case !was.known || !is.known:
	case was.whole != is.whole, !slices.EqualFunc(was.shape, is.shape, fits):
		d.breaks(ChangeShape, "is %s now, was %s", is, was)
	case !slices.Equal(was.shape, is.shape):
		d.note(ChangeShape, "is %s now, was %s", is, was)
	}
}
