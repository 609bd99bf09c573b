package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"

	"github.com/spf13/viper"
)

// Source is where settings come from. The zero Source gives the defaults.
type Source struct {
	// File is the path of a YAML file; "" means none.
	File string
	// FileRequired says that the user named the file, so it has to exist.
	FileRequired bool
	// Env looks a variable up, as os.LookupEnv does; nil means none is set.
	// A variable that is set to nothing counts as set.
	Env func(name string) (value string, ok bool)
	// Flags are values of the command line, by key; only those that were given.
	Flags map[string]string
}

// Load returns the settings: for each key the flag, else the variable
// EnvName(key), else the file's value, else the default. All problems come in
// one error, a sentence a line, with key, value, origin and what to do.
func Load(s Source) (Config, error) {
	v, problems := s.read()
	problems = append(problems, s.override(v)...)
	var c Config
	for _, k := range keys {
		text := fmt.Sprint(v.Get(k.name))
		if err := k.set(&c, text); err != nil {
			problems = append(problems, fmt.Errorf("%s is %q (%s): %w", k.name, text, s.origin(v, k.name), err))
		}
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// read returns a viper with defaults and the file, which it has checked for
// keys that do not exist. viper's own search for files, variables and flags
// stays off: it splits and shadows keys in ways that nobody expects.
func (s Source) read() (*viper.Viper, []error) {
	v := viper.New()
	for _, k := range keys {
		v.SetDefault(k.name, k.tag.Get("default"))
	}
	if s.File == "" {
		return v, nil
	}
	text, err := os.ReadFile(s.File)
	if errors.Is(err, fs.ErrNotExist) && !s.FileRequired {
		return v, nil
	}
	if err != nil {
		return v, []error{fmt.Errorf("the configuration cannot be read: %w; name another file with --config", err)}
	}
	file := viper.New() // apart from the defaults, so that its keys are those of the file
	file.SetConfigType("yaml")
	if err := file.ReadConfig(bytes.NewReader(text)); err != nil {
		return v, []error{fmt.Errorf("%s is not the YAML of a configuration: %w", s.File, errors.Unwrap(err))}
	}
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
		return v, []error{err}
	}
	return v, checkKeys(s.File, file)
}

// override puts variables and flags above the file.
func (s Source) override(v *viper.Viper) []error {
	for _, k := range keys {
		if s.Env == nil {
			break
		}
		if value, ok := s.Env(EnvName(k.name)); ok {
			v.Set(k.name, value)
		}
	}
	var problems []error
	for name, value := range s.Flags {
		if !known(name) {
			problems = append(problems, fmt.Errorf("no key is named %q; did you mean %s?", name, nearest(name)))
			continue
		}
		v.Set(name, value)
	}
	return problems
}

// origin says where the value of a key came from.
func (s Source) origin(v *viper.Viper, name string) string {
	if _, ok := s.Flags[name]; ok {
		return "from the command line"
	}
	if s.Env != nil {
		if _, ok := s.Env(EnvName(name)); ok {
			return "from " + EnvName(name)
		}
	}
	if v.InConfig(name) {
		return "in " + s.File
	}
	return "by default"
}

// checkKeys finds keys of the file that mean nothing, and keys without a value,
// which viper would silently take for absent.
func checkKeys(path string, file *viper.Viper) []error {
	var problems []error
	found := file.AllKeys()
	sort.Strings(found)
	for _, name := range found {
		value := file.Get(name)
		switch {
		case !known(name) && value == nil && isSection(name):
			// A section whose keys are all commented out.
		case isSection(name):
			problems = append(problems, fmt.Errorf("%s in %s is a section: put its keys below it, indented", name, path))
		case !known(name):
			problems = append(problems, fmt.Errorf("%s in %s is not a key; did you mean %s?", name, path, nearest(name)))
		case value == nil:
			problems = append(problems, fmt.Errorf("%s in %s has no value: give it one, or remove the line", name, path))
		}
	}
	return problems
}

func known(name string) bool {
	for _, k := range keys {
		if k.name == name {
			return true
		}
	}
	return false
}

func isSection(name string) bool {
	for _, k := range keys {
		if strings.HasPrefix(k.name, name+".") {
			return true
		}
	}
	return false
}

// nearest is the key that takes the fewest edits to reach, in whole or in its
// last word: a right word in the wrong section is the usual slip.
func nearest(name string) string {
	best, least := "", 1<<30
	last := name[strings.LastIndex(name, ".")+1:]
	for _, k := range keys {
		d := min(distance(name, k.name), 1+distance(last, k.name[strings.LastIndex(k.name, ".")+1:]))
		if d < least {
			best, least = k.name, d
		}
	}
	return best
}

// distance is Levenshtein's: insertions, deletions and substitutions of bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
