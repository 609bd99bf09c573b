// Package ref parses model references, the one way in which models are named:
// in URLs, on the command line, in records. Every package above its row may
// call it; nothing else splits such a name by hand.
//
//	iris            the model: whatever its deployment says
//	iris/3          version 3
//	iris@champion   the version that the alias champion points to
package ref

import (
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/internal/fault"
)

// maxName is the longest model name or alias. 63 bytes fit a DNS label and
// leave room in any file name built around one.
const maxName = 63

// Reference names a model, one of its versions (Version > 0) or one of its
// aliases (Alias not empty); never both.
type Reference struct {
	Model   string
	Version int
	Alias   string
}

// Parse reads "iris", "iris/3" or "iris@champion". Anything else is a fault of
// code InvalidReference that says what a reference looks like.
func Parse(text string) (Reference, error) {
	if name, alias, found := strings.Cut(text, "@"); found {
		r := Reference{Model: name, Alias: alias}
		if !ValidName(name) {
			return Reference{}, badName(name)
		}
		if !ValidAlias(alias) {
			return Reference{}, badAlias(alias)
		}
		return r, nil
	}
	name, number, found := strings.Cut(text, "/")
	if !ValidName(name) {
		return Reference{}, badName(name)
	}
	if !found {
		return Reference{Model: name}, nil
	}
	version, err := ParseVersion(number)
	if err != nil {
		return Reference{}, err
	}
	return Reference{Model: name, Version: version}, nil
}

// ParseVersion reads a version number: a decimal integer from 1, without sign
// or leading zeros, so that every version has one spelling.
func ParseVersion(text string) (int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 || text[0] == '+' || text[0] == '0' {
		return 0, fault.New(fault.Invalid, fault.InvalidReference,
			"%s is not a version: versions are whole numbers from 1, as in iris/3", quote(text))
	}
	return int(n), nil
}

// CheckName returns nil for a valid model name and otherwise a fault whose
// sentence gives the grammar.
func CheckName(name string) error {
	if ValidName(name) {
		return nil
	}
	return badName(name)
}

// CheckAlias returns nil for a valid alias and otherwise a fault whose
// sentence gives the grammar.
func CheckAlias(alias string) error {
	if ValidAlias(alias) {
		return nil
	}
	return badAlias(alias)
}

// ValidName reports whether name follows ^[a-z0-9][a-z0-9._-]{0,62}$.
func ValidName(name string) bool {
	return validRest(name) && (lower(name[0]) || digit(name[0]))
}

// ValidAlias reports whether alias follows ^[a-z][a-z0-9._-]{0,62}$. An alias
// starts with a letter, so that it never looks like a version.
func ValidAlias(alias string) bool {
	return validRest(alias) && lower(alias[0])
}

// String writes the reference as Parse reads it.
func (r Reference) String() string {
	switch {
	case r.Version > 0:
		return r.Model + "/" + strconv.Itoa(r.Version)
	case r.Alias != "":
		return r.Model + "@" + r.Alias
	default:
		return r.Model
	}
}

// SplitVerb cuts the ":verb" suffix that some dialects put behind a reference
// or a version ("iris@champion:predict", "3:predict"). The verb is empty where
// there is none. No grammar here holds a colon, so the first one decides.
func SplitVerb(segment string) (reference, verb string) {
	reference, verb, _ = strings.Cut(segment, ":")
	return reference, verb
}

func validRest(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !lower(c) && !digit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

func badName(name string) error {
	return fault.New(fault.Invalid, fault.InvalidReference,
		"%s is not a model name: use 1 to 63 of a-z, 0-9, '.', '_' and '-', the first a letter or digit", quote(name))
}

func badAlias(alias string) error {
	return fault.New(fault.Invalid, fault.InvalidReference,
		"%s is not an alias: use 1 to 63 of a-z, 0-9, '.', '_' and '-', the first a letter", quote(alias))
}

// quote echoes at most 64 characters of what a user sent.
func quote(s string) string {
	const most = 64
	if r := []rune(s[:min(len(s), 4*most+4)]); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}
