package onnx

import (
	"io"
	"slices"
	"sort"

	"google.golang.org/protobuf/encoding/protowire"
)

// Rewrite is a model without the ZipMap nodes that stood between scores and
// graph outputs. It is an io.ReaderAt over the rewritten file: unchanged parts
// are read from the file it was made of, which stays open as long as the
// Rewrite is used, so that weights are not held in memory. External data keep
// their names and are looked for beside the model as before.
type Rewrite struct {
	// Size is the number of bytes of the rewritten model.
	Size int64
	// Replaced says, for every output that changed, what it was called
	// (Output), what the graph output is called now (Tensor), and the classes
	// in the order of its last dimension.
	Replaced []ZipMap

	r      io.ReaderAt
	pieces []piece
}

// piece is a run of bytes of the rewritten file: literal ones, or len bytes of
// the original from off.
type piece struct {
	start   int64 // in the rewritten file
	len     int64
	off     int64
	literal []byte
}

// StripZipMap removes the ZipMap nodes that make graph outputs: scikit-learn
// classifiers converted as usual end in one, and a list of dictionaries is
// nothing that a tensor client reads. The scores the node was fed become the
// graph output, float32[?,classes], in the same place. It returns nil where
// there is nothing to strip; the model is inspected on the way, so errors are
// those of Inspect. A ZipMap whose result another node reads stays.
func StripZipMap(r io.ReaderAt, size int64, limits Limits) (*Rewrite, error) {
	w, err := walk(r, size, limits)
	if err != nil || len(w.zipMaps) == 0 {
		return nil, err
	}
	uses, err := w.uses()
	if err != nil {
		return nil, err
	}
	return w.rewrite(r, uses), nil
}

// uses walks the main graph again for who makes and who reads the tensors
// around the ZipMap nodes.
func (w *walker) uses() (*watch, error) {
	found := &watch{read: map[string]bool{}, made: map[string]bool{}}
	for _, z := range w.model.ZipMaps {
		found.read[z.Output] = false
		found.made[z.Tensor] = false
	}
	again := newWalker(w.win, w.limits)
	again.watch = found
	again.walkGraph(w.graph.body, again.main.at, again.main, 0)
	return found, again.err
}

// watch notes which of the names it holds are read by nodes, and which are
// made by nodes of the main graph.
type watch struct {
	read map[string]bool
	made map[string]bool
}

func (x *watch) node(w *walker, f field, at *place, main bool) {
	for g := range w.fields(f.body, at) {
		switch g.key {
		case nodeInput:
			if name := w.short(g, at); mark(x.read, name) {
				x.read[string(name)] = true
			}
		case nodeOutput:
			if name := w.short(g, at); main && mark(x.made, name) {
				x.made[string(name)] = true
			}
		}
	}
}

func mark(names map[string]bool, name []byte) bool {
	_, watched := names[string(name)]
	return watched
}

// zipMap reads a ZipMap node of the main graph.
func (w *walker) zipMap(f field, at *place) {
	var z ZipMap
	var inputs, outputs int
	for g := range w.fields(f.body, at) {
		switch g.key {
		case nodeInput:
			z.Tensor = w.name(g, at)
			inputs++
		case nodeOutput:
			z.Output = w.name(g, at)
			outputs++
		case nodeAttribute:
			w.classes(&z, g.body, at)
		}
	}
	if w.err == nil && inputs == 1 && outputs == 1 && (len(z.Strings) == 0) != (len(z.Ints) == 0) {
		w.model.ZipMaps = append(w.model.ZipMaps, z)
		w.zipMaps = append(w.zipMaps, f)
	}
}

func (w *walker) classes(z *ZipMap, s span, at *place) {
	var name string
	for f := range w.fields(s, at) {
		if z.Classes() > w.limits.Classes {
			w.over(at, "classes", "classes of one ZipMap", int64(w.limits.Classes))
			return
		}
		switch f.key {
		case attributeName:
			name = w.intern(f, at)
		case attributeStrings:
			if name == "classlabels_strings" {
				z.Strings = append(z.Strings, w.name(f, at))
			}
		case attributeInts, attributeIntsPacked:
			for n := range w.numbers(f, at) {
				if name == "classlabels_int64s" && len(z.Ints) <= w.limits.Classes {
					z.Ints = append(z.Ints, n)
				}
			}
		}
	}
}

// rewrite lays out the pieces, or returns nil where no ZipMap can go.
func (w *walker) rewrite(r io.ReaderAt, uses *watch) *Rewrite {
	out := &Rewrite{r: r}
	var edits []edit
	present, taken := map[string]bool{}, map[int]bool{}
	for _, v := range w.model.Outputs {
		present[v.Name] = true
	}
	for i, z := range w.model.ZipMaps {
		place := slices.IndexFunc(w.model.Outputs, func(v Value) bool { return v.Name == z.Output })
		if place < 0 || taken[place] || uses.read[z.Output] || !uses.made[z.Tensor] {
			continue
		}
		taken[place] = true
		edits = append(edits, edit{cut: w.zipMaps[i].whole})
		change := edit{cut: w.outputs[place].whole}
		if !present[z.Tensor] {
			present[z.Tensor] = true
			change.put = scoreOutput(z)
		}
		edits = append(edits, change)
		out.Replaced = append(out.Replaced, z)
	}
	if len(edits) == 0 {
		return nil
	}
	out.layOut(w.graph, edits, w.win.size)
	return out
}

// edit replaces a range of the file.
type edit struct {
	cut span
	put []byte
}

// layOut fills in the pieces: what lies before the graph, the graph with its
// new length, and what follows.
func (w *Rewrite) layOut(graph field, edits []edit, size int64) {
	slices.SortFunc(edits, func(a, b edit) int { return int(a.cut.start - b.cut.start) })
	length := graph.body.len()
	for _, e := range edits {
		length += int64(len(e.put)) - e.cut.len()
	}
	w.keep(span{0, graph.whole.start})
	w.put(protowire.AppendVarint(protowire.AppendVarint(nil, uint64(graph.key)), uint64(length)))
	pos := graph.body.start
	for _, e := range edits {
		w.keep(span{pos, e.cut.start})
		w.put(e.put)
		pos = e.cut.end
	}
	w.keep(span{pos, size})
}

func (w *Rewrite) keep(s span) {
	if s.len() > 0 {
		w.pieces = append(w.pieces, piece{start: w.Size, len: s.len(), off: s.start})
		w.Size += s.len()
	}
}

func (w *Rewrite) put(data []byte) {
	if len(data) > 0 {
		w.pieces = append(w.pieces, piece{start: w.Size, len: int64(len(data)), literal: data})
		w.Size += int64(len(data))
	}
}

// scoreOutput encodes the graph output float32[?,classes] as a field of the graph.
func scoreOutput(z ZipMap) []byte {
	nested := func(out []byte, key int32, body []byte) []byte {
		out = protowire.AppendVarint(out, uint64(key))
		return protowire.AppendBytes(out, body)
	}
	number := func(key int32, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendVarint(nil, uint64(key)), v)
	}
	dims := nested(nil, shapeDim, nil)
	dims = nested(dims, shapeDim, number(dimValue, uint64(z.Classes())))
	const float32Element = 1
	tensor := nested(number(typeElem, float32Element), typeShape, dims)
	value := nested(nil, valueName, []byte(z.Tensor))
	value = nested(value, valueType, nested(nil, typeTensor, tensor))
	return nested(nil, graphOutput, value)
}

// ReadAt implements io.ReaderAt over the rewritten model.
func (w *Rewrite) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= w.Size {
		return 0, io.EOF
	}
	total := 0
	i := sort.Search(len(w.pieces), func(i int) bool { return w.pieces[i].start > off }) - 1
	for ; i < len(w.pieces) && total < len(p); i++ {
		n, err := w.pieces[i].read(w.r, p[total:], off)
		total += n
		off += int64(n)
		if err != nil {
			return total, err
		}
	}
	if total < len(p) {
		return total, io.EOF
	}
	return total, nil
}

// read fills p with the piece's bytes from off in the rewritten file.
func (c piece) read(r io.ReaderAt, p []byte, off int64) (int, error) {
	skip := off - c.start
	p = p[:min(int64(len(p)), c.len-skip)]
	if c.literal != nil {
		return copy(p, c.literal[skip:]), nil
	}
	n, err := r.ReadAt(p, c.off+skip)
	if n == len(p) {
		err = nil
	}
	return n, err
}

// Bytes returns the whole rewritten model in memory.
func (w *Rewrite) Bytes() ([]byte, error) {
	data := make([]byte, w.Size)
	if _, err := w.ReadAt(data, 0); err != nil {
		return nil, err
	}
	return data, nil
}
