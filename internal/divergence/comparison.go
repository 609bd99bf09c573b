package divergence

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Output describes one output of a version. The outputs of a version are
// described in the order in which it answers them (transform.Plan.Outputs).
type Output struct {
	Name string
	Kind string // label, probabilities or value
	// Classes are the keys of probabilities.
	Classes []string
	// Scale is the spread of the output's numbers in training, where it is known;
	// 0 takes the spread of the answers themselves.
	Scale float64
}

// The kinds of outputs, as signatures name them.
const (
	kindLabel         = "label"
	kindProbabilities = "probabilities"
)

// Version is one of the two that are compared.
type Version struct {
	Number  int
	Outputs []Output
}

// Request is one that both versions were asked.
type Request struct {
	ID   string
	Time time.Time
	Rows int
	// Row writes one row as an instance of a request. It is called for a row that
	// becomes an example, while Add runs; nil: examples have no input.
	Row      func(row int) json.RawMessage
	From, To Answer
}

// Answer is what one version said, or why it said nothing. Nothing of it is
// kept after Add.
type Answer struct {
	Outputs []tensor.Output
	Run     time.Duration // without waiting for one
	Err     error
}

// Found is what one request showed.
type Found struct {
	Rows        int // that both versions answered
	Disagree    int // of these
	InvalidFrom int // rows whose answer cannot be right; see Check
	InvalidTo   int
}

// Comparison gathers how far the answers of one version (to) are from
// another's (from). It is used by one goroutine at a time.
type Comparison struct {
	model    string
	since    time.Time
	from, to side
	outputs  []*output
	onlyFrom []string
	onlyTo   []string

	requests, rows, disagree, skipped int

	examples examples
	found    []rowFound // scratch of Add, by row
}

// New returns a comparison that has seen nothing since that time.
func New(model string, from, to Version, since time.Time) *Comparison {
	c := &Comparison{model: model, since: since, from: newSide(from), to: newSide(to)}
	taken := make([]bool, len(to.Outputs))
	for i := range from.Outputs {
		o := &from.Outputs[i]
		j := slices.IndexFunc(to.Outputs, func(p Output) bool { return p.Name == o.Name && p.Kind == o.Kind })
		if j < 0 {
			c.onlyFrom = append(c.onlyFrom, o.Name)
			continue
		}
		taken[j] = true
		c.outputs = append(c.outputs, &output{name: o.Name, kind: o.Kind, from: i, to: j, spread: spread{fixed: o.Scale}})
	}
	for j := range to.Outputs {
		if !taken[j] {
			c.onlyTo = append(c.onlyTo, to.Outputs[j].Name)
		}
	}
	return c
}

// Skip counts a request that was not compared.
func (c *Comparison) Skip() { c.skipped++ }

// Add compares the answers to one request. Versions without an output in common
// have no rows to compare: that nothing differs would say that they agree.
func (c *Comparison) Add(r *Request) Found {
	f := Found{InvalidFrom: c.from.add(&r.From, r.Rows), InvalidTo: c.to.add(&r.To, r.Rows)}
	if r.From.Err != nil || r.To.Err != nil {
		return f
	}
	if len(c.outputs) == 0 {
		c.requests++
		return f
	}
	c.found = slices.Grow(c.found[:0], r.Rows)[:r.Rows]
	clear(c.found)
	for i, o := range c.outputs {
		o.add(&r.From.Outputs[o.from], &r.To.Outputs[o.to], i, c.found)
	}
	f.Rows = r.Rows
	for row := range c.found {
		if c.found[row].disagrees {
			f.Disagree++
		}
		c.examples.offer(c, r, row)
	}
	c.requests++
	c.rows += f.Rows
	c.disagree += f.Disagree
	return f
}

// rowFound is what all outputs of one row show together.
type rowFound struct {
	disagrees bool
	class     class
	distance  float64 // the largest of its outputs that have one
	output    int     // the one that it is an example of
}

// class ranks rows as examples: a larger one is worth looking at first.
type class uint8

const (
	classNear         class = iota // by its distance
	classFlip                      // another label; by the distance of the probabilities
	classIncomparable              // a number against none
)

// note takes in what one output shows.
func (f *rowFound) note(output int, k class, distance float64, disagrees bool) {
	f.disagrees = f.disagrees || disagrees
	if k > f.class || k == f.class && k == classNear && distance > f.distance {
		f.output = output
	}
	f.class, f.distance = max(f.class, k), max(f.distance, distance)
}

// before reports whether f is the better example.
func (f *rowFound) before(g *rowFound) bool {
	return f.class > g.class || f.class == g.class && f.distance > g.distance
}
