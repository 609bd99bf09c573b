package parity

import (
	"fmt"
	"math"
	"strings"
)

// Hypotheses on what stands for a missing value.

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
			if r.failed && len(r.lacks) == 1 && r.lacks[0] == f && len(lacking) < 3 {
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
		out, changed := copied(input), false
		for _, f := range features {
			if v, ok := fills[f]; ok && f.of(out) == nil {
				changed = f.put(out, v) || changed
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
		for _, x := range f.stats.points[:min(len(f.stats.points), maxChoices+4)] {
			if _, ok := f.fit(x); ok {
				candidates = append(candidates, x)
			}
		}
	} else {
		candidates = f.categoryValues(maxChoices)
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
