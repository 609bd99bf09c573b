package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Change is one difference between the signatures of two versions, as callers
// would notice it.
type Change struct {
	Path   string // inputs.age, outputs.label
	Code   string // one of the constants below
	Detail string // a sentence without its subject, which Path names
	// Breaks is set where a request that the old version took is refused by the
	// new one, or where something that callers read is gone or means another thing.
	Breaks bool
}

// The codes of changes.
const (
	ChangeRemoved  = "removed"
	ChangeAdded    = "added"
	ChangeType     = "type"
	ChangeShape    = "shape"
	ChangeMissing  = "missing"  // whether null is allowed
	ChangeDomain   = "domain"   // the values that are accepted
	ChangeRange    = "range"    // the least and the greatest number that is accepted
	ChangeReserved = "reserved" // the text that stands for a missing value
	ChangeRows     = "rows"     // how many rows a request may have
	ChangeKind     = "kind"
	ChangeClasses  = "classes"
)

// String writes the change as a line of a diff: what is gone begins with a
// minus, what is new with a plus, what is another with a tilde.
func (c Change) String() string {
	sign := "~"
	switch c.Code {
	case ChangeRemoved:
		sign = "-"
	case ChangeAdded:
		sign = "+"
	}
	return sign + " " + c.Path + ": " + c.Detail
}

// Compatible lists what a caller of the old version would notice of the new
// one: the inputs first, in the order of the old version, then the outputs.
// Both may be plans of bare models, whose signature is their graph's.
func Compatible(old, next *Plan) []Change {
	d := &diff{}
	d.inputs(old.Layout, next.Layout)
	d.outputs(old, next)
	return d.changes
}

// Breaking returns the changes that break callers.
func Breaking(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !c.Breaks })
}

// diff gathers changes; path is where it stands.
type diff struct {
	path    string
	changes []Change
}

func (d *diff) breaks(code, format string, args ...any) {
	d.changes = append(d.changes, Change{d.path, code, fmt.Sprintf(format, args...), true})
}

func (d *diff) note(code, format string, args ...any) {
	d.changes = append(d.changes, Change{d.path, code, fmt.Sprintf(format, args...), false})
}

func (d *diff) at(side, name string) { d.path = side + tensor.MemberPath(name) }

// some names a few of a list's texts and counts the others.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
