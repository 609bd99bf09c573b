package tensor

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// MaxRank bounds how deep a value may nest, as many dimensions as numpy has.
const MaxRank = 32

// maxEcho is how many characters of a client's value an error repeats.
const maxEcho = 64

// place is where a decoder stands; its path is built only when something is
// found.
type place struct {
	form   string // instances, inputs
	rows   bool   // whether row is set
	row    int
	column int     // -1: none
	name   *string // a member that is no column, in place of column
	index  [MaxRank]int
	depth  int
}

// path writes instances[3].age, inputs.age[3] or instances[3].x[2][5].
func (p *place) path(l *Layout) string {
	out := p.form
	if p.form == "inputs" {
		out += p.columnPath(l) + p.rowPath()
	} else {
		out += p.rowPath() + p.columnPath(l)
	}
	for _, i := range p.index[:p.depth] {
		out += "[" + strconv.Itoa(i) + "]"
	}
	return out
}

func (p *place) rowPath() string {
	if !p.rows {
		return ""
	}
	return "[" + strconv.Itoa(p.row) + "]"
}

func (p *place) columnPath(l *Layout) string {
	var name string
	switch {
	case p.name != nil:
		name = *p.name
	case p.column >= 0:
		name = l.Columns[p.column].Name
	default:
		return ""
	}
	return MemberPath(name)
}

// MemberPath continues a path with the name of a column or an output: .age, or
// ["body mass"] where a dot would not do.
func MemberPath(name string) string {
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= utf8.RuneSelf
		if !letter && (i == 0 || c < '0' || c > '9') {
			return "[" + quote(name) + "]"
		}
	}
	if name == "" {
		return `[""]`
	}
	return "." + name
}

// quote writes a name as JSON does, so that its limits can be seen.
func quote(name string) string {
	b, err := json.Marshal(name)
	if err != nil {
		return strconv.Quote(name)
	}
	return string(b)
}

// clip shortens a client's value for an error.
func clip(v string) string {
	if utf8.RuneCountInString(v) <= maxEcho {
		return v
	}
	return string([]rune(v)[:maxEcho]) + "…"
}
