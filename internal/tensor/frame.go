package tensor

import "slices"

// maxKept is the largest buffer, in bytes, that a frame keeps for the next
// request; beyond it one large request would hold its memory for ever.
const maxKept = 1 << 20

// Frame is one decoded request: a dense typed array per logical column, laid
// out as its Layout says. A frame belongs to one request at a time.
type Frame struct {
	Layout *Layout
	Rows   int

	buffers []Tensor
	shapes  [][]int64 // each column's value shape, agreed by the first row
	lengths []int     // rows that each column got, in the columns form
	form    string    // the member that the request came in, for paths
	byRows  bool      // whether it lists rows
}

// NewFrame returns an empty frame of the layout.
func NewFrame(l *Layout) *Frame {
	f := &Frame{
		Layout:  l,
		buffers: make([]Tensor, len(l.Buffers)),
		shapes:  make([][]int64, len(l.Columns)),
		lengths: make([]int, len(l.Columns)),
	}
	for i := range f.buffers {
		f.buffers[i].Type = l.Buffers[i].Type
	}
	f.Reset()
	return f
}

// RowPath is where an error about a whole row points: instances[3]. Where the
// request lists columns no path leads to a row, and it is that of the request.
func (f *Frame) RowPath(row int) string {
	p := place{form: f.form, row: row, rows: f.byRows, column: -1}
	return p.path(f.Layout)
}

// Reset empties the frame for the next request and lets go of large buffers.
func (f *Frame) Reset() {
	f.Rows = 0
	for i := range f.buffers {
		b := &f.buffers[i]
		if len(b.Data) > maxKept || len(b.Strings)*16 > maxKept {
			b.Data, b.Strings = nil, nil
		}
		clear(b.Strings)
	}
	for i := range f.shapes {
		f.shapes[i] = append(f.shapes[i][:0], f.Layout.Columns[i].Shape...)
		f.lengths[i] = -1
	}
}

// grow makes room for n elements in buffer i, doubling so that decoding a
// request of unknown length costs amortised constant time per element.
func (f *Frame) grow(i, n int) {
	b := &f.buffers[i]
	if b.Type == String {
		if n > len(b.Strings) {
			b.Strings = append(b.Strings, make([]string, max(n-len(b.Strings), len(b.Strings)))...)
		}
		return
	}
	need := n * b.Type.Size()
	if need <= len(b.Data) {
		return
	}
	grown := alignedBytes(max(need, 2*len(b.Data), 64))
	copy(grown, b.Data)
	b.Data = grown
}

// width returns the elements of one row of column c, known once the first row
// has been read.
func (f *Frame) width(c int) int {
	col := &f.Layout.Columns[c]
	if w := f.Layout.Buffers[col.Buffer].Width; w >= 0 {
		return w
	}
	return int(max(Count(f.shapes[c]), 0)) // 0 while the first row is being read
}

// Feeds returns one tensor per buffer, in the layout's order, over the frame's
// own memory: they are valid until Reset.
func (f *Frame) Feeds() []*Tensor {
	feeds := make([]*Tensor, len(f.buffers))
	for c := range f.Layout.Columns {
		i := f.Layout.Columns[c].Buffer
		if feeds[i] == nil {
			feeds[i] = f.feed(i, c)
		}
	}
	return feeds
}

func (f *Frame) feed(i, c int) *Tensor {
	b, spec, col := &f.buffers[i], &f.Layout.Buffers[i], &f.Layout.Columns[c]
	out := &Tensor{Type: b.Type, Shape: f.feedShape(spec, col, c)}
	n := int(Count(out.Shape))
	if b.Type == String {
		out.Strings = b.Strings[:n]
	} else {
		out.Data = b.Data[:n*b.Type.Size()]
	}
	return out
}

func (f *Frame) feedShape(spec *Buffer, col *Column, c int) []int64 {
	if col.Whole {
		return slices.Clone(f.shapes[c])
	}
	rows := int64(f.Rows)
	if f.lengths[c] >= 0 {
		rows = int64(f.lengths[c])
	}
	switch {
	case spec.Rank1:
		return []int64{rows}
	case len(f.shapes[c]) > 0:
		return append([]int64{rows}, f.shapes[c]...)
	case col.AnyRank:
		return []int64{rows}
	default:
		return []int64{rows, int64(spec.Width)}
	}
}

// Missing reports whether the value of a scalar column is missing in a row.
func (f *Frame) Missing(column, row int) bool {
	col := &f.Layout.Columns[column]
	b := &f.buffers[col.Buffer]
	i := row*f.width(column) + col.Offset
	switch b.Type {
	case String:
		return col.Nullable && b.Strings[i] == col.Sentinel
	case Float64:
		v := View[float64](b)[i]
		return v != v
	case Float32:
		v := View[float32](b)[i]
		return v != v
	case Float16:
		v := Float16Value(View[uint16](b)[i])
		return v != v
	default:
		return false
	}
}
