package parity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Hypotheses on which category is taken for which.

// unseenText is a category that no training data holds.
const unseenText = "tenon: unseen"

// Bounds of the searches over values.
const (
	maxChoices  = 24 // categories of a column
	maxSearched = 8  // columns
)

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
		out, changed := copied(input), false
		for _, f := range features {
			c, ok := f.text(out)
			if !ok {
				continue
			}
			to, ok := next[f][c]
			if !ok && unseen {
				to, ok = next[f][unseenText], true
			}
			if ok {
				changed = f.put(out, f.category(to)) || changed
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
	if f.in.Type == tensor.Bool {
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
		if len(out) >= maxChoices {
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
		base := float64(count(l.likeUnseen(f, l.right))) / float64(max(len(l.right), 1))
		if byAccident(h.explains, base) || 2*len(lost) > len(f.stats.categories) {
			continue // so many answer alike where the column hardly matters
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
		if c, ok := f.text(r.input); ok && slices.Contains(f.stats.categories, c) && f.in.Type == tensor.String {
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

// categoryValues are the most frequent categories in the column's type.
func (f *feature) categoryValues(most int) []any {
	var out []any
	for _, c := range f.stats.categories[:min(len(f.stats.categories), most)] {
		out = append(out, f.category(c))
	}
	return out
}
