package tensor

// Layout says where the logical columns of a frame live in memory, so that a
// decoder writes each value once, at the place ONNX Runtime reads it from. It
// is compiled once per version by internal/transform and shared by all frames;
// it must not change afterwards.
type Layout struct {
	Columns []Column
	Buffers []Buffer
	// FixedRows is the only batch size the graph takes, or 0 for any.
	FixedRows int
	// Unused names columns that requests may hold and need not: their values
	// are passed over.
	Unused []string

	index map[string]int
}

// Buffer is one block of memory, which becomes one tensor. Width is the
// elements of a row, or -1 where the request decides it; then the buffer
// belongs to a single column.
type Buffer struct {
	Name  string
	Type  Type
	Width int
	// Rank1 buffers become tensors of shape [rows]; others end with the shape
	// of their column, or with [width] where columns are stacked.
	Rank1 bool
}

// Column is one logical column: what clients send, and where it goes.
type Column struct {
	Name string
	Type Type
	// Shape is of one row's value: nil for a scalar; -1 where the first row of
	// a request decides and the others must agree.
	Shape []int64
	// AnyRank columns take their rank from the request, too.
	AnyRank bool
	// Whole columns are not batched: their value is the entire tensor, and only
	// the columns form can carry them.
	Whole bool
	// Group names the columns that must have equally many rows.
	Group string
	// Buffer and Offset place the column: element k of row r is element
	// r*width + Offset + k of that buffer.
	Buffer int
	Offset int
	// Nullable columns accept null: NaN in a float buffer, Sentinel in a string
	// buffer.
	Nullable bool
	Sentinel string
	// Domain, where set, is the closed set of values that are accepted.
	Domain *Domain
	// Range, where set, is the interval of numbers that are accepted.
	Range *Range
}

// Domain is a closed set of values; the map that fits the column's type is set.
// Bools are the integers 0 and 1.
type Domain struct {
	Strings  map[string]struct{}
	Floats   map[float64]struct{}
	Integers map[int64]struct{}
}

// Seal builds the index; it must be called once after the columns are set.
// Unused columns are counted on from the others.
func (l *Layout) Seal() *Layout {
	l.index = make(map[string]int, len(l.Columns))
	for i := range l.Columns {
		l.index[l.Columns[i].Name] = i
	}
	for i, name := range l.Unused {
		l.index[name] = len(l.Columns) + i
	}
	return l
}

// find returns the column of that name, an unused one from len(Columns) on, or
// -1. guess is tried first, because
// rows repeat their keys in one order.
func (l *Layout) find(name []byte, guess int) int {
	if guess < len(l.Columns) && l.Columns[guess].Name == string(name) {
		return guess
	}
	if i, ok := l.index[string(name)]; ok {
		return i
	}
	return -1
}
