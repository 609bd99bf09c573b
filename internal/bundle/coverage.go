package bundle

import (
	"bytes"
	"encoding/json"
)

// parseCoverage checks golden/coverage.json, which says what the golden rows
// reach, and returns it in compact form. Members that it does not know pass.
func parseCoverage(data []byte, s *Signature) (json.RawMessage, error) {
	f := &findings{file: CoverageFile, remedy: remedyExport}
	root, ok := parseObject(data, f)
	if !ok {
		return nil, f.err()
	}
	root.count("rows")
	if inputs, ok := root.object("inputs", optional); ok {
		known := inputsOf(s)
		for _, name := range inputs.names() {
			if known != nil && known[name] == nil {
				f.add(inputs.at(name), "name", "the signature has no input %s", quote(name))
			}
			if input, ok := inputs.object(name, required); ok {
				input.share("categories")
				input.share("bins")
			}
		}
	}
	if trees, ok := root.object("trees", optional); ok {
		trees.within("reached", "leaves")
		trees.within("both_sides", "splits")
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

// share checks a pair [seen, of] of counts.
func (n node) share(key string) {
	pair := n.list(key, optional)
	if pair == nil {
		return
	}
	counts := make([]int64, 0, 2)
	for _, v := range pair {
		if i, ok := asInteger(v); ok && i >= 0 {
			counts = append(counts, i)
		}
	}
	if len(pair) != 2 || len(counts) != 2 || counts[0] > counts[1] {
		n.found.add(n.at(key), "count", "expected [seen, of], two counts of which the first is not the larger")
	}
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
