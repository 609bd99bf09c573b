package bundle

import (
	"fmt"
	"slices"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// The members that a signature may hold.
var (
	signatureMembers = []string{"inputs", "unused", "outputs"}
	inputMembers     = []string{
		"name", "description", "type", "shape", "missing", "sentinel", "domain", "unknown",
		"minimum", "maximum", "feed", "column",
	}
	outputMembers = []string{
		"name", "description", "kind", "from", "type", "shape", "classes", "column", "tolerance", "finite",
	}
	toleranceMembers = []string{"rel", "abs", "agreement", "cosine"}
)

// decodeSignature turns the tree into a signature with its defaults; findings
// are collected in root.found.
func decodeSignature(root node) *Signature {
	root.only(signatureMembers)
	s := &Signature{}
	for i, n := range root.objects("inputs") {
		if i == maxColumns {
			break // check says so
		}
		s.Inputs = append(s.Inputs, decodeInput(n))
	}
	s.Unused = root.textList("unused")
	for i, n := range root.objects("outputs") {
		if i == maxColumns {
			break
		}
		s.Outputs = append(s.Outputs, decodeOutput(n))
	}
	return s
}

func decodeInput(n node) Input {
	n.only(inputMembers)
	in := Input{
		Name:        n.text("name", required),
		Description: n.text("description", optional),
		Type:        n.typ("type", required),
		Shape:       n.shape("shape"),
		Missing:     Missing(n.text("missing", optional)),
		Sentinel:    n.text("sentinel", optional),
		Domain:      n.scalarList("domain"),
		Unknown:     Unknown(n.text("unknown", optional)),
		Minimum:     n.scalar("minimum"),
		Maximum:     n.scalar("maximum"),
		Feed:        n.text("feed", optional),
		Column:      n.index("column"),
	}
	if in.Feed == "" {
		in.Feed = in.Name
	}
	if in.Missing == "" {
		in.Missing = MissingRefused
	}
	if in.Unknown == "" {
		in.Unknown = UnknownAccept
	}
	return in
}

func decodeOutput(n node) Output {
	n.only(outputMembers)
	out := Output{
		Name:        n.text("name", required),
		Description: n.text("description", optional),
		Kind:        Kind(n.text("kind", required)),
		From:        n.text("from", optional),
		Type:        n.typ("type", optional),
		Shape:       n.shape("shape"),
		Classes:     n.scalarList("classes"),
		Column:      n.index("column"),
		Finite:      n.flag("finite"),
	}
	if out.From == "" {
		out.From = out.Name
	}
	if t, ok := n.object("tolerance", optional); ok {
		t.only(toleranceMembers)
		out.Tolerance = &Tolerance{
			Rel: t.number("rel"), Abs: t.number("abs"),
			Agreement: t.number("agreement"), Cosine: t.number("cosine"),
		}
	}
	return out
}

// only finds members outside the known ones.
func (n node) only(known []string) {
	for _, key := range n.names() {
		if !slices.Contains(known, key) {
			n.found.add(n.at(key), "unknown", "this server does not know %s: update it, or export without that", quote(key))
		}
	}
}

func (n node) objects(key string) []node {
	list := n.list(key, required)
	out := make([]node, 0, len(list))
	for i, v := range list {
		path := fmt.Sprintf("%s[%d]", n.at(key), i)
		members, ok := v.(map[string]any)
		if !ok {
			n.found.add(path, "type", "expected an object, got %s", kindOf(v))
			continue
		}
		out = append(out, node{path: path, members: members, found: n.found})
	}
	return out
}

func (n node) typ(key string, must bool) tensor.Type {
	text := n.text(key, must)
	if text == "" {
		return tensor.Invalid
	}
	t, err := tensor.ParseType(text)
	if err != nil {
		n.found.add(n.at(key), "type", "unknown type %s: use bool, int8 to int64, uint8 to uint64, "+
			"float16, float32, float64 or string", quote(text))
	}
	return t
}

func (n node) shape(key string) []int64 {
	list := n.list(key, optional)
	if len(list) == 0 {
		return nil
	}
	shape := make([]int64, len(list))
	for i, v := range list {
		var ok bool
		if shape[i], ok = asInteger(v); !ok {
			n.found.add(fmt.Sprintf("%s[%d]", n.at(key), i), "type", "expected an integer, got %s", kindOf(v))
		}
	}
	return shape
}

func (n node) textList(key string) []string {
	list := n.list(key, optional)
	out := make([]string, 0, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			n.found.add(fmt.Sprintf("%s[%d]", n.at(key), i), "type", "expected a string, got %s", kindOf(v))
			continue
		}
		out = append(out, s)
	}
	return slices.Clip(out)
}

func (n node) scalarList(key string) []Scalar {
	list := n.list(key, optional)
	out := make([]Scalar, 0, len(list))
	for i, v := range list {
		s, ok := asScalar(v)
		if !ok {
			n.found.add(fmt.Sprintf("%s[%d]", n.at(key), i), "type",
				"expected a string, a number or a bool, got %s", kindOf(v))
			continue
		}
		out = append(out, s)
	}
	return slices.Clip(out)
}

func (n node) scalar(key string) Scalar {
	v, ok := n.value(key, optional)
	if !ok {
		return Scalar{}
	}
	s, ok := asScalar(v)
	if !ok {
		n.wrong(key, "a number", v)
	}
	return s
}

func (n node) flag(key string) bool {
	v, ok := n.value(key, optional)
	if !ok {
		return false
	}
	flag, ok := v.(bool)
	if !ok {
		n.wrong(key, "true or false", v)
	}
	return flag
}

func (n node) index(key string) *int {
	if _, ok := n.value(key, optional); !ok {
		return nil
	}
	i := int(n.integer(key, required))
	return &i
}
