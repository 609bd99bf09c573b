package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Scalar is a JSON string, number or bool that keeps its type and, for a
// number, its text. It is comparable; the zero value is no scalar.
type Scalar struct{ value any }

// Text returns a string scalar.
func Text(s string) Scalar { return Scalar{s} }

// Number returns a number scalar. The text must be a JSON number; it is kept as it is.
func Number(text string) Scalar { return Scalar{json.Number(text)} }

// Bool returns a bool scalar.
func Bool(b bool) Scalar { return Scalar{b} }

// Value returns a string, a json.Number or a bool; nil for the zero value.
func (s Scalar) Value() any { return s.value }

// Key is the scalar as the key of a JSON object: a string is itself, numbers
// and bools are their JSON text ("0", "true").
func (s Scalar) Key() string {
	switch v := s.value.(type) {
	case string:
		return v
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// Kind is "string", "number" or "bool", for messages.
func (s Scalar) Kind() string {
	switch s.value.(type) {
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "bool"
	}
	return "nothing"
}

// MarshalJSON writes the scalar as it was read.
func (s Scalar) MarshalJSON() ([]byte, error) { return json.Marshal(s.value) }

// UnmarshalJSON reads a string, a number or a bool.
func (s *Scalar) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return err
	}
	scalar, ok := asScalar(v)
	if !ok {
		return fmt.Errorf("expected a string, a number or a bool, got %s", quote(string(data)))
	}
	*s = scalar
	return nil
}

func asScalar(v any) (Scalar, bool) {
	switch v.(type) {
	case string, json.Number, bool:
		return Scalar{v}, true
	}
	return Scalar{}, false
}
