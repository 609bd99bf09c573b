package v1

import (
	"bytes"
	"strconv"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// codec is the wire form of one predict request:
//
//	{"instances":[{"age":39},…]}  →  {"model":…,"version":3,"predictions":[{"label":…},…]}
//	{"inputs":{"age":[39,…]}}     →  {"model":…,"version":3,"outputs":{"label":[…],…}}
//
// An id comes back as it was sent; parameters are read and have no meaning yet.
type codec struct {
	form string // instances or inputs, once seen
	id   []byte // the literal, with its quotes
	seen [4]bool
}

// members are the keys of a request, in the order of codec.seen.
var members = [4]string{"instances", "inputs", "id", "parameters"}

// Form reads bodies of this dialect outside of a request of a client.
var Form = lifecycle.Form{
	Decode: func(body []byte, frame *tensor.Frame) error { return (&codec{}).Decode(body, frame) },
	Row:    (&codec{}).Row,
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Fresh implements core.Codec.
func (c *codec) Fresh() core.Codec { return &codec{} }

// Decode implements core.Codec.
func (c *codec) Decode(body []byte, frame *tensor.Frame) error {
	if bytes.HasPrefix(body, byteOrderMark) {
		return fault.New(fault.Invalid, fault.InvalidJSON,
			"The body is not valid JSON: it begins with a byte order mark; send UTF-8 without one.")
	}
	scan := tensor.NewScanner(body)
	switch scan.Peek() {
	case 0:
		return fault.New(fault.Invalid, fault.InvalidJSON,
			`The body is empty: send rows as {"instances":[{…}]} or columns as {"inputs":{…}}.`)
	case '[':
		return fault.New(fault.Invalid, fault.InvalidRequest, `The body is a list: send the rows as {"instances":[{…}]}.`)
	}
	more, err := scan.Open('{', '}')
	for more && err == nil {
		if err = c.member(scan, frame); err == nil {
			more, err = scan.More('}')
		}
	}
	if err == nil {
		err = scan.End()
	}
	if err == nil && c.form == "" {
		err = fault.New(fault.Invalid, fault.InvalidRequest,
			`The request has neither "instances" nor "inputs": send rows as {"instances":[{…}]} or columns as {"inputs":{…}}.`)
	}
	return err
}

func (c *codec) member(scan *tensor.Scanner, frame *tensor.Frame) error {
	raw, err := scan.Key()
	if err != nil {
		return err
	}
	key := string(raw)
	if err := c.note(key); err != nil {
		return err
	}
	switch key {
	case "instances", "inputs":
		if c.form != "" {
			return invalid(key, `only one of "instances" and "inputs" may be sent`)
		}
		c.form = key
		decoder := tensor.NewDecoder(scan, frame)
		if key == "instances" {
			return decoder.Rows(key)
		}
		return decoder.Columns(key)
	case "id":
		if scan.Peek() != '"' {
			return invalid(key, "expected a string")
		}
		c.id, err = scan.Skip()
	case "parameters":
		if scan.Peek() != '{' {
			return invalid(key, "expected an object")
		}
		_, err = scan.Skip()
	}
	return err
}

// note refuses keys that are unknown or stand twice.
func (c *codec) note(key string) error {
	for i, name := range members {
		if name != key {
			continue
		}
		if c.seen[i] {
			return invalid(key, "the key stands twice")
		}
		c.seen[i] = true
		return nil
	}
	if len(key) > 64 {
		key = key[:64]
	}
	return invalid(key, `the key is not known: a request has "instances" or "inputs", and perhaps "id" and "parameters"; `+
		`one row is sent as {"instances":[{…}]}`)
}

func invalid(path, detail string) error {
	e := fault.New(fault.Invalid, fault.InvalidRequest, "The request is not of the form that this route takes; errors says where.")
	return e.At(path, "request", "%s", detail)
}

// Append implements core.Codec.
func (c *codec) Append(dst []byte, a *core.Answer) ([]byte, error) {
	dst = append(dst, `{"model":`...)
	dst = tensor.AppendString(dst, a.Model)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(a.Version), 10)
	if c.id != nil {
		dst = append(dst, `,"id":`...)
		dst = append(dst, c.id...)
	}
	if c.form == "inputs" {
		dst = append(dst, `,"outputs":`...)
		dst = tensor.AppendColumns(dst, a.Outputs, a.Rows)
		return append(dst, '}'), nil
	}
	for i := range a.Outputs {
		if a.Outputs[i].Whole {
			return nil, fault.New(fault.Invalid, fault.InvalidRequest,
				"The model's output %s is not one value per row, so rows cannot carry it: send {\"inputs\":{…}} instead.",
				bytes.TrimSuffix(a.Outputs[i].Key, []byte(":")))
		}
	}
	dst = append(dst, `,"predictions":`...)
	dst = tensor.AppendRows(dst, a.Outputs, a.Rows)
	return append(dst, '}'), nil
}
