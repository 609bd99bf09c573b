package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// body is a request without what is not rows: an id may be somebody's name.
type body struct {
	Instances []json.RawMessage `json:"instances,omitempty"`
	Inputs    json.RawMessage   `json:"inputs,omitempty"`
}

// errForm is a body that says nothing of what is in which column.
var errForm = errors.New("it is not known which values belong to which column")

// redact returns the rows of an offer's body, without the values that are not
// to be kept. In their place stand those of the example, or null.
func redact(o *Offer) (json.RawMessage, error) {
	var b body
	if err := json.Unmarshal(o.Body, &b); err != nil {
		return nil, err
	}
	if (b.Instances == nil) == (b.Inputs == nil) {
		return nil, errForm
	}
	if len(o.Redact) == 0 {
		return json.Marshal(b)
	}
	s := striker{columns: o.Redact, only: o.Only, example: o.Example()}
	var err error
	for i, row := range b.Instances {
		if b.Instances[i], err = s.strike(row, s.value); err != nil {
			return nil, err
		}
	}
	if b.Inputs != nil {
		if b.Inputs, err = s.strike(b.Inputs, s.column); err != nil {
			return nil, err
		}
	}
	return json.Marshal(b)
}

// striker takes values out.
type striker struct {
	columns []string
	only    string // the version's column where it has just one
	example json.RawMessage
}

// strike puts what instead says in the place of members of an object, or of a
// bare value, which is the only column's.
func (s *striker) strike(raw json.RawMessage, instead func(column string, value json.RawMessage) json.RawMessage) (json.RawMessage, error) {
	if !isObject(raw) {
		switch {
		case s.only == "":
			return nil, errForm
		case !slices.Contains(s.columns, s.only):
			return raw, nil
		default:
			return instead(s.only, raw), nil
		}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	for _, name := range s.columns {
		if value, there := members[name]; there {
			members[name] = instead(name, value)
		}
	}
	return json.Marshal(members)
}

var null = json.RawMessage("null")

// value is what stands in the place of one row's value.
func (s *striker) value(column string, _ json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	switch {
	case isObject(s.example) && json.Unmarshal(s.example, &members) == nil && members[column] != nil:
		return members[column]
	case len(s.example) > 0 && !isObject(s.example) && column == s.only:
		return s.example
	default:
		return null
	}
}

// column is what stands in the place of the values of all rows.
func (s *striker) column(column string, values json.RawMessage) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(values, &list) != nil {
		return null
	}
	one := s.value(column, nil)
	for i := range list {
		list[i] = one
	}
	data, _ := json.Marshal(list) // of JSON, which always succeeds
	return data
}

func isObject(raw json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
}
