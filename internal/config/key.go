package config

import (
	"cmp"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A key is one setting: a leaf of Config with the words of its tags.
type key struct {
	name  string // server.listen
	index []int  // of the field, for reflect
	tag   reflect.StructTag
}

// keys are all settings in the order of the struct.
var keys = collect(reflect.TypeFor[Config](), "", nil)

func collect(t reflect.Type, prefix string, index []int) []key {
	var all []key
	for i := range t.NumField() {
		f := t.Field(i)
		k := key{prefix + f.Tag.Get("key"), append(index[:len(index):len(index)], i), f.Tag}
		if f.Type.Kind() == reflect.Struct {
			all = append(all, collect(f.Type, k.name+".", k.index)...)
		} else {
			all = append(all, k)
		}
	}
	return all
}

// Keys returns the names of all settings, in order.
func Keys() []string {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	return names
}

// EnvName is the environment variable of a key: TENON_SERVER_LISTEN for
// server.listen.
func EnvName(name string) string {
	return "TENON_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// set parses text into the key's field of c and checks its range. The error
// says what to write instead, without the key.
func (k key) set(c *Config, text string) error {
	field := reflect.ValueOf(c).Elem().FieldByIndex(k.index)
	value, err := k.parse(text)
	if err != nil {
		return err
	}
	for _, bound := range []struct {
		tag  string
		sign int
	}{{"min", 1}, {"max", -1}} {
		limit, ok := k.tag.Lookup(bound.tag)
		if !ok {
			continue
		}
		l, err := k.parse(limit)
		if err != nil {
			panic(fmt.Sprintf("config: tag %s of %s: %v", bound.tag, k.name, err))
		}
		if compare(value, l) == -bound.sign {
			return fmt.Errorf("choose %s to %s", k.tag.Get("min"), k.tag.Get("max"))
		}
	}
	field.Set(value)
	return nil
}

// compare is cmp.Compare of two numbers of one type; a float that is not a
// number is below all others.
func compare(a, b reflect.Value) int {
	if a.CanFloat() {
		return cmp.Compare(a.Float(), b.Float())
	}
	return cmp.Compare(a.Int(), b.Int())
}

// parse reads text as the type of the key's field.
func (k key) parse(text string) (reflect.Value, error) {
	var value any
	var err error
	switch reflect.TypeFor[Config]().FieldByIndex(k.index).Type {
	case reflect.TypeFor[string]():
		value, err = text, k.checkText(text)
	case reflect.TypeFor[bool]():
		value, err = text == "true", oneOf(text, "true", "false")
	case reflect.TypeFor[int]():
		if value, err = strconv.Atoi(text); err != nil {
			err = fmt.Errorf("write a whole number")
		}
	case reflect.TypeFor[float64]():
		if value, err = strconv.ParseFloat(text, 64); err != nil {
			err = fmt.Errorf("write a number such as 0.01")
		}
	case reflect.TypeFor[time.Duration]():
		if value, err = time.ParseDuration(text); err != nil {
			err = fmt.Errorf("write a duration with its unit, such as 500ms, 30s or 5m")
		}
	case reflect.TypeFor[Size]():
		value, err = ParseSize(text)
	}
	return reflect.ValueOf(value), err
}

// checkText applies the tags of text fields.
func (k key) checkText(text string) error {
	if choices, ok := k.tag.Lookup("oneof"); ok {
		return oneOf(text, strings.Fields(choices)...)
	}
	switch k.tag.Get("is") {
	case "given":
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("it must not be empty: give a value, or remove it to use %q", k.tag.Get("default"))
		}
	case "address":
		return checkAddress(text, k.tag.Get("default"))
	}
	return nil
}

// checkAddress wants host:port. An empty address would listen everywhere, on
// port 80, so it is refused as the accident that it is.
func checkAddress(text, example string) error {
	if text == "" {
		return fmt.Errorf("it must not be empty: write an address such as %s", example)
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("write host:port, such as %s", example)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("the port must be a number from 0 to 65535, such as in %s", example)
	}
	return nil
}

func oneOf(text string, choices ...string) error {
	for _, c := range choices {
		if text == c {
			return nil
		}
	}
	return fmt.Errorf("choose one of %s", strings.Join(choices, ", "))
}
