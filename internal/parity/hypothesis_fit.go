package parity

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/internal/bundle"
)

// Hypotheses whose parameters are fitted to the rows that differ.

// unknown is a number in a row that is solved for: with it in place of the
// column's value, the row answers as the pipeline did.
type unknown struct {
	f     *feature
	row   row
	at    float64 // where the search begins
	width float64 // its first step, about the spread of the column
}

// solve searches for all at once by the secant method; NaN where it fails.
func (l *lab) solve(all []unknown) []float64 {
	const steps = 9
	at, before := make([]float64, len(all)), make([]float64, len(all))
	errors, was := make([]float64, len(all)), make([]float64, len(all))
	out := slices.Repeat([]float64{math.NaN()}, len(all))
	for i, u := range all {
		before[i], at[i], was[i] = u.at, u.at, math.NaN()
	}
	for step := range steps {
		var inputs []map[string]any
		var whose []int
		for i, u := range all {
			input, ok := u.f.with(u.row.input, at[i])
			if !ok && at[i] == u.at && out[i] != out[i] {
				input, ok = u.row.input, true
			}
			if ok && out[i] != out[i] {
				inputs, whose = append(inputs, input), append(whose, i)
			}
		}
		answers := l.ask(inputs)
		for k, got := range answers {
			i := whose[k]
			u := all[i]
			if step > 0 && got != nil && l.gap(u.row, got) <= 1e-7*l.before(u.row) {
				out[i] = at[i]
				continue
			}
			errors[i] = l.residual(u.row, got)
			next := at[i] + 0.1*u.width
			if step > 0 {
				next = at[i] - errors[i]*(at[i]-before[i])/(errors[i]-was[i])
			}
			if reach := 100 * u.width; math.Abs(next-at[i]) > reach {
				next = at[i] + math.Copysign(reach, next-at[i])
			}
			before[i], was[i], at[i] = at[i], errors[i], next
		}
	}
	return out
}

// residual is how far an answer is from the pipeline's, with its sign: of the
// score that was furthest off at first. NaN where there is none.
func (l *lab) residual(r row, got map[string]any) float64 {
	best, at := -1.0, math.NaN()
	for _, o := range l.outputs {
		want, first, now := o.scores(r.want[o.name]), o.scores(r.got[o.name]), o.scores(got[o.name])
		if len(want) != len(now) {
			continue
		}
		for k := range want {
			off := 0.0
			if len(first) == len(want) {
				off = math.Abs(want[k]-first[k]) / o.report.Scale
			}
			if off > best {
				best, at = off, now[k]-want[k]
			}
		}
	}
	return at
}

// apart is how far the scores of a row are off; infinite where it has none.
func (l *lab) apart(r row) float64 {
	worst, found := 0.0, false
	for _, o := range l.outputs {
		want, got := o.scores(r.want[o.name]), o.scores(r.got[o.name])
		if len(want) == 0 || len(want) != len(got) || o.kind == bundle.KindLabel {
			continue
		}
		found = true
		for k := range want {
			worst = max(worst, math.Abs(want[k]-got[k]))
		}
	}
	if !found {
		return math.Inf(1)
	}
	return worst
}

// columnAffine solves for the values of one column that make rows answer as
// the pipeline did, and looks whether they lie on a line over the values there
// are: then one side scales or centres the column otherwise.
func columnAffine(l *lab) (found []hypothesis) {
	const each = 6 // rows: two make a line, the others are its proof
	var all []unknown
	// Rows that are off by little, because the way is short there, and because
	// the others may lie where a model hardly answers to its inputs.
	nearest := slices.DeleteFunc(slices.Clone(l.failing), func(r row) bool { return !r.natural() || r.got == nil })
	slices.SortStableFunc(nearest, func(a, b row) int { return cmp.Compare(l.apart(a), l.apart(b)) })
	for _, f := range l.numbers()[:min(len(l.numbers()), maxInverted)] {
		taken := 0
		for _, r := range nearest {
			if x, ok := f.number(r.input); ok && taken < each && f.in.Type.IsFloat() {
				all, taken = append(all, unknown{f, r, x, f.stats.std}), taken+1
			}
		}
	}
	x, y := map[*feature][]float64{}, map[*feature][]float64{}
	for i, v := range l.solve(all) {
		if f := all[i].f; v == v {
			x[f], y[f] = append(x[f], all[i].at), append(y[f], v)
		}
	}
	for _, f := range l.numbers() {
		if len(x[f]) < 4 {
			continue
		}
		a, b := straight(x[f], y[f])
		off := 0.0
		for i := range x[f] {
			off = max(off, math.Abs(a*x[f][i]+b-y[f][i]))
		}
		if off <= 1e-3*f.stats.std*max(1, math.Abs(a)) && math.Abs(a) > 1e-9 {
			found = append(found, f.affine(a, b))
		}
	}
	return found
}

// affine says what a line through the values means.
func (f *feature) affine(a, b float64) hypothesis {
	s := f.stats
	near := func(x, y float64) bool { return math.Abs(x-y) <= 0.1*math.Abs(y) }
	h := hypothesis{columns: []string{f.name}, rough: true, over: []*feature{f}, edit: converted([]*feature{f}, func(_ *feature, x float64) float64 { return a*x + b })}
	what := "Column " + quoted(h.columns) + " looks "
	switch {
	case math.Abs(a-1) < 1e-6:
		h.code, h.says = "column-shifted", fmt.Sprintf("%sshifted (its mean is %.6g): with %.6g added,", what, s.mean, b)
	case math.Abs(b) < 1e-6*s.std*max(1, math.Abs(a)):
		h.code, h.says = "column-unit", fmt.Sprintf("%sgiven in another unit: multiplied by %.6g,", what, a)
	case near(a, s.std) && math.Abs(b-s.mean) <= 0.1*s.std*max(1, s.std):
		h.code, h.says = "column-scaled-twice", fmt.Sprintf("%sstandardised twice: with one undone,", what)
	case near(1/a, s.std) && math.Abs(-b/a-s.mean) <= 0.2*s.std:
		h.code, h.says = "column-not-scaled", fmt.Sprintf("%snot standardised: standardised beforehand,", what)
	default:
		h.code, h.says = "column-scaled", fmt.Sprintf("%sscaled by other data: multiplied by %.6g, and %.6g added,", what, a, b)
	}
	return h
}

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
			for _, c := range known[1:min(len(known), maxValues)] {
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

// treeLost looks whether answers are off by a few amounts only, as by the
// leaves of one tree, while they themselves are many.
func treeLost(l *lab) (found []hypothesis) {
	const trees = 500 // tried as the number of trees in a mean
	for _, o := range l.outputsOf(bundle.KindValue, bundle.KindProbabilities) {
		all := slices.DeleteFunc(l.scored(o), func(s scored) bool { return !s.row.failed })
		if len(all) < 20 || len(all[0].want) == 0 {
			continue
		}
		if h, ok := l.fewAmounts(o, all, func(w, g float64) float64 { return w - g }); ok {
			found = append(found, h)
			continue
		}
		if o.kind != bundle.KindValue {
			continue
		}
		for n := 2.0; n <= trees; n++ {
			if h, ok := l.fewAmounts(o, all, func(w, g float64) float64 { return w*n - g*(n-1) }); ok {
				found = append(found, h)
				break
			}
		}
	}
	return found
}

func (l *lab) fewAmounts(o *output, all []scored, apart func(want, got float64) float64) (hypothesis, bool) {
	var differences, wants []float64
	for _, s := range all {
		differences, wants = append(differences, apart(s.want[0], s.got[0])), append(wants, s.want[0])
	}
	few, many := amounts(differences), amounts(wants)
	if few > 64 || 5*few > len(all) || 4*few > many {
		return hypothesis{}, false
	}
	return hypothesis{
		code: "tree-lost", explains: len(all), of: len(all), ends: "differing rows are off by one of them",
		says: fmt.Sprintf("A tree looks lost, or there twice: the output %q is off by only %d amounts%s, as many as a tree has leaves, and", o.name, few, o.unitOfScores()),
	}, true
}

// amounts counts the distinct values, up to rounding.
func amounts(values []float64) int {
	sorted := slices.Sorted(slices.Values(values))
	most := math.Abs(largestOf(sorted))
	n := 0
	for i, v := range sorted {
		if i == 0 || v-sorted[i-1] > 1e-9*most {
			n++
		}
	}
	return n
}

// whereMissing says that only rows differ that lack some column.
func whereMissing(l *lab) []hypothesis {
	var columns []string
	some := map[*feature]bool{}
	for _, f := range l.features {
		gone, wrong := 0, 0
		for _, r := range l.rows {
			if f.of(r.input) == nil {
				gone++
				if r.failed {
					wrong++
				}
			}
		}
		if wrong >= 2 && float64(wrong) >= 0.5*float64(gone) {
			some[f], columns = true, append(columns, f.name)
		}
	}
	lacks := func(r row) bool { return slices.ContainsFunc(l.missing(r), func(f *feature) bool { return some[f] }) }
	says := fmt.Sprintf("Only rows in which %s is missing look wrong:", quoted(columns))
	return l.where(hypothesis{code: "missing-differs", columns: columns, says: says, ends: "differing rows lack it"}, lacks)
}

// whereCategory says that only rows differ that hold a category.
func whereCategory(l *lab) (found []hypothesis) {
	for _, f := range l.texts() {
		wrong := map[string]int{}
		for _, r := range l.rows {
			if c, ok := f.text(r.input); ok && r.failed {
				wrong[c]++
			}
		}
		for _, c := range ranked(wrong)[:min(len(wrong), 1)] {
			h := hypothesis{code: "category-differs", columns: []string{f.name}, ends: "differing rows hold it"}
			h.says = fmt.Sprintf("Only rows with %q in column %s look wrong:", clip(c), quoted(h.columns))
			found = append(found, l.where(h, func(r row) bool { v, ok := f.text(r.input); return ok && v == c })...)
		}
	}
	return found
}

// where is a hypothesis on a place: nearly all that differ are in it, and most
// in it differ, though it is not everywhere.
func (l *lab) where(h hypothesis, in func(row) bool) []hypothesis {
	inside := 0
	for _, r := range l.rows {
		if in(r) {
			inside++
			if r.failed {
				h.explains++
			}
		}
		if r.failed {
			h.of++
		}
	}
	base := float64(inside) / float64(len(l.rows)) // how often a row is in it by accident
	if float64(h.explains) < leastShare*float64(h.of) || 2*h.explains < inside || base > 0.7 ||
		float64(h.explains)*math.Log(max(base, 0.01)) > math.Log(1e-6) {
		return nil
	}
	return []hypothesis{h}
}
