package v1

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Row implements core.Codec: one instance, or what stands at its place in every
// column. It is for people who look at an example, so it may take its time.
func (c *codec) Row(body []byte, row int) json.RawMessage {
	scan := tensor.NewScanner(body)
	more, err := scan.Open('{', '}')
	for more && err == nil {
		var key []byte
		if key, err = scan.Key(); err != nil {
			return nil
		}
		switch string(key) {
		case "instances":
			return element(scan, row)
		case "inputs":
			return columns(scan, row)
		}
		if _, err = scan.Skip(); err == nil {
			more, err = scan.More('}')
		}
	}
	return nil
}

// element is element n of the list that comes next; nil where there is none.
func element(scan *tensor.Scanner, n int) json.RawMessage {
	if scan.Peek() != '[' {
		return nil
	}
	more, err := scan.Open('[', ']')
	for i := 0; more && err == nil; i++ {
		value, err := scan.Skip()
		if err != nil {
			return nil
		}
		if i == n {
			return slices.Clone(value)
		}
		more, err = scan.More(']')
		if err != nil {
			return nil
		}
	}
	return nil
}

// columns is an object of element n of every column, or that of the only one
// where the inputs are no object.
func columns(scan *tensor.Scanner, n int) json.RawMessage {
	if scan.Peek() != '{' {
		return element(scan, n)
	}
	var row bytes.Buffer
	more, err := scan.Open('{', '}')
	for more && err == nil {
		var key, column []byte
		if key, err = scan.Key(); err != nil {
			return nil
		}
		name := tensor.JSONKey(string(key))
		if column, err = scan.Skip(); err != nil {
			return nil
		}
		if value := element(tensor.NewScanner(column), n); value != nil {
			row.WriteByte(",{"[btoi(row.Len() == 0)])
			row.Write(name)
			row.Write(value)
		}
		more, err = scan.More('}')
	}
	if err != nil || row.Len() == 0 {
		return nil
	}
	row.WriteByte('}')
	return row.Bytes()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
