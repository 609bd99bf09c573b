package parity

import (
	"encoding/json"
	"fmt"
	"math"
)

// The hypothesis of a column that is not used.

// inputIgnored looks for columns that answers do not depend on, and for golden
// rows that differ in nothing else, for which the pipeline's answers do.
func inputIgnored(l *lab) (found []hypothesis) {
	for _, f := range l.features[:min(len(l.features), 200)] {
		if l.spent() {
			return nil // nobody knows what the others would say
		}
		if !l.dead(f) {
			continue
		}
		h := hypothesis{code: "input-ignored", columns: []string{f.name}, ends: "pairs of rows that differ only there have one answer here, and two from the pipeline"}
		h.says = fmt.Sprintf("Column %s looks ignored: changing it changes no answer, and", quoted(h.columns))
		h.explains, h.of = l.twins(f)
		if h.explains >= 3 && float64(h.explains) >= leastShare*float64(h.of) {
			found = append(found, h)
		}
	}
	if 2*len(found) > len(l.features) {
		return nil // the model is rather beyond its range, and answers everything alike
	}
	return found
}

// dead is whether no other value of a column changes an answer.
func (l *lab) dead(f *feature) bool {
	var inputs []map[string]any
	var of []row
	for _, r := range spread(l.rows, 8) {
		for _, v := range f.others() {
			if input, ok := f.with(r.input, v); ok {
				inputs, of = append(inputs, input), append(of, r)
			}
		}
	}
	for i, got := range l.ask(inputs) {
		if !l.same(of[i].got, got) {
			return false
		}
	}
	return len(inputs) > 0
}

// others are values of a column that are far from each other.
func (f *feature) others() []any {
	if f.isNumber() {
		return []any{math.Floor(f.stats.low), math.Ceil(f.stats.high), math.Round(f.stats.mean)}
	}
	return f.categoryValues(3)
}

// blank takes a value's place when rows are compared but for it; no JSON text
// of a request holds it.
const blank = "\x00"

// twins counts pairs of rows that differ in one column only: of those with two
// answers from the pipeline, how many have one here.
func (l *lab) twins(f *feature) (one, of int) {
	firsts := map[string]row{}
	for _, r := range l.rows {
		others, ok := f.with(r.input, blank)
		key, err := json.Marshal(others)
		if !ok || err != nil {
			continue
		}
		before, ok := firsts[string(key)]
		switch {
		case !ok:
			firsts[string(key)] = r
		case l.same(before.want, r.want): // the pipeline sees no difference here
		case l.same(before.got, r.got):
			one++
			of++
		default:
			of++
		}
	}
	return one, of
}
