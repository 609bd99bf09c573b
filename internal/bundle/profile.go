package bundle

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// remedyExport is what to do about a file that the kit writes and nobody edits.
const remedyExport = "export the bundle again with the kit"

// maxBins and maxCategories bound one input's profile: the kit writes 20 and 100.
const (
	maxBins       = 1000
	maxCategories = 10_000
)

// Profile is the distribution of the training data. It is kept as the JSON
// object it came as, and what it says is checked: counts, edges and names.
type Profile struct{ Raw json.RawMessage }

// ParseProfile checks profile.json inside itself and against the signature,
// which is nil for a bare model. What it does not know it lets pass, and what
// an older kit did not write may be absent; but what is there must be true of
// some training frame, because drift is measured against it.
func ParseProfile(data []byte, s *Signature) (*Profile, error) {
	f := &findings{file: ProfileFile, remedy: remedyExport}
	root, ok := parseObject(data, f)
	if !ok {
		return nil, f.err()
	}
	p := profile{found: f}
	p.rows, p.counted = root.count("rows"), root.members["rows"] != nil
	if inputs, ok := root.object("inputs", optional); ok {
		p.inputs(inputs, s)
	}
	if outputs, ok := root.object("outputs", optional); ok {
		p.outputs(outputs, s)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return &Profile{Raw: data}, nil
}

// profile is one check.
type profile struct {
	found   *findings
	rows    int64
	counted bool // whether the file says how many rows there were
}

func (p *profile) inputs(members node, s *Signature) {
	known := inputsOf(s)
	for _, name := range members.names() {
		n, ok := members.object(name, required)
		if !ok {
			continue
		}
		in := known[name]
		switch {
		case known == nil:
			p.values(n, tensor.Invalid, 0)
		case in == nil:
			p.found.add(n.path, "name", "the signature has no input %s", quote(name))
		default:
			p.values(n, in.Type, width(in.Shape))
		}
	}
}

func (p *profile) outputs(members node, s *Signature) {
	known := map[string]*Output{}
	if s != nil {
		for i := range s.Outputs {
			known[s.Outputs[i].Name] = &s.Outputs[i]
		}
	}
	for _, name := range members.names() {
		n, ok := members.object(name, required)
		if !ok {
			continue
		}
		out := known[name]
		switch {
		case s == nil:
			p.values(n, tensor.Invalid, 0)
		case out == nil:
			p.found.add(n.path, "name", "the signature has no output %s", quote(name))
		case out.Kind == KindProbabilities:
			p.probabilities(n, out)
		case out.Kind == KindLabel:
			p.values(n, tensor.Invalid, width(out.Shape))
			p.labels(n, out, known)
		default:
			p.values(n, out.Type, width(out.Shape))
		}
	}
}

// labels holds the texts of a label to the classes that its probabilities have.
func (p *profile) labels(n node, out *Output, known map[string]*Output) {
	shown := known[strings.Replace(out.Name, string(KindLabel), string(KindProbabilities), 1)]
	if out.Type != tensor.String || shown == nil || shown.Kind != KindProbabilities || len(shown.Classes) == 0 {
		return
	}
	classes := shown.ClassKeys()
	for i, v := range n.list("categories", optional) {
		members, _ := v.(map[string]any)
		if value, ok := members["value"].(string); ok && !slices.Contains(classes, value) {
			p.found.add(fmt.Sprintf("%s[%d].value", n.at("categories"), i), "name",
				"%s is no class of the signature's output %s", quote(value), quote(shown.Name))
		}
	}
}

// width is how many values a row has; 0 where nobody can say.
func width(shape []int64) int64 {
	product := int64(1)
	for _, d := range shape {
		if d < 0 {
			return 0
		}
		product *= d
	}
	return product
}

// values checks the profile of one column, or of all elements of an array.
func (p *profile) values(n node, t tensor.Type, width int64) {
	kind := n.text("kind", optional)
	if unseen := n.count("unseen"); p.counted && width > 0 && unseen > p.rows*width {
		p.found.add(n.at("unseen"), "count", "%d unseen values are more than the training frame's %d", unseen, p.rows*width)
	}
	text := t == tensor.String || t == tensor.Bool
	switch kind {
	case "array":
		p.array(n, t, width)
	case "numeric":
		if text {
			p.found.add(n.at("kind"), "type", "a %s has categories, and this says numeric", t)
			return
		}
		p.numeric(n, width)
	case "categorical":
		if t != tensor.Invalid && !text {
			p.found.add(n.at("kind"), "type", "a %s has bins, and this says categorical", t)
			return
		}
		p.categorical(n, width)
	}
}

func (p *profile) array(n node, t tensor.Type, width int64) {
	elements := n.list("elements", required)
	if width > 0 && int64(len(elements)) != width {
		p.found.add(n.at("elements"), "count", "a row has %d elements, and %d are described", width, len(elements))
		return
	}
	for i, v := range elements {
		path := fmt.Sprintf("%s[%d]", n.at("elements"), i)
		members, ok := v.(map[string]any)
		if !ok {
			p.found.add(path, "type", "expected an object, got %s", kindOf(v))
			continue
		}
		p.values(node{path: path, members: members, found: p.found}, t, 1)
	}
}

func (p *profile) probabilities(n node, out *Output) {
	if n.text("kind", optional) != "probabilities" {
		return // of a later kit
	}
	classes, ok := n.object("classes", required)
	if !ok {
		return
	}
	known := map[string]bool{}
	for _, key := range out.ClassKeys() {
		known[key] = true
		if one, ok := classes.object(key, required); ok {
			p.values(one, tensor.Float64, 1)
		}
	}
	for _, key := range classes.names() {
		if !known[key] {
			p.found.add(classes.at(key), "name", "the signature's output %s has no class %s", quote(out.Name), quote(key))
		}
	}
}

// numeric checks bins: rising finite edges, a count for each bin, and the sum.
func (p *profile) numeric(n node, width int64) {
	edges, counts := n.numbers("edges"), n.list("counts", optional)
	for i, e := range edges {
		if i > 0 && !(edges[i-1] < e) {
			p.found.add(fmt.Sprintf("%s[%d]", n.at("edges"), i), "order", "%g does not rise above %g", e, edges[i-1])
			return
		}
	}
	if len(counts) > maxBins {
		p.found.add(n.at("counts"), "limit", "%d bins are more than %d", len(counts), maxBins)
		return
	}
	if counts == nil {
		return // of an earlier kit, or of a later one
	}
	if len(counts) != len(edges)+1 {
		p.found.add(n.at("counts"), "count", "%d edges make %d bins, and %d are counted", len(edges), len(edges)+1, len(counts))
		return
	}
	total := n.count("missing") + n.count("non_finite")
	for i, v := range counts {
		total += p.counts(v, fmt.Sprintf("%s[%d]", n.at("counts"), i))
	}
	p.total(n, total, width)
	p.ends(n, edges)
}

// ends checks that the edges and the mean lie between the ends.
func (p *profile) ends(n node, edges []float64) {
	low, high, mean := n.number("min"), n.number("max"), n.number("mean")
	if low == nil || high == nil {
		return
	}
	outside := *low > *high
	if len(edges) > 0 {
		outside = outside || edges[0] < *low || edges[len(edges)-1] > *high
	}
	if mean != nil { // a mean is rounded, so that of equal numbers may be off by a little
		slack := 1e-9 * math.Max(math.Abs(*low), math.Abs(*high))
		outside = outside || *mean < *low-slack || *mean > *high+slack
	}
	if outside {
		p.found.add(n.path, "order", "min, edges, mean and max do not agree: the edges and the mean lie between the ends")
	}
}

// categorical checks the counts of categories, which differ and fall.
func (p *profile) categorical(n node, width int64) {
	list := n.list("categories", optional)
	if list == nil {
		return
	}
	if len(list) > maxCategories {
		p.found.add(n.at("categories"), "limit", "%d categories are more than %d", len(list), maxCategories)
		return
	}
	other := n.count("other")
	total, last, seen := n.count("missing")+other, int64(math.MaxInt64), map[string]bool{}
	for i, v := range list {
		path := fmt.Sprintf("%s[%d]", n.at("categories"), i)
		members, ok := v.(map[string]any)
		if !ok {
			p.found.add(path, "type", "expected an object, got %s", kindOf(v))
			return
		}
		one := node{path: path, members: members, found: p.found}
		value, count := one.text("value", required), one.count("count")
		if seen[value] {
			p.found.add(one.at("value"), "order", "%s is counted twice", quote(value))
		}
		if count > last {
			p.found.add(one.at("count"), "order", "%d is more than the category before it has", count)
		}
		seen[value], last, total = true, count, total+count
	}
	p.total(n, total, width)
	if n.members["distinct"] == nil {
		return
	}
	if distinct := n.count("distinct"); distinct < int64(len(list)) || distinct == int64(len(list)) && other > 0 {
		p.found.add(n.at("distinct"), "count", "%d distinct values do not go with %d categories and %d others",
			distinct, len(list), other)
	}
}

// total holds a sum of counts to the rows, of which one profile over all
// elements of an array has that many times as many.
func (p *profile) total(n node, total, width int64) {
	if !p.counted || width == 0 {
		return
	}
	if want := p.rows * width; total != want {
		p.found.add(n.path, "count", "its counts make %d, and the training frame has %d", total, want)
	}
}

// maxCount is more rows than anybody trains on, and so little that sums of
// counts do not run over.
const maxCount = 1 << 53

func (p *profile) counts(v any, path string) int64 {
	i, ok := asInteger(v)
	if !ok || i < 0 || i > maxCount {
		p.found.add(path, "count", "expected a count, got %s", kindOf(v))
		return 0
	}
	return i
}

// numbers reads a list of finite numbers.
func (n node) numbers(key string) []float64 {
	list := n.list(key, optional)
	out := make([]float64, 0, len(list))
	for i, v := range list {
		number, _ := v.(json.Number)
		x, err := number.Float64()
		if err != nil {
			n.found.add(fmt.Sprintf("%s[%d]", n.at(key), i), "type", "expected a finite number, got %s", kindOf(v))
			return nil
		}
		out = append(out, x)
	}
	return out
}
