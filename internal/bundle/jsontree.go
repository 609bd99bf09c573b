package bundle

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a bundle's JSON files; none needs ten.
const maxDepth = 32

// Whether a member must be there.
const (
	optional = false
	required = true
)

// node is one JSON object with its place. encoding/json alone would not do:
// it takes the last of two equal keys and matches keys without their case, so
// two readers could see two manifests in one file.
type node struct {
	path    string
	members map[string]any
	found   *findings
}

// parseObject reads a whole file as one object, refusing repeated keys.
func parseObject(data []byte, f *findings) (node, bool) {
	tree, problem := parseTree(data)
	if problem != "" {
		f.add("", "json", "%s", problem)
		return node{}, false
	}
	members, ok := tree.(map[string]any)
	if !ok {
		f.add("", "type", "expected an object, got %s", kindOf(tree))
		return node{}, false
	}
	return node{members: members, found: f}, true
}

// parseTree returns the value in data, numbers as json.Number, or what is
// wrong with it.
func parseTree(data []byte) (tree any, problem string) {
	if !utf8.Valid(data) {
		return nil, "the file is not UTF-8"
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return nil, "the file starts with a byte order mark, which JSON does not allow"
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, "the file is not JSON: " + err.Error()
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return parseValue(dec, 0)
}

func parseValue(dec *json.Decoder, depth int) (any, string) {
	token, err := dec.Token()
	if err != nil {
		return nil, "the file is not JSON: " + err.Error()
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, ""
	}
	if depth == maxDepth {
		return nil, "the file nests deeper than " + strconv.Itoa(maxDepth) + " levels"
	}
	if delim == '{' {
		return parseMembers(dec, depth+1)
	}
	list := []any{}
	for dec.More() {
		v, problem := parseValue(dec, depth+1)
		if problem != "" {
			return nil, problem
		}
		list = append(list, v)
	}
	_, err = dec.Token()
	return list, problemOf(err)
}

func parseMembers(dec *json.Decoder, depth int) (any, string) {
	members := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, problemOf(err)
		}
		key, _ := token.(string)
		if _, twice := members[key]; twice {
			return nil, "the key " + quote(key) + " occurs twice in one object"
		}
		v, problem := parseValue(dec, depth)
		if problem != "" {
			return nil, problem
		}
		members[key] = v
	}
	_, err := dec.Token()
	return members, problemOf(err)
}

func problemOf(err error) string {
	if err == nil {
		return ""
	}
	return "the file is not JSON: " + err.Error()
}

// names returns the keys in order, so that findings are the same every time.
func (n node) names() []string { return sortedKeys(n.members) }

// at returns the path of a member.
func (n node) at(key string) string {
	if !plainKey(key) {
		return n.path + "[" + quote(key) + "]"
	}
	if n.path == "" {
		return key
	}
	return n.path + "." + key
}

// value returns a member; null counts as absent.
func (n node) value(key string, must bool) (any, bool) {
	v := n.members[key]
	if v == nil && must {
		n.found.add(n.at(key), "missing", "%s is missing", key)
	}
	return v, v != nil
}

func (n node) wrong(key, want string, got any) {
	n.found.add(n.at(key), "type", "expected %s, got %s", want, kindOf(got))
}

func (n node) text(key string, must bool) string {
	v, ok := n.value(key, must)
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		n.wrong(key, "a string", v)
	}
	return s
}

func (n node) integer(key string, must bool) int64 {
	v, ok := n.value(key, must)
	if !ok {
		return 0
	}
	i, ok := asInteger(v)
	if !ok {
		n.wrong(key, "an integer", v)
	}
	return i
}

func (n node) number(key string) *float64 {
	v, ok := n.value(key, optional)
	if !ok {
		return nil
	}
	number, _ := v.(json.Number)
	x, err := number.Float64()
	if err != nil {
		n.wrong(key, "a number", v)
	}
	return &x
}

func (n node) object(key string, must bool) (node, bool) {
	v, ok := n.value(key, must)
	if !ok {
		return node{}, false
	}
	members, ok := v.(map[string]any)
	if !ok {
		n.wrong(key, "an object", v)
	}
	return node{path: n.at(key), members: members, found: n.found}, ok
}

func (n node) list(key string, must bool) []any {
	v, ok := n.value(key, must)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		n.wrong(key, "a list", v)
	}
	return list
}

func (n node) texts(key string) map[string]string {
	members, ok := n.object(key, optional)
	if !ok {
		return nil
	}
	out := make(map[string]string, len(members.members))
	for _, name := range members.names() {
		out[name] = members.text(name, optional)
	}
	return out
}

func (n node) scalars(key string) map[string]Scalar {
	members, ok := n.object(key, optional)
	if !ok {
		return nil
	}
	out := make(map[string]Scalar, len(members.members))
	for _, name := range members.names() {
		v, ok := members.value(name, optional)
		if !ok {
			continue
		}
		if out[name], ok = asScalar(v); !ok {
			members.wrong(name, "a number, a string or a bool", v)
		}
	}
	return out
}

func asInteger(v any) (int64, bool) {
	number, _ := v.(json.Number)
	i, err := strconv.ParseInt(string(number), 10, 64)
	return i, err == nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return quote(string(v))
	case string:
		return "the string " + quote(v)
	case []any:
		return "a list"
	}
	return "an object"
}

// plainKey reports whether a key can stand behind a dot.
func plainKey(key string) bool {
	for i := range len(key) {
		c := key[i] | 0x20
		if (c < 'a' || c > 'z') && c != '_'|0x20 && (c < '0' || c > '9') {
			return false
		}
	}
	return key != ""
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
