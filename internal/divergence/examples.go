package divergence

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// keptExamples is how many rows are kept, and keptBytes how long one of their
// texts may be: an image is looked at elsewhere.
const (
	keptExamples = 10
	keptBytes    = 16 << 10
)

// examples are the rows to look at, the worst first.
type examples []example

type example struct {
	rowFound
	request         string
	row             int
	time            time.Time
	input, from, to json.RawMessage
}

// offer takes a row in if it is worse than one that is kept. Equal ones stay.
func (x *examples) offer(c *Comparison, r *Request, row int) {
	f := &c.found[row]
	if f.class == classNear && f.distance == 0 {
		return
	}
	list := *x
	if len(list) == keptExamples && !f.before(&list[len(list)-1].rowFound) {
		return
	}
	e := example{rowFound: *f, request: r.ID, row: row, time: r.Time}
	if r.Row != nil {
		e.input = short(r.Row(row))
	}
	e.from, e.to = short(rowOf(r.From.Outputs, row)), short(rowOf(r.To.Outputs, row))
	at := slices.IndexFunc(list, func(g example) bool { return f.before(&g.rowFound) })
	if at < 0 {
		at = len(list)
	}
	if len(list) == keptExamples {
		list = list[:len(list)-1]
	}
	*x = slices.Insert(list, at, e)
}

// rowOf writes one row of an answer; what is not batched stands in every row.
func rowOf(outs []tensor.Output, row int) json.RawMessage {
	one := slices.Clone(outs)
	for i := range one {
		o := &one[i]
		if o.Whole {
			o.Shape, o.Whole = o.Values.Shape, false
			continue
		}
		o.Offset += row * o.Stride
	}
	list := tensor.AppendRows(nil, one, 1)
	return json.RawMessage(list[1 : len(list)-1]) // without the brackets of the list
}

// short replaces what is too long to keep.
func short(text json.RawMessage) json.RawMessage {
	if len(text) <= keptBytes {
		return text
	}
	return json.RawMessage(fmt.Sprintf(`"(%d bytes, left out)"`, len(text)))
}

func (x examples) told(outputs []*output) []wire.DivergenceExample {
	out := make([]wire.DivergenceExample, len(x))
	for i := range x {
		e := &x[i]
		out[i] = wire.DivergenceExample{
			RequestID: e.request, Row: e.row, Time: e.time, Output: outputs[e.output].name,
			Disagrees: e.disagrees, Input: e.input, From: e.from, To: e.to,
		}
		if e.distance > 0 {
			distance := finite(e.distance)
			out[i].Distance = &distance
		}
	}
	return out
}
