package tensor

import (
	"fmt"

	"github.com/tenon-ml/tenon/internal/fault"
)

// maxFindings bounds the list of findings in one answer: enough to see the
// pattern, little enough to read.
const maxFindings = 20

// maxCounted bounds how many are counted beside those that are listed: reading
// on costs what a right request of that size does.
const maxCounted = 10_000

// Codes of findings inside a request (fault.Field.Code).
const (
	findType     = "type"           // another JSON type than the column's
	findRange    = "range"          // a number beyond the column's type or its range
	findMissing  = "missing"        // null where missing is refused
	findDomain   = "domain"         // outside the closed set of values
	findReserved = "reserved"       // a string that the model cannot tell from another
	findUnknown  = "unknown-column" // a key that is no column
	findAbsent   = "absent-column"  // a column that the request lacks
	findRepeated = "duplicate-key"  // a key twice
	findShape    = "shape"          // a list of another length or depth
	findEmpty    = "empty"          // no rows
)

// Decoder reads the two body forms into a frame. One decoder serves one
// request; after a method fails the frame holds nothing of use.
//
// A wrong value does not end the walk: the first findings are listed and the
// others counted, so that a caller sees at once what is wrong, and how much of
// it. Broken JSON ends it.
type Decoder struct {
	scan  *Scanner
	frame *Frame
	place place
	seen  []int // per column, unused ones too: the last row that held it, plus one
	fault *fault.Error
	count int // findings, listed or not
}

// NewDecoder reads from scan into frame.
func NewDecoder(scan *Scanner, frame *Frame) *Decoder {
	return &Decoder{scan: scan, frame: frame, seen: make([]int, len(frame.Layout.Columns)+len(frame.Layout.Unused))}
}

// Rows reads a list of rows, {"column":value,…} each; where the layout has one
// column, bare values are read too. form is the member's name, for paths.
func (d *Decoder) Rows(form string) error {
	d.frame.form, d.frame.byRows = form, true
	d.place = place{form: form, column: -1}
	if c := d.scan.Peek(); c != '[' {
		return d.wrongForm("expected a list of rows, got %s")
	}
	if d.wantsWhole() {
		return d.wrongForm("this model takes whole tensors, not rows: send {\"inputs\":{…}} instead of %s")
	}
	more, err := d.scan.Open('[', ']')
	for more && err == nil {
		d.place.row, d.place.rows = d.frame.Rows, true
		if err = d.proceed(d.row(d.frame.Rows)); err != nil {
			return err
		}
		d.frame.Rows++
		more, err = d.scan.More(']')
	}
	if err != nil {
		return err
	}
	d.place = place{form: form, column: -1}
	return d.finish()
}

func (d *Decoder) wantsWhole() bool {
	for i := range d.frame.Layout.Columns {
		if d.frame.Layout.Columns[i].Whole {
			return true
		}
	}
	return false
}

// proceed ends the walk with the findings once there are enough of them.
func (d *Decoder) proceed(err error) error {
	if err == nil && d.count >= maxCounted {
		return d.refusal()
	}
	return err
}

// row reads one row: an object, or a bare value for a layout of one column.
func (d *Decoder) row(row int) error {
	cols := d.frame.Layout.Columns
	if d.scan.Peek() != '{' {
		if len(cols) == 1 {
			return d.value(0, row)
		}
		d.find(findType, "expected an object with one member per column")
		_, err := d.scan.Skip()
		return err
	}
	n := 0
	err := d.members(row, func(c int) error {
		n++
		return d.value(c, row)
	})
	if err == nil && n < len(cols) {
		d.findAbsent(row)
	}
	return err
}

// members walks an object and calls each once for every column it names;
// unknown and repeated keys become findings, unused columns are passed over.
func (d *Decoder) members(row int, each func(column int) error) error {
	more, err := d.scan.Open('{', '}')
	for next := 0; more && err == nil; next++ {
		var key []byte
		if key, err = d.scan.Key(); err != nil {
			return err
		}
		c := d.frame.Layout.find(key, next)
		switch {
		case c < 0:
			d.findKey(findUnknown, "the model has no column %s", key)
			_, err = d.scan.Skip()
		case d.seen[c] == row+1:
			d.findKey(findRepeated, "the key %s stands twice", key)
			_, err = d.scan.Skip()
		case c >= len(d.frame.Layout.Columns):
			d.seen[c] = row + 1
			_, err = d.scan.Skip()
		default:
			d.seen[c] = row + 1
			d.place.column = c
			err = each(c)
			d.place.column = -1
		}
		if err = d.proceed(err); err == nil {
			more, err = d.scan.More('}')
		}
	}
	return err
}

// Columns reads {"column":[value,…],…}; where the layout has one column, a
// bare list of its values is read too.
func (d *Decoder) Columns(form string) error {
	d.frame.form, d.frame.byRows = form, false
	d.place = place{form: form, column: -1}
	var err error
	switch c := d.scan.Peek(); {
	case c == '{':
		n := 0
		err = d.members(0, func(c int) error {
			n++
			return d.column(c)
		})
		if err == nil && n < len(d.frame.Layout.Columns) {
			d.findAbsent(0)
		}
	case c == '[' && len(d.frame.Layout.Columns) == 1:
		d.place.column = 0
		err = d.column(0)
	default:
		return d.wrongForm("expected an object with one list per column, got %s")
	}
	if err != nil {
		return err
	}
	d.place = place{form: form, column: -1}
	d.agreeOnRows()
	return d.finish()
}

// column reads all values of one column.
func (d *Decoder) column(c int) error {
	col := &d.frame.Layout.Columns[c]
	if col.Whole {
		d.frame.lengths[c] = 1
		return d.value(c, 0)
	}
	if d.scan.Peek() != '[' {
		d.find(findType, "expected a list with one value per row")
		_, err := d.scan.Skip()
		return err
	}
	more, err := d.scan.Open('[', ']')
	row := 0
	for ; more && err == nil; row++ {
		d.place.row, d.place.rows = row, true
		if err = d.proceed(d.value(c, row)); err == nil {
			more, err = d.scan.More(']')
		}
	}
	d.place.rows = false
	d.frame.lengths[c] = row
	return err
}

// agreeOnRows sets the frame's rows and finds ragged columns.
func (d *Decoder) agreeOnRows() {
	f := d.frame
	first := map[string]int{} // by group: the column that the others must agree with
	for c := range f.Layout.Columns {
		col := &f.Layout.Columns[c]
		if col.Whole || f.lengths[c] < 0 {
			continue
		}
		if len(first) == 0 {
			f.Rows = f.lengths[c]
		}
		other, ok := first[col.Group]
		if !ok {
			first[col.Group] = c
		} else if f.lengths[other] != f.lengths[c] {
			d.place.column = c
			d.find(findShape, "the column has %d values, but %s has %d: all columns need equally many",
				f.lengths[c], quote(f.Layout.Columns[other].Name), f.lengths[other])
			d.place.column = -1
		}
	}
	if len(first) == 0 {
		f.Rows = 1
	}
}

// finish turns findings into the fault of the request.
func (d *Decoder) finish() error {
	if d.fault == nil && d.frame.Rows == 0 {
		d.find(findEmpty, "the request has no rows: send at least one")
	}
	if want := d.frame.Layout.FixedRows; d.fault == nil && want > 0 && d.frame.Rows != want {
		d.find(findShape, "the graph takes exactly %d rows at a time, got %d", want, d.frame.Rows)
	}
	if d.fault != nil {
		return d.refusal()
	}
	return nil
}

// refusal is the fault of the request, once the walk has ended.
func (d *Decoder) refusal() error {
	switch {
	case d.count <= maxFindings:
		d.fault.Detail = "The request does not fit the model's signature; errors says where."
	case d.count < maxCounted:
		d.fault.Detail = fmt.Sprintf("The request does not fit the model's signature in %d places; errors lists the first %d.", d.count, maxFindings)
	default:
		d.fault.Detail = fmt.Sprintf("The request does not fit the model's signature in at least %d places; errors lists the first %d.", maxCounted, maxFindings)
	}
	return d.fault
}

// find records a finding at the present place.
func (d *Decoder) find(code, format string, args ...any) {
	d.count++
	if d.fault == nil {
		d.fault = fault.New(fault.Invalid, fault.InvalidInput, "")
	}
	if d.count <= maxFindings {
		d.fault.At(d.place.path(d.frame.Layout), code, format, args...)
	}
}

// findKey records a finding about a member that is not read as a column.
func (d *Decoder) findKey(code, format string, key []byte) {
	name := clip(string(key))
	d.place.name = &name
	d.find(code, format, quote(name))
	d.place.name = nil
}

func (d *Decoder) findAbsent(row int) {
	for c := range d.frame.Layout.Columns {
		if d.seen[c] != row+1 {
			d.findKey(findAbsent, "the column %s is absent", []byte(d.frame.Layout.Columns[c].Name))
		}
	}
}

// wrongForm is returned where the whole member is of another JSON type.
func (d *Decoder) wrongForm(format string) error {
	literal, err := d.scan.Skip()
	if err != nil {
		return err
	}
	d.find(findType, format, describe(literal))
	return d.refusal()
}
