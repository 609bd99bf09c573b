package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// kind says what a frame's body is.
type kind uint32

const (
	kindLoad  kind = iota + 1 // to the child: a graph, as appendGraph writes it
	kindRun                   // to the child: the inputs
	kindDone                  // from the child: the outputs; nothing after a load
	kindFault                 // from the child: what refused the call
)

const (
	headerBytes = 16
	// inlineMost is the largest tensor that travels in a frame.
	inlineMost = 32 << 10
	// maxFrame is far above any frame: strings and rewritten models are inline.
	maxFrame = 3 << 30
	// keepFrame is the largest buffer that a lane keeps for its next frame.
	keepFrame = 1 << 20
)

var errFrame = errors.New("a frame that makes no sense")

// frame is one message. Its body is valid until the next frame of its lane.
type frame struct {
	kind   kind
	number uint64
	body   []byte
}

// lane is one end of a pair of sockets and its shared memory. One run uses it at
// a time.
type lane struct {
	conn         io.ReadWriteCloser
	mine, theirs memory // what this side writes, and what it reads
	buffer       []byte
}

// send writes one frame, whose body add appends.
func (l *lane) send(k kind, number uint64, add func([]byte) []byte) error {
	b := append(l.buffer[:0], make([]byte, headerBytes)...)
	if add != nil {
		b = add(b)
	}
	l.keep(b)
	if len(b) > maxFrame {
		return fmt.Errorf("%w: %d bytes", errFrame, len(b))
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)-headerBytes))
	binary.NativeEndian.PutUint32(b[4:], uint32(k))
	binary.NativeEndian.PutUint64(b[8:], number)
	_, err := l.conn.Write(b)
	return err
}

// receive reads the next frame. A small one takes one read.
func (l *lane) receive() (frame, error) {
	b := l.buffer[:cap(l.buffer)]
	if len(b) < 4<<10 {
		b = make([]byte, 4<<10)
	}
	n, err := io.ReadAtLeast(l.conn, b, headerBytes)
	if err != nil {
		return frame{}, err
	}
	length, k := int(binary.NativeEndian.Uint32(b)), kind(binary.NativeEndian.Uint32(b[4:]))
	if length > maxFrame || k < kindLoad || k > kindFault || n > headerBytes+length {
		return frame{}, fmt.Errorf("%w: kind %d, %d bytes", errFrame, k, length)
	}
	if headerBytes+length > len(b) {
		b = append(make([]byte, 0, headerBytes+length), b[:n]...)
	}
	b = b[:headerBytes+length]
	l.keep(b)
	if _, err := io.ReadFull(l.conn, b[n:]); err != nil {
		return frame{}, err
	}
	return frame{kind: k, number: binary.NativeEndian.Uint64(b[8:]), body: b[headerBytes:]}, nil
}

// keep keeps a buffer for the next frame; one large model is no reason to keep
// as much for ever.
func (l *lane) keep(b []byte) {
	if l.buffer = b; cap(b) > keepFrame {
		l.buffer = nil
	}
}

// close ends the lane; nobody may use its memory any more.
func (l *lane) close() {
	l.conn.Close()
	l.mine.close()
	l.theirs.close()
}

// The places where a tensor's elements may be.
const (
	inline  = 0
	shared  = 1
	strings = 2
)

// appendTensors writes tensors: their number, then for each its type, rank,
// place, dimensions, and elements or where they lie in the memory, to which
// large ones are copied while it has room.
func appendTensors(b []byte, tensors []*tensor.Tensor, m memory) []byte {
	used := 0
	b = binary.NativeEndian.AppendUint32(b, uint32(len(tensors)))
	for _, x := range tensors {
		where := byte(inline)
		switch {
		case x.Type == tensor.String:
			where = strings
		case len(x.Data) >= inlineMost && len(x.Data) <= len(m)-used:
			where = shared
		}
		b = append(b, byte(x.Type), byte(len(x.Shape)), where)
		for _, d := range x.Shape {
			b = binary.NativeEndian.AppendUint64(b, uint64(d))
		}
		switch where {
		case inline:
			b = append(binary.NativeEndian.AppendUint64(b, uint64(len(x.Data))), x.Data...)
		case shared:
			b = binary.NativeEndian.AppendUint64(b, uint64(len(x.Data)))
			b = binary.NativeEndian.AppendUint64(b, uint64(used))
			copy(m[used:], x.Data)
			used += (len(x.Data) + page - 1) / page * page
		case strings:
			for _, s := range x.Strings {
				b = append(binary.NativeEndian.AppendUint32(b, uint32(len(s))), s...)
			}
		}
	}
	return b
}

// reader takes values off a body; after the first that is not there, all are
// zero and bad is set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text() string { return string(r.bytes(uint64(r.uint32()))) }

// tensors reads what appendTensors wrote. Elements in the memory are copied,
// unless borrow is set: then a tensor lies where the other side wrote it. end is
// how much of the memory they take.
func (r *reader) tensors(m memory, borrow bool) (out []*tensor.Tensor, end int, err error) {
	for range r.uint32() {
		if r.bad {
			break
		}
		typ, rank, where := tensor.Type(r.byte()), r.byte(), r.byte()
		shape := make([]int64, rank)
		for k := range shape {
			shape[k] = int64(r.uint64())
		}
		x, to := r.elements(typ, shape, where, m, borrow)
		if x == nil {
			return nil, end, errFrame
		}
		out, end = append(out, x), max(end, to)
	}
	if r.bad || len(r.rest) > 0 {
		return nil, end, errFrame
	}
	return out, end, nil
}

func (r *reader) elements(typ tensor.Type, shape []int64, where byte, m memory, borrow bool) (x *tensor.Tensor, end int) {
	count := tensor.Count(shape)
	if where == strings {
		return r.strings(count, shape), 0
	}
	length := r.uint64()
	if typ < tensor.Bool || typ >= tensor.String || count < 0 || length != uint64(count)*uint64(typ.Size()) {
		return nil, 0
	}
	if where == inline {
		data := r.bytes(length)
		if r.bad {
			return nil, 0
		}
		x = tensor.New(typ, shape...)
		copy(x.Data, data)
		return x, 0
	}
	from := r.uint64()
	if from > uint64(len(m)) || length > uint64(len(m))-from || from%page != 0 {
		return nil, 0
	}
	data := m[from : from+length : from+length]
	if borrow {
		return &tensor.Tensor{Type: typ, Shape: shape, Data: data}, int(from + length)
	}
	x = tensor.New(typ, shape...)
	copy(x.Data, data)
	return x, int(from + length)
}

func (r *reader) strings(count int64, shape []int64) *tensor.Tensor {
	if count < 0 || uint64(count) > uint64(len(r.rest)/4) {
		return nil
	}
	x := tensor.New(tensor.String, shape...)
	for i := range x.Strings {
		x.Strings[i] = r.text()
	}
	return x
}

// appendFault writes a fault; an error that is none has only its words, for
// the log of the server.
func appendFault(b []byte, err error) []byte {
	e := fault.As(err)
	if e == nil {
		e = &fault.Error{}
	}
	b = binary.NativeEndian.AppendUint32(b, uint32(e.Kind))
	for _, s := range []string{string(e.Code), e.Detail, err.Error()} {
		b = append(binary.NativeEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}

func (r *reader) fault() error {
	k, code, detail, cause := fault.Kind(r.uint32()), r.text(), r.text(), r.text()
	switch {
	case r.bad:
		return errFrame
	case code == "":
		return errors.New(cause)
	default:
		return fault.New(k, fault.Code(code), "%s", detail).Because(errors.New(cause))
	}
}
