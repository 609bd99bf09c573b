package bundle

import (
	"bytes"
	"encoding/json"
	"math"
)

// mostBins are those of a profile of one number.
const mostBins = 20

// leastLeaf is what a leaf or a split takes in a bundle at least, in bytes.
const leastLeaf = 2

// ParseCoverage checks golden/coverage.json, which says what the golden rows
// reach, against the signature and the size of the bundle, and returns it in
// compact form. Members that it does not know pass. That there are so many rows
// is seen when they are replayed.
func ParseCoverage(data []byte, s *Signature, size int64) (json.RawMessage, error) {
	f := &findings{file: CoverageFile, remedy: remedyExport}
	root, ok := parseObject(data, f)
	if !ok {
		return nil, f.err()
	}
	rows := min(root.count("rows"), math.MaxInt32) // so that no product overflows
	if inputs, ok := root.object("inputs", optional); ok {
		known := inputsOf(s)
		for _, name := range inputs.names() {
			if known != nil && known[name] == nil {
				f.add(inputs.at(name), "name", "the signature has no input %s", quote(name))
			}
			if input, ok := inputs.object(name, required); ok {
				input.reached(known[name], rows)
			}
		}
	}
	if trees, ok := root.object("trees", optional); ok {
		trees.forest(rows, size)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, refuse("%s is not JSON: %s", CoverageFile, remedyExport).Because(err)
	}
	return compact.Bytes(), nil
}

// reached checks what rows reach of one input; in is nil for a bare model.
func (n node) reached(in *Input, rows int64) {
	if in == nil {
		n.share("categories")
		n.share("bins")
		return
	}
	elements := int64(1)
	for _, d := range in.Shape {
		elements = min(elements*max(d, 1), math.MaxInt32)
	}
	named := !in.Type.IsInteger() && !in.Type.IsFloat()
	n.some("missing", in.Missing == MissingAllowed, "the signature refuses missing values")
	n.some("unseen", named && in.Unknown != UnknownRefuse, "the signature refuses such values, or the input is a number")
	if seen, of := n.share("categories"); of > 0 && !named {
		n.found.add(n.at("categories"), "count", "the input is a number: it has bins")
	} else if seen > rows*elements || len(in.Domain) > 0 && of > int64(len(in.Domain)) {
		n.found.add(n.at("categories"), "count", "%d of %d are more than %d rows reach, or than the signature's domain has", seen, of, rows)
	}
	elements = min(elements, maxElements)
	if seen, of := n.share("bins"); of > 0 && named {
		n.found.add(n.at("bins"), "count", "the input is no number: it has categories")
	} else if seen > rows*elements || of > mostBins*elements {
		n.found.add(n.at("bins"), "count", "%d of %d are more than %d rows reach, or than a profile has", seen, of, rows)
	}
}

// maxElements are those of an array input whose bins are counted.
const maxElements = 64

// some checks a flag that may be true only where the signature allows it.
func (n node) some(key string, allowed bool, why string) {
	if n.members[key] != nil && n.flag(key) && !allowed {
		n.found.add(n.at(key), "count", "%s, so no golden row holds one", why)
	}
}

// forest checks the counts of trees: each row reaches one leaf of each.
func (n node) forest(rows, bytes int64) {
	n.within("reached", "leaves")
	n.within("both_sides", "splits")
	trees, leaves := min(n.count("trees"), math.MaxInt32), n.count("leaves")
	if trees > leaves {
		n.found.add(n.at("trees"), "count", "%d trees have %d leaves, and each has one at least", trees, leaves)
	}
	if leaves > bytes/leastLeaf || n.count("splits") > bytes/leastLeaf {
		n.found.add(n.at("leaves"), "count", "a bundle of %d bytes cannot hold so many leaves and splits", bytes)
	} else if reached := n.count("reached"); reached > trees*rows {
		n.found.add(n.at("reached"), "count", "%d rows reach at most %d leaves of %d trees, not %d", rows, trees*rows, trees, reached)
	}
}

// share checks a pair [seen, of] of counts and returns it.
func (n node) share(key string) (seen, of int64) {
	pair := n.list(key, optional)
	if pair == nil {
		return 0, 0
	}
	counts := make([]int64, 0, 2)
	for _, v := range pair {
		if i, ok := asInteger(v); ok && i >= 0 {
			counts = append(counts, i)
		}
	}
	if len(pair) != 2 || len(counts) != 2 || counts[0] > counts[1] {
		n.found.add(n.at(key), "count", "expected [seen, of], two counts of which the first is not the larger")
		return 0, 0
	}
	return counts[0], counts[1]
}

// within checks that one count is not larger than another.
func (n node) within(part, whole string) {
	if some, all := n.count(part), n.count(whole); some > all {
		n.found.add(n.at(part), "count", "%d of %d %s are more than there are", some, all, whole)
	}
}

// count reads an integer that cannot be negative; 0 where it is absent.
func (n node) count(key string) int64 {
	i := n.integer(key, optional)
	if i < 0 {
		n.found.add(n.at(key), "count", "a count cannot be negative, and this is %d", i)
		return 0
	}
	return i
}

// inputsOf returns the inputs of a signature by name, nil for a bare model.
func inputsOf(s *Signature) map[string]*Input {
	if s == nil {
		return nil
	}
	known := make(map[string]*Input, len(s.Inputs))
	for i := range s.Inputs {
		known[s.Inputs[i].Name] = &s.Inputs[i]
	}
	return known
}
