package parity

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// What plots may take of a report, which has to stay a small file: so many
// points of one output within tolerance and as many beyond it, so many of all
// outputs together, and so many labels of a table.
const (
	maxPoints    = 200
	maxAllPoints = 1000
	maxLabels    = 20
	// maxPairs bounds a table while it grows; labels that are ids have no end.
	maxPairs = 4096
)

// rest is the label that stands for all that there is no room for.
const rest = "…"

// plot gathers what one output's plot shows, while the rows pass by.
type plot struct {
	typ           tensor.Type
	agree, differ thinned[wire.Point]
	labels        *confusion
	beside        int
}

// newPlot returns nil for an output that there is no room to plot.
func newPlot(o *bundle.Output, outputs int) *plot {
	if o.Kind == bundle.KindLabel || o.Type == tensor.String || o.Type == tensor.Bool {
		if outputs > maxAllPoints/maxLabels {
			return nil
		}
		return &plot{labels: &confusion{counts: map[[2]string]int{}}}
	}
	most := min(maxPoints, maxAllPoints/outputs)
	if most == 0 {
		return nil
	}
	return &plot{typ: o.Type, agree: thin[wire.Point](most), differ: thin[wire.Point](most)}
}

// add notes a row that has an answer.
func (p *plot) add(want, have any, failed bool) {
	switch {
	case p == nil:
	case p.labels != nil:
		p.labels.add(want, have)
	default:
		p.point(flatten(want), flatten(have), failed)
	}
}

// absent notes a row that has none.
func (p *plot) absent() {
	if p != nil {
		p.beside++
	}
}

func (p *plot) point(want, have []leaf, failed bool) {
	best, found := wire.Point{Distance: -1}, false
	if sameShape(want, have) {
		for i := range want {
			a, okA := number(want[i].value, p.typ)
			b, okB := number(have[i].value, p.typ)
			if !okA || !okB || !plottable(a) || !plottable(b) {
				continue
			}
			if d := distance(a, b); d > best.Distance || d == best.Distance && a > best.Expected {
				best, found = wire.Point{Expected: a, Got: b, Distance: d, Of: clip(want[i].path)}, true
			}
		}
	}
	switch {
	case !found:
		p.beside++
	case failed:
		best.Failed = true
		p.differ.add(best)
	default:
		p.agree.add(best)
	}
}

// plottable keeps out what has no place on an axis, and what would make the
// distance of two numbers infinite.
func plottable(f float64) bool { return math.Abs(f) <= math.MaxFloat64/4 }

// finish returns the plot, nil where it would show nothing.
func (p *plot) finish() *wire.Plot {
	switch {
	case p == nil:
		return nil
	case p.labels != nil:
		if len(p.labels.counts) == 0 {
			return nil
		}
		return &wire.Plot{Labels: p.labels.finish(), Beside: p.beside}
	case p.agree.seen+p.differ.seen+p.beside == 0:
		return nil
	}
	return &wire.Plot{
		Points: slices.Concat(p.agree.kept, p.differ.kept), Beside: p.beside,
		Agree: len(p.agree.kept), AgreeOf: p.agree.seen, DifferOf: p.differ.seen,
	}
}

// thinned keeps at most so many of a stream's values, evenly: every one, then
// every second, every fourth. The same stream leaves the same values.
type thinned[T any] struct {
	most, stride, seen int
	kept               []T
}

func thin[T any](most int) thinned[T] { return thinned[T]{most: most, stride: 1} }

func (t *thinned[T]) add(v T) {
	if t.seen%t.stride == 0 && len(t.kept) == t.most {
		half := t.kept[:0]
		for i := 0; i < len(t.kept); i += 2 {
			half = append(half, t.kept[i])
		}
		t.kept, t.stride = half, 2*t.stride
	}
	if t.seen%t.stride == 0 {
		t.kept = append(t.kept, v)
	}
	t.seen++
}

// confusion counts pairs of labels, by their JSON texts.
type confusion struct{ counts map[[2]string]int }

func (c *confusion) add(want, have any) {
	pair := [2]string{show(want), show(have)}
	if _, ok := c.counts[pair]; !ok && len(c.counts) >= maxPairs {
		pair = [2]string{rest, rest}
	}
	c.counts[pair]++
}

// finish keeps the labels that stand in the most rows. Rows whose expected and
// given label are both among the others lie in one cell, right or wrong.
func (c *confusion) finish() *wire.Confusion {
	rows := map[string]int{}
	for pair, n := range c.counts {
		rows[pair[0]] += n
		rows[pair[1]] += n
	}
	delete(rows, rest)
	labels := slices.SortedFunc(maps.Keys(rows), func(a, b string) int {
		return cmp.Or(cmp.Compare(rows[b], rows[a]), byNumber(a, b))
	})
	out := &wire.Confusion{Others: max(len(labels)-maxLabels, 0)}
	labels = labels[:min(len(labels), maxLabels)]
	slices.SortFunc(labels, byNumber)
	if _, pooled := c.counts[[2]string{rest, rest}]; pooled || out.Others > 0 {
		labels = append(labels, rest)
	}
	at := map[string]int{}
	for i, label := range labels {
		at[label] = i
		out.Counts = append(out.Counts, make([]int, len(labels)))
	}
	place := func(label string) int {
		if i, ok := at[label]; ok {
			return i
		}
		return len(labels) - 1
	}
	for pair, n := range c.counts {
		out.Counts[place(pair[0])][place(pair[1])] += n
	}
	out.Labels = labels
	return out
}

// byNumber orders JSON texts: numbers by value and first, others by their text.
func byNumber(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}
