package tensor

import "fmt"

// Type is the element type of a tensor or a logical column.
type Type uint8

// The element types that JSON can carry. The zero value is no type.
const (
	Invalid Type = iota
	Bool
	Int8
	Int16
	Int32
	Int64
	Uint8
	Uint16
	Uint32
	Uint64
	Float16
	Float32
	Float64
	String
)

var types = [...]struct {
	name string
	size int
}{
	Invalid: {"invalid", 0},
	Bool:    {"bool", 1},
	Int8:    {"int8", 1}, Int16: {"int16", 2}, Int32: {"int32", 4}, Int64: {"int64", 8},
	Uint8: {"uint8", 1}, Uint16: {"uint16", 2}, Uint32: {"uint32", 4}, Uint64: {"uint64", 8},
	Float16: {"float16", 2}, Float32: {"float32", 4}, Float64: {"float64", 8},
	String: {"string", 0},
}

// ParseType reads the name that signatures use ("float64").
func ParseType(name string) (Type, error) {
	for t := Bool; t <= String; t++ {
		if types[t].name == name {
			return t, nil
		}
	}
	return Invalid, fmt.Errorf("unknown type %q (known: bool, int8 to int64, uint8 to uint64, float16, float32, float64, string)", name)
}

// String returns the name that signatures use.
func (t Type) String() string {
	if int(t) >= len(types) {
		return types[Invalid].name
	}
	return types[t].name
}

// Size returns the bytes of one element; 0 for strings, which have no fixed size.
func (t Type) Size() int { return types[t].size }

// IsFloat reports whether t holds NaN and infinities.
func (t Type) IsFloat() bool { return t == Float16 || t == Float32 || t == Float64 }

// IsInteger reports whether t is a signed or unsigned integer; bool is not.
func (t Type) IsInteger() bool { return t >= Int8 && t <= Uint64 }

// MarshalText writes the name, so that JSON holds "float64".
func (t Type) MarshalText() ([]byte, error) {
	if t == Invalid || t > String {
		return nil, fmt.Errorf("type %d has no name", t)
	}
	return []byte(t.String()), nil
}

// UnmarshalText reads the name.
func (t *Type) UnmarshalText(text []byte) error {
	parsed, err := ParseType(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}
