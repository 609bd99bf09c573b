package parity

import (
	"fmt"
	"math"
	"slices"
)

// Hypotheses on where rows differ, for when nobody knows why.

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
	lacks := func(r row) bool { return slices.ContainsFunc(r.lacks, func(f *feature) bool { return some[f] }) }
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

// byAccident is whether so many rows may all be what a share of rows are
// anyway, at one in a million.
func byAccident(explains int, base float64) bool {
	return float64(explains)*math.Log(max(base, 0.01)) > math.Log(1e-6)
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
	if float64(h.explains) < leastShare*float64(h.of) || 2*h.explains < inside || base > 0.7 || byAccident(h.explains, base) {
		return nil
	}
	return []hypothesis{h}
}
