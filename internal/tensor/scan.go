package tensor

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/tenon-ml/tenon/internal/fault"
)

// maxDepth bounds the nesting of values that are skipped. It is far beyond any
// tensor's rank and keeps hostile bodies from growing the stack.
const maxDepth = 64

// Scanner walks one JSON text (RFC 8259) without building a tree. Every method
// that fails returns an invalid-json fault with the byte offset; after a
// failure the scanner must not be used again.
type Scanner struct {
	data    []byte
	pos     int
	scratch []byte
}

// NewScanner scans data, which must not change while the scanner is in use.
func NewScanner(data []byte) *Scanner { return &Scanner{data: data} }

func (s *Scanner) fail(format string, args ...any) error {
	e := fault.New(fault.Invalid, fault.InvalidJSON, format, args...)
	e.Detail = "The body is not valid JSON: " + e.Detail + at(s.pos) + "."
	return e
}

func at(pos int) string {
	return fault.New(fault.Invalid, fault.InvalidJSON, " at byte %d", pos).Detail
}

// Peek skips white space and returns the next byte, or 0 at the end.
func (s *Scanner) Peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\n', '\t', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// Expect consumes the byte c, or fails.
func (s *Scanner) Expect(c byte) error {
	got := s.Peek()
	if got == c && s.pos < len(s.data) {
		s.pos++
		return nil
	}
	if s.pos >= len(s.data) {
		return s.fail("expected %q, but the text ends", c)
	}
	return s.fail("expected %q, got %q", c, rune(got))
}

// More is called after each element of a list or object: it consumes a comma
// and returns true, or consumes end and returns false.
func (s *Scanner) More(end byte) (bool, error) {
	switch c := s.Peek(); {
	case c == ',':
		s.pos++
		return true, nil
	case c == end:
		s.pos++
		return false, nil
	case s.pos >= len(s.data):
		return false, s.fail("expected ',' or %q, but the text ends", end)
	default:
		return false, s.fail("expected ',' or %q, got %q", end, rune(c))
	}
}

// Open consumes the opening byte and reports whether the list or object that
// begins there has elements; an empty one is consumed whole.
func (s *Scanner) Open(start, end byte) (bool, error) {
	if err := s.Expect(start); err != nil {
		return false, err
	}
	if s.Peek() == end {
		s.pos++
		return false, nil
	}
	return true, nil
}

// End fails when anything but white space is left.
func (s *Scanner) End() error {
	if s.Peek(); s.pos < len(s.data) {
		return s.fail("there is more after the end of the value")
	}
	return nil
}

// Key reads an object's key and the colon behind it. The bytes are valid until
// the next call.
func (s *Scanner) Key() ([]byte, error) {
	if c := s.Peek(); c == '}' {
		return nil, s.fail("expected a key, got '}': is there a comma too many before it")
	} else if c != '"' {
		return nil, s.fail("expected a key in double quotes")
	}
	key, err := s.Text()
	if err != nil {
		return nil, err
	}
	return key, s.Expect(':')
}

// Text reads a string and returns its unescaped UTF-8 bytes, which are valid
// until the next call. Unpaired surrogates are refused: replacing them would
// change the value without saying so.
func (s *Scanner) Text() ([]byte, error) {
	s.pos++ // the opening quote, which the caller has seen
	start := s.pos
	for ascii := true; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			text := s.data[start:s.pos]
			s.pos++
			if !ascii && !utf8.Valid(text) {
				return nil, s.fail("a string is not UTF-8")
			}
			return text, nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return nil, s.fail("a control character must be escaped")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, s.fail("a string has no closing quote")
}

// escaped continues Text from the first backslash, copying into scratch.
func (s *Scanner) escaped(start int) ([]byte, error) {
	out := append(s.scratch[:0], s.data[start:s.pos]...)
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			s.scratch = out
			if !utf8.Valid(out) {
				return nil, s.fail("a string is not UTF-8")
			}
			return out, nil
		case c < ' ':
			return nil, s.fail("a control character must be escaped")
		case c != '\\':
			out = append(out, c)
			s.pos++
		default:
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return nil, s.fail("a string has no closing quote")
}

// simpleEscapes maps the byte after a backslash to what it stands for.
var simpleEscapes = [256]rune{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

func (s *Scanner) escape() (rune, error) {
	if s.pos+1 >= len(s.data) {
		return 0, s.fail("a string has no closing quote")
	}
	c := s.data[s.pos+1]
	if c != 'u' {
		r := simpleEscapes[c]
		if r == 0 {
			return 0, s.fail("unknown escape \\%c", rune(c))
		}
		s.pos += 2
		return r, nil
	}
	r, ok := s.hex(s.pos)
	if !ok {
		return 0, s.fail("\\u needs four hexadecimal digits")
	}
	if !utf16.IsSurrogate(r) {
		s.pos += 6
		return r, nil
	}
	low, ok := s.hex(s.pos + 6)
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		s.pos += 12
		return pair, nil
	}
	return 0, s.fail("an unpaired surrogate")
}

// hex reads \uXXXX at i.
func (s *Scanner) hex(i int) (rune, bool) {
	if i+6 > len(s.data) || s.data[i] != '\\' || s.data[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s.data[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Number reads a number's literal, checked against JSON's grammar. The bytes
// are valid as long as the scanner's data.
func (s *Scanner) Number() ([]byte, error) {
	start := s.pos
	if s.pos < len(s.data) && s.data[s.pos] == '-' {
		s.pos++
	}
	if first := s.pos; s.digits() == 0 || (s.data[first] == '0' && s.pos > first+1) {
		return nil, s.fail("not a number")
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return nil, s.fail("a number needs digits after its point")
		}
	}
	if s.pos < len(s.data) && s.data[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, s.fail("a number needs digits in its exponent")
		}
	}
	return s.data[start:s.pos], nil
}

func (s *Scanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - start
}

// Word consumes the literal word (true, false or null), or fails.
func (s *Scanner) Word(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.fail("expected a value")
	}
	s.pos += len(word)
	return nil
}

// Skip consumes one value of any form and returns its literal.
func (s *Scanner) Skip() ([]byte, error) {
	s.Peek()
	start := s.pos
	err := s.skip(0)
	return s.data[start:s.pos], err
}

func (s *Scanner) skip(depth int) error {
	if depth > maxDepth {
		return s.fail("lists and objects are nested deeper than %d", maxDepth)
	}
	switch c := s.Peek(); c {
	case '{':
		return s.skipAll('{', '}', depth)
	case '[':
		return s.skipAll('[', ']', depth)
	case '"':
		_, err := s.Text()
		return err
	case 't':
		return s.Word("true")
	case 'f':
		return s.Word("false")
	case 'n':
		return s.Word("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		_, err := s.Number()
		return err
	default:
		return s.noValue(c)
	}
}

// noValue words what stands where a value should, for the mistakes people make.
func (s *Scanner) noValue(c byte) error {
	switch {
	case s.pos >= len(s.data):
		return s.fail("expected a value, but the text ends")
	case c == 'N' || c == 'I':
		return s.fail("NaN and Infinity are no JSON: write null for missing, or the strings \"NaN\" and \"Infinity\"")
	case c == ']' || c == '}':
		return s.fail("expected a value, got %q: is there a comma too many before it", rune(c))
	default:
		return s.fail("expected a value, got %q", rune(c))
	}
}

func (s *Scanner) skipAll(start, end byte, depth int) error {
	more, err := s.Open(start, end)
	for more && err == nil {
		if start == '{' {
			if _, err = s.Key(); err != nil {
				return err
			}
		}
		if err = s.skip(depth + 1); err != nil {
			return err
		}
		more, err = s.More(end)
	}
	return err
}

// text views bytes as a string for calls that do not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
