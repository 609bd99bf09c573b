package parity

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/internal/bundle"
)

// The hypothesis of a difference that is linear in the inputs.

// scaledOtherwise looks whether the difference is a weighted sum of columns,
// as it is where a scaler or the weights of a linear model are others.
func scaledOtherwise(l *lab) (found []hypothesis) {
	for _, o := range l.outputsOf(bundle.KindValue, bundle.KindProbabilities) {
		var design, apart [][]float64
		terms := l.terms()
		for _, s := range l.scored(o) {
			x := terms.of(s.row)
			if x == nil || !s.row.natural() {
				continue
			}
			difference := make([]float64, len(s.want))
			for k := range difference {
				difference[k] = s.want[k] - s.got[k]
			}
			design, apart = append(design, x), append(apart, difference)
		}
		if len(design) < 2*len(terms.features)+10 {
			continue
		}
		weights := leastSquares(design, apart)
		if weights == nil {
			continue
		}
		h := hypothesis{code: "scaled-otherwise", columns: terms.thatWeigh(weights), ends: "rows are off by just that"}
		h.of, h.explains = len(design), fits(design, apart, weights)
		if len(h.columns) == 0 || !l.convinces(h) {
			continue
		}
		h.says = fmt.Sprintf("The difference looks like a weighted sum of %s, which are scaled or weighed otherwise:", quoted(h.columns))
		found = append(found, h)
	}
	return found
}

// terms are the columns of a linear model: the constant, numbers about their
// mean, and a flag for each category but the first.
type terms struct {
	features   []*feature // nil for the constant
	categories []string   // "" for a number
}

func (l *lab) terms() terms {
	t := terms{features: []*feature{nil}, categories: []string{""}}
	for _, f := range l.features {
		switch known := f.stats.categories; {
		case f.isNumber():
			t.features, t.categories = append(t.features, f), append(t.categories, "")
		case len(known) > 1:
			for _, c := range known[1:min(len(known), maxChoices)] {
				t.features, t.categories = append(t.features, f), append(t.categories, c)
			}
		}
	}
	return t
}

// of are a row's terms, nil where one is missing.
func (t terms) of(r row) []float64 {
	out := make([]float64, len(t.features))
	for i, f := range t.features {
		switch {
		case f == nil:
			out[i] = 1
		case t.categories[i] == "":
			x, ok := f.number(r.input)
			if !ok {
				return nil
			}
			if f.stats.std > 0 {
				out[i] = (x - f.stats.mean) / f.stats.std
			}
		default:
			c, ok := f.text(r.input)
			if !ok {
				return nil
			}
			if c == t.categories[i] {
				out[i] = 1
			}
		}
	}
	return out
}

// thatWeigh are the names of columns with a weight worth naming.
func (t terms) thatWeigh(weights [][]float64) []string {
	most, each := 0.0, make([]float64, len(weights))
	for i, w := range weights {
		each[i] = math.Abs(largestOf(w))
		if t.features[i] != nil {
			most = max(most, each[i])
		}
	}
	var out []string
	for i, f := range t.features {
		if f != nil && each[i] > 1e-4*most {
			out = append(out, f.name)
		}
	}
	return distinct(out)
}

// fits counts the rows that a linear model explains.
func fits(design, apart, weights [][]float64) (n int) {
	most := 0.0
	for _, d := range apart {
		most = max(most, math.Abs(largestOf(d)))
	}
	for r, x := range design {
		good := most > 0
		for k := range apart[r] {
			sum := 0.0
			for i := range x {
				sum += x[i] * weights[i][k]
			}
			good = good && math.Abs(sum-apart[r][k]) <= 1e-5*most
		}
		if good {
			n++
		}
	}
	return n
}

// leastSquares solves design · weights = apart by the normal equations; terms
// that others already say get no weight. nil where nothing is left.
func leastSquares(design, apart [][]float64) [][]float64 {
	p, m := len(design[0]), len(apart[0])
	rows := make([][]float64, p) // of the equations, the right sides behind
	for i := range rows {
		rows[i] = make([]float64, p+m)
		for r, x := range design {
			for j := range p {
				rows[i][j] += x[i] * x[j]
			}
			for k := range m {
				rows[i][p+k] += x[i] * apart[r][k]
			}
		}
	}
	pivots := make([]int, 0, p)
	for c := range p {
		i := len(pivots)
		best := i
		for r := i; r < p; r++ {
			if math.Abs(rows[r][c]) > math.Abs(rows[best][c]) {
				best = r
			}
		}
		if i == p || math.Abs(rows[best][c]) < 1e-9*float64(len(design)) {
			continue
		}
		rows[i], rows[best] = rows[best], rows[i]
		for r := range p {
			if r == i {
				continue
			}
			factor := rows[r][c] / rows[i][c]
			for j := c; j < p+m; j++ {
				rows[r][j] -= factor * rows[i][j]
			}
		}
		pivots = append(pivots, c)
	}
	weights := make([][]float64, p)
	for i := range weights {
		weights[i] = make([]float64, m)
	}
	for i, c := range pivots {
		for k := range m {
			weights[c][k] = rows[i][p+k] / rows[i][c]
		}
	}
	if len(pivots) == 0 {
		return nil
	}
	return weights
}
