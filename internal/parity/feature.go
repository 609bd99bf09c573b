package parity

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// feature is one scalar that requests hold: an input, or an element of one.
type feature struct {
	in      *bundle.Input
	element int // -1 for an input of one value
	name    string
	stats   stats
}

// featuresOf lists the scalars of a signature: inputs of one value, and the
// elements of arrays in one dimension.
func featuresOf(s *bundle.Signature, rows []row) []*feature {
	var out []*feature
	for i := range s.Inputs {
		in := &s.Inputs[i]
		if len(in.Shape) == 0 {
			out = append(out, &feature{in: in, element: -1, name: in.Name})
			continue
		}
		if len(rows) == 0 || len(in.Shape) > 1 {
			continue
		}
		list, _ := rows[0].input[in.Name].([]any)
		for j := range list {
			out = append(out, &feature{in: in, element: j, name: in.Name + "[" + strconv.Itoa(j) + "]"})
		}
	}
	return out
}

func (f *feature) isNumber() bool { return f.in.Type.IsFloat() || f.in.Type.IsInteger() }

// of is the value in a record.
func (f *feature) of(input map[string]any) any {
	v := input[f.in.Name]
	if f.element < 0 {
		return v
	}
	if list, ok := v.([]any); ok && f.element < len(list) {
		return list[f.element]
	}
	return nil
}

// number is the value in a record, if it is a finite number.
func (f *feature) number(input map[string]any) (float64, bool) {
	v := f.of(input)
	if f64, ok := v.(float64); ok { // an edit of an edit
		return f64, true
	}
	if v == nil || !f.isNumber() {
		return 0, false
	}
	n, ok := number(v, f.in.Type)
	return n, ok && !math.IsInf(n, 0) && n == n
}

// text is the value in a record as the name of a category.
func (f *feature) text(input map[string]any) (string, bool) {
	switch v := f.of(input).(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// with is a copy of the record with another value. false: the type does not
// hold it, or it is the value that is there.
func (f *feature) with(input map[string]any, v any) (map[string]any, bool) {
	out := copied(input)
	return out, f.put(out, v)
}

// copied is a record that put may change.
func copied(input map[string]any) map[string]any {
	out := maps.Clone(input)
	for name, v := range out {
		if list, ok := v.([]any); ok {
			out[name] = slices.Clone(list)
		}
	}
	return out
}

// put writes a value into a copied record. false: the type does not hold it,
// or it is the value that is there.
func (f *feature) put(out map[string]any, v any) bool {
	if x, ok := v.(float64); ok {
		if v, ok = f.fit(x); !ok {
			return false
		}
	}
	if v == f.of(out) {
		return false
	}
	if f.element < 0 {
		out[f.in.Name] = v
		return true
	}
	list, ok := out[f.in.Name].([]any)
	if !ok || f.element >= len(list) {
		return false
	}
	list[f.element] = v
	return true
}

// fit writes a number as the feature's type.
func (f *feature) fit(x float64) (any, bool) {
	switch t := f.in.Type; {
	case math.IsInf(x, 0) || x != x:
		return nil, false
	case t == tensor.Float32 || t == tensor.Float16:
		if x = float64(float32(x)); math.IsInf(x, 0) {
			return nil, false
		}
	case t.IsInteger():
		if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			return nil, false
		}
	}
	return json.Number(strconv.FormatFloat(x, 'g', -1, 64)), true
}

// stats say how a feature is distributed: by the profile where the bundle has
// one, else by the golden rows.
type stats struct {
	mean, std  float64
	points     []float64 // values worth trying for a missing one, the likeliest first
	low, high  float64   // where nine of ten values lie
	categories []string  // the most frequent first
}

// distribution is what profile.json says of one input or element.
type distribution struct {
	Kind       string         `json:"kind"`
	Mean       *float64       `json:"mean"`
	Std        *float64       `json:"std"`
	Missing    float64        `json:"missing"`
	Counts     []float64      `json:"counts"`
	Min        *float64       `json:"min"`
	Max        *float64       `json:"max"`
	Edges      []float64      `json:"edges"`
	Elements   []distribution `json:"elements"`
	Categories []struct {
		Value string `json:"value"`
	} `json:"categories"`
}

// measure fills the features' stats.
func measure(features []*feature, b *bundle.Bundle, rows []row) {
	var profile struct {
		Inputs map[string]distribution `json:"inputs"`
	}
	if b.Profile != nil {
		_ = json.Unmarshal(b.Profile.Raw, &profile) // a foreign profile is no reason to say nothing
	}
	for _, f := range features {
		d := profile.Inputs[f.in.Name]
		if f.element >= 0 {
			if f.element >= len(d.Elements) {
				d = distribution{}
			} else {
				d = d.Elements[f.element]
			}
		}
		f.measure(d, rows)
	}
}

func (f *feature) measure(d distribution, rows []row) {
	var numbers []float64
	counts := map[string]int{}
	for _, r := range rows {
		if !r.natural() {
			continue
		}
		if x, ok := f.number(r.input); ok {
			numbers = append(numbers, x)
		} else if t, ok := f.text(r.input); ok {
			counts[t]++
		}
	}
	f.stats.categories = ranked(counts)
	for _, c := range d.Categories {
		f.stats.categories = append(f.stats.categories, c.Value)
	}
	for _, c := range f.in.Domain {
		f.stats.categories = append(f.stats.categories, c.Key())
	}
	f.stats.categories = distinct(f.stats.categories)
	if len(numbers) == 0 {
		return
	}
	slices.Sort(numbers)
	s := &f.stats
	s.mean, s.std = moments(numbers)
	s.low, s.high = numbers[len(numbers)/20], numbers[len(numbers)-1-len(numbers)/20]
	if d.Mean != nil {
		s.mean = *d.Mean
	}
	if d.Std != nil {
		s.std = *d.Std
	}
	s.points = append(s.points, s.mean, numbers[len(numbers)/2], mode(numbers), 0, -1)
	s.points = append(s.points, d.Edges...)
	for _, end := range []*float64{d.Min, d.Max} {
		if end != nil {
			s.points = append(s.points, *end)
		}
	}
	s.points = distinct(s.points)
	if d.Missing > 0 {
		s.impute(d.Missing/(d.Missing+sum(d.Counts)), numbers[len(numbers)/2])
	}
}

// impute makes mean and deviation those of a column whose missing values, of
// that share, are filled with its median, as they mostly are before a scaler.
func (s *stats) impute(share, median float64) {
	mean := s.mean + share*(median-s.mean)
	s.std = math.Sqrt((1-share)*(s.std*s.std+(s.mean-mean)*(s.mean-mean)) + share*(median-mean)*(median-mean))
	s.mean = mean
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// natural is whether a row is one of the data, not one made to sit on an edge.
func (r row) natural() bool { return natural(r.why) }

func natural(why string) bool { return why == "hold-out" || why == "training" || why == "" }

// onThreshold is whether a row was made to sit on a threshold.
func (r row) onThreshold() bool { return r.why == "boundary" }

func moments(values []float64) (mean, std float64) {
	for _, v := range values {
		mean += v
	}
	mean /= float64(len(values))
	for _, v := range values {
		std += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(std / float64(len(values)))
}

// mode is the most frequent of sorted values, the smallest of several.
func mode(sorted []float64) float64 {
	best, most, run := sorted[0], 0, 0
	for i, v := range sorted {
		if i > 0 && v == sorted[i-1] {
			run++
		} else {
			run = 1
		}
		if run > most {
			best, most = v, run
		}
	}
	return best
}

// ranked are the keys by falling count, ties by name.
func ranked(counts map[string]int) []string {
	keys := sortedKeys(counts)
	slices.SortStableFunc(keys, func(a, b string) int { return counts[b] - counts[a] })
	return keys
}

// distinct keeps the first of equal values.
func distinct[T comparable](values []T) []T {
	seen := map[T]bool{}
	return slices.DeleteFunc(values, func(v T) bool {
		if seen[v] {
			return true
		}
		seen[v] = true
		return false
	})
}
