package parity

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Hypotheses on single values: what stands for a missing one, and which
// category is taken for which.

// unseenText is a category that no training data holds.
const unseenText = "tenon: unseen"

// Bounds of the searches over values.
const (
	maxValues   = 24 // categories of a column
	maxSearched = 8  // columns
)

// missing are the columns that a row lacks.
func (l *lab) missing(r row) (out []*feature) {
	for _, f := range l.features {
		if f.of(r.input) == nil {
			out = append(out, f)
		}
	}
	return out
}

// filled looks for the constant that the pipeline has in place of a missing
// value: with it in the row, the answers are the pipeline's.
func filled(l *lab) []hypothesis {
	fills, dropped := map[*feature]any{}, 0
	for _, f := range l.features {
		var lacking []row
		for _, r := range l.rows {
			if m := l.missing(r); r.failed && len(m) == 1 && m[0] == f && len(lacking) < 3 {
				lacking = append(lacking, r)
			}
		}
		if len(lacking) == 0 {
			continue
		}
		v, ok := l.filling(f, lacking)
		if !ok {
			continue
		}
		fills[f] = v
		if !l.fillsItself(f, lacking) {
			dropped++
		}
	}
	if len(fills) == 0 {
		return nil
	}
	var columns, with []string
	for _, f := range l.features {
		if v, ok := fills[f]; ok {
			columns, with = append(columns, f.name), append(with, fmt.Sprintf("%s in %q", clip(fmt.Sprint(v)), clip(f.name)))
		}
	}
	h := hypothesis{code: "imputed-otherwise", columns: columns, edit: fill(l.features, fills)}
	h.says = fmt.Sprintf("Missing values of %s look filled otherwise: with %s in their place,", quoted(columns), strings.Join(with[:min(len(with), 3)], ", "))
	if 2*dropped > len(fills) {
		h.code = "imputer-dropped"
		h.says = fmt.Sprintf("Missing values of %s look left as they are, without an imputer: with %s in their place,", quoted(columns), strings.Join(with[:min(len(with), 3)], ", "))
	}
	return []hypothesis{h}
}

func fill(features []*feature, fills map[*feature]any) func(map[string]any) (map[string]any, bool) {
	return func(input map[string]any) (map[string]any, bool) {
		out, changed := input, false
		for _, f := range features {
			v, ok := fills[f]
			if !ok || f.of(out) != nil {
				continue
			}
			if next, ok := f.with(out, v); ok {
				out, changed = next, true
			}
		}
		return out, changed
	}
}

// filling is a value that makes all rows answer as the pipeline did.
func (l *lab) filling(f *feature, rows []row) (any, bool) {
	candidates, answers := l.variants(f, rows)
	best, least := -1, math.Inf(1)
	for i := range candidates {
		worst, all := 0.0, true
		for j, r := range rows {
			got := answers[i][j]
			all = all && l.explained(r, got)
			if got == nil {
				worst = math.Inf(1)
			} else {
				worst = max(worst, l.gap(r, got))
			}
		}
		if all {
			return candidates[i], true
		}
		if worst < least {
			best, least = i, worst
		}
	}
	start, ok := any(nil), best >= 0
	if ok {
		start = candidates[best]
	}
	x, isNumber := start.(float64)
	if !isNumber {
		return nil, false
	}
	if at := l.solve([]unknown{{f: f, row: rows[0], at: x, width: f.stats.std}})[0]; at == at {
		return at, true
	}
	return nil, false
}

// fillsItself is whether this server, too, has some ordinary constant in place
// of a missing value.
func (l *lab) fillsItself(f *feature, rows []row) bool {
	candidates, answers := l.variants(f, rows)
	for i, v := range candidates {
		if x, ok := v.(float64); ok && (x < f.stats.low || x > f.stats.high) {
			continue
		}
		same := true
		for j, r := range rows {
			same = same && l.same(r.got, answers[i][j])
		}
		if same {
			return true
		}
	}
	x, ok := f.stats.mean, f.isNumber()
	if !ok || rows[0].got == nil {
		return false
	}
	as := rows[0]
	as.want = as.got
	at := l.solve([]unknown{{f: f, row: as, at: x, width: f.stats.std}})[0]
	return at == at && at >= f.stats.low && at <= f.stats.high
}

// variants asks for rows with every likely value of a column.
func (l *lab) variants(f *feature, rows []row) (candidates []any, answers [][]map[string]any) {
	if f.isNumber() {
		for _, x := range f.stats.points[:min(len(f.stats.points), maxValues+4)] {
			if _, ok := f.fit(x); ok {
				candidates = append(candidates, x)
			}
		}
	} else {
		candidates = f.categoryValues(maxValues)
	}
	var inputs []map[string]any
	for _, v := range candidates {
		for _, r := range rows {
			input, ok := f.with(r.input, v)
			if !ok {
				input = r.input // it is that already
			}
			inputs = append(inputs, input)
		}
	}
	got := l.ask(inputs)
	for i := range candidates {
		answers = append(answers, got[i*len(rows):(i+1)*len(rows)])
	}
	return candidates, answers
}

// categoriesMapped looks for categories that stand for others: lists that are
// shifted by one, in a column or in all, and any map within one column.
func categoriesMapped(l *lab) (found []hypothesis) {
	texts := l.texts()
	groups := [][]*feature{}
	for _, f := range texts {
		groups = append(groups, []*feature{f})
	}
	if len(texts) > 1 {
		groups = append(groups, texts)
	}
	for _, g := range groups {
		for _, by := range []int{-1, 1} {
			for _, unseen := range []bool{true, false} {
				found = append(found, hypothesis{
					code: "categories-permuted", columns: names(g), edit: rolled(g, by, unseen),
					says: fmt.Sprintf("Categories of %s look shifted by one place in their list: shifted back,", quoted(names(g))),
				})
			}
		}
	}
	for _, f := range texts[:min(len(texts), maxSearched)] {
		meant := l.meant(f)
		if len(meant) == 0 {
			continue
		}
		found = append(found, hypothesis{
			code: "categories-permuted", columns: []string{f.name}, edit: mapped(f, meant),
			says: fmt.Sprintf("Categories of %s look exchanged (%s): exchanged back,", quoted([]string{f.name}), pairs(meant)),
		})
	}
	return found
}

// rolled replaces each category by its neighbour in the sorted list, which may
// end in what stands for unseen ones.
func rolled(features []*feature, by int, unseen bool) func(map[string]any) (map[string]any, bool) {
	next := map[*feature]map[string]string{}
	for _, f := range features {
		list := slices.Sorted(slices.Values(f.known()))
		if unseen {
			list = append(list, unseenText)
		}
		next[f] = map[string]string{}
		for i, c := range list {
			next[f][c] = list[(i+by+len(list))%len(list)]
		}
	}
	return func(input map[string]any) (map[string]any, bool) {
		out, changed := input, false
		for _, f := range features {
			c, ok := f.text(out)
			if !ok {
				continue
			}
			to, ok := next[f][c]
			if !ok && unseen {
				to, ok = next[f][unseenText], true
			}
			if with, done := f.with(out, f.category(to)); ok && done {
				out, changed = with, true
			}
		}
		return out, changed
	}
}

func mapped(f *feature, meant map[string]string) func(map[string]any) (map[string]any, bool) {
	return func(input map[string]any) (map[string]any, bool) {
		c, _ := f.text(input)
		to, ok := meant[c]
		if !ok {
			return nil, false
		}
		return f.with(input, f.category(to))
	}
}

// known are the categories of training, as far as they are told.
func (f *feature) known() []string {
	if len(f.in.Domain) == 0 {
		return f.stats.categories
	}
	out := make([]string, len(f.in.Domain))
	for i, c := range f.in.Domain {
		out[i] = c.Key()
	}
	return out
}

// category is a category in the column's type.
func (f *feature) category(name string) any {
	if f.in.Type.String() == "bool" {
		return name == "true"
	}
	return name
}

// meant finds for each category of differing rows another, with which they
// answer as the pipeline did.
func (l *lab) meant(f *feature) map[string]string {
	of := map[string][]row{}
	for _, r := range l.rows {
		if c, ok := f.text(r.input); r.failed && ok && len(of[c]) < 2 && slices.Contains(f.stats.categories, c) {
			of[c] = append(of[c], r)
		}
	}
	out := map[string]string{}
	for _, c := range sortedKeys(of) {
		if len(out) >= maxValues {
			break
		}
		candidates, answers := l.variants(f, of[c])
		for i, v := range candidates {
			to := fmt.Sprint(v)
			good := to != c
			for j, r := range of[c] {
				good = good && l.explained(r, answers[i][j])
			}
			if good {
				out[c] = to
				break
			}
		}
	}
	return out
}

// categoryLost looks for categories that are answered like unseen ones.
func categoryLost(l *lab) (found []hypothesis) {
	for _, f := range l.texts() {
		lost := map[string]bool{}
		h := hypothesis{code: "category-lost", of: len(l.failing), ends: "differing rows hold it and are answered so"}
		for i, alike := range l.likeUnseen(f, l.failing) {
			if c, _ := f.text(l.failing[i].input); alike {
				lost[c] = true
				h.explains++
			}
		}
		if !l.convinces(h) {
			continue
		}
		indifferent := 0
		for _, alike := range l.likeUnseen(f, l.right) {
			if alike {
				indifferent++
			}
		}
		if 2*indifferent > len(l.right) || len(lost) > len(f.stats.categories)/2+1 {
			continue // the column hardly matters, so that says nothing
		}
		h.columns = []string{f.name}
		h.says = fmt.Sprintf("Column %s: %s looks answered like a category that training has not seen:", quoted(h.columns), quoted(sortedKeys(lost)))
		found = append(found, h)
	}
	return found
}

// likeUnseen says of each row whether its known category is answered as an unseen one.
func (l *lab) likeUnseen(f *feature, rows []row) []bool {
	out := make([]bool, len(rows))
	var inputs []map[string]any
	var at []int
	for i, r := range rows {
		if c, ok := f.text(r.input); ok && slices.Contains(f.stats.categories, c) && f.in.Type.String() == "string" {
			input, _ := f.with(r.input, unseenText)
			inputs, at = append(inputs, input), append(at, i)
		}
	}
	for k, got := range l.ask(inputs) {
		out[at[k]] = l.same(rows[at[k]].got, got)
	}
	return out
}

// unseenKnown looks for unseen values that are answered as a known category:
// always the same, or the one that they are but for case and space.
func unseenKnown(l *lab) []hypothesis {
	h := hypothesis{code: "unseen-as-category", of: len(l.failing), ends: "differing rows are answered so"}
	var said []string
	for _, f := range l.texts() {
		var unseen []row
		for _, r := range l.failing {
			if c, ok := f.text(r.input); ok && !slices.Contains(f.stats.categories, c) {
				unseen = append(unseen, r)
			}
		}
		if len(unseen) == 0 {
			continue
		}
		as, n := l.answeredAs(f, unseen)
		if n > 0 {
			h.explains += n
			h.columns = append(h.columns, f.name)
			said = append(said, fmt.Sprintf("of %q as %s", clip(f.name), as))
		}
	}
	if len(said) == 0 || !l.convinces(h) {
		return nil
	}
	h.says = fmt.Sprintf("Values that training has not seen look answered like known ones (%s):", strings.Join(said[:min(len(said), 3)], ", "))
	return []hypothesis{h}
}

// answeredAs is the category as which most rows are answered, and how many are
// answered as that or as their own but for case and space.
func (l *lab) answeredAs(f *feature, rows []row) (as string, n int) {
	candidates, answers := l.variants(f, rows)
	alike := make([][]bool, len(candidates))
	best, most := -1, 0
	for i := range candidates {
		alike[i] = make([]bool, len(rows))
		for j, r := range rows {
			alike[i][j] = l.same(r.got, answers[i][j])
		}
		if c := count(alike[i]); c > most && c < len(candidates)*len(rows) {
			best, most = i, c
		}
	}
	for j, r := range rows {
		c, _ := f.text(r.input)
		ok, every := best >= 0 && alike[best][j] && 2*most > len(rows), true
		for i, v := range candidates {
			folded := strings.EqualFold(strings.TrimSpace(c), fmt.Sprint(v))
			ok = ok || folded && alike[i][j]
			every = every && alike[i][j]
		}
		if ok && !(every && len(candidates) > 1) { // where all answer alike, the column does not matter
			n++
		}
	}
	if best >= 0 && 2*most > len(rows) {
		return fmt.Sprintf("%q", clip(fmt.Sprint(candidates[best]))), n
	}
	return "the known one without its case and space", n
}
