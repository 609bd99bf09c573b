package onnx

import (
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/internal/fault"
)

// Inspect walks the model file of the given size. It returns what it found or
// a fault of kind Unprocessable and code ModelRefused; an error of r comes
// back wrapped and is no fault. The zero Limits are the default ones.
func Inspect(r io.ReaderAt, size int64, limits Limits) (*Model, error) {
	w, err := walk(r, size, limits)
	if err != nil {
		return nil, err
	}
	return w.model, nil
}

// walker is one walk over a model file.
type walker struct {
	win    *window
	limits Limits
	model  *Model
	err    error        // what ended the walk
	found  *fault.Error // what it found so far

	items     int64             // length-delimited fields seen
	names     int64             // names kept
	bytes     int64             // bytes of them
	interned  map[string]string // operators and domains
	external  map[string]bool
	main      *scope
	functions map[string]*scope // by callKey
	bodies    []*scope          // the same, in the file's order

	initializers map[string]bool // names in the main graph
	graph        field           // of the model: where the main graph lies
	outputs      []field         // of the main graph, one for each of model.Outputs
	zipMaps      []field         // of the main graph, one for each of model.ZipMaps
	watch        *watch          // counts uses of names, where not nil
}

// scope counts the nodes of the main graph or of a function, subgraphs included.
type scope struct {
	at    *place
	name  string
	nodes int64
	depth int // of subgraphs
	calls map[string]*call
	cost  *cost // once it is expanded
}

// call counts the nodes of one operator in a scope.
type call struct {
	count  int64
	depth  int    // of the deepest
	domain string // as written
	op     string
	at     *place // of the first
}

func walk(r io.ReaderAt, size int64, limits Limits) (*walker, error) {
	w := newWalker(newWindow(r, size), limits.withDefaults())
	w.walkModel(span{0, size})
	if w.err == nil {
		w.finish()
	}
	if w.err != nil {
		return nil, w.err
	}
	if w.found != nil {
		return nil, w.found
	}
	if w.model.Hazards, w.err = w.findHazards(); w.err != nil {
		return nil, w.err
	}
	return w, nil
}

func newWalker(win *window, limits Limits) *walker {
	return &walker{
		win:          win,
		limits:       limits,
		model:        &Model{Opsets: map[string]int64{}, OpTypes: map[string]int{}},
		interned:     map[string]string{},
		external:     map[string]bool{},
		main:         newScope(root.in("graph")),
		functions:    map[string]*scope{},
		initializers: map[string]bool{},
	}
}

func newScope(at *place) *scope { return &scope{at: at, calls: map[string]*call{}} }

func (w *walker) walkModel(s span) {
	if s.len() <= 0 {
		w.junk("the file is empty")
		return
	}
	var functions, trainings int64
	var version string
	for f := range w.fields(s, root) {
		switch f.key {
		case modelIR:
			w.model.IRVersion = f.int()
		case modelProducer:
			w.model.Producer = w.name(f, root)
		case modelProducerVersion:
			version = w.name(f, root)
		case modelOpset:
			w.opset(f.body)
		case modelGraph:
			w.mainGraph(f)
		case modelFunction:
			w.function(f.body, root.nth("functions", functions))
			functions++
		case modelTraining:
			w.training(f.body, root.nth("training_info", trainings))
			trainings++
		}
	}
	w.model.Producer = strings.TrimSpace(w.model.Producer + " " + version)
}

func (w *walker) mainGraph(f field) {
	if w.graph.key != 0 {
		w.fail(root.in("graph"), FindingGraph, "a second graph starts here",
			"the ONNX file holds two graphs: export it again")
		return
	}
	w.graph = f
	w.walkGraph(f.body, w.main.at, w.main, 0)
}

// opset reads one opset import. The same import may be written twice.
func (w *walker) opset(s span) {
	var domain string
	var version int64
	at := root.in("opset_import")
	for f := range w.fields(s, at) {
		switch f.key {
		case opsetDomain:
			domain = w.name(f, at)
		case opsetVersion:
			version = f.int()
		}
	}
	if standard(domain) {
		domain = ""
	}
	if old, twice := w.model.Opsets[domain]; twice && old != version {
		w.find(at, FindingOpset, "the domain %s is imported in versions %d and %d", quote(domain), old, version)
	}
	w.model.Opsets[domain] = version
}

// training walks the graphs of one training_info. They never run here, but
// ONNX Runtime parses them.
func (w *walker) training(s span, at *place) {
	for f := range w.fields(s, at) {
		switch f.key {
		case trainingInit:
			w.walkGraph(f.body, at.in("initialization"), w.main, 1)
		case trainingAlgorithm:
			w.walkGraph(f.body, at.in("algorithm"), w.main, 1)
		}
	}
}

// finish does what needs the whole file.
func (w *walker) finish() {
	if w.graph.key == 0 {
		if w.model.IRVersion == 0 {
			w.junk("there is no graph in it")
			return
		}
		w.fail(root, FindingGraph, "the file holds no graph", "the ONNX file holds no graph: export the model again")
		return
	}
	if len(w.model.Opsets) == 0 {
		w.find(root.in("opset_import"), FindingOpset, "no operator set is imported")
	}
	w.finishInputs()
	w.finishCalls()
	w.model.ExternalData = slices.Sorted(maps.Keys(w.external))
}

// finishInputs leaves out inputs that only give an initializer its type, as
// old exporters write them.
func (w *walker) finishInputs() {
	seen := map[string]bool{}
	at := root.in("graph")
	fed := w.model.Inputs[:0]
	for i, in := range w.model.Inputs {
		if seen[in.Name] || in.Name == "" {
			w.find(at.nth("input", int64(i)), FindingName, "the name %s is empty or occurs twice", quote(in.Name))
		}
		seen[in.Name] = true
		if !w.initializers[in.Name] {
			fed = append(fed, in)
		}
	}
	w.model.Inputs = fed
	if len(fed) > w.limits.Inputs {
		w.over(at.in("input"), "inputs", "graph inputs", int64(w.limits.Inputs))
	}
	if len(fed) == 0 {
		w.find(at.in("input"), FindingInputs, "the graph has no inputs, so there is nothing to predict from")
	}
	clear(seen)
	for i, out := range w.model.Outputs {
		if seen[out.Name] || out.Name == "" {
			w.find(at.nth("output", int64(i)), FindingName, "the name %s is empty or occurs twice", quote(out.Name))
		}
		seen[out.Name] = true
	}
	if len(w.model.Outputs) == 0 {
		w.find(at.in("output"), FindingOutputs, "the graph has no outputs, so there is nothing to answer")
	}
}

// name reads a short string that is kept, and counts it.
func (w *walker) name(f field, at *place) string {
	data := w.short(f, at)
	w.names++
	w.bytes += int64(len(data))
	if w.names > int64(w.limits.Names) {
		w.over(at, "names", "names", int64(w.limits.Names))
	}
	if w.bytes > w.limits.Bytes {
		w.over(at, "names", "bytes of names", w.limits.Bytes)
	}
	return strings.ToValidUTF8(string(data), "\ufffd")
}

// short returns the bytes of a name; they are valid until the next read.
func (w *walker) short(f field, at *place) []byte {
	if f.body.len() > int64(min(w.limits.Name, pageSize)) {
		w.over(at, "name", "bytes in one name", int64(min(w.limits.Name, pageSize)))
		return nil
	}
	data := w.win.at(f.body.start, int(f.body.len()))
	if w.win.err != nil {
		w.err = w.win.err
	}
	return data
}

// intern returns a string that occurs over and over, kept once.
func (w *walker) intern(f field, at *place) string {
	data := w.short(f, at)
	if s, ok := w.interned[string(data)]; ok {
		return s
	}
	s := w.name(f, at)
	w.interned[string(data)] = s
	return s
}

// plus adds counts without running over.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// times multiplies counts without running over.
func times(a, b int64) int64 {
	if a > 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}
