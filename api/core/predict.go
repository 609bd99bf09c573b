package core

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Codec is one dialect's wire form of a prediction. A codec serves one
// request: Decode is called once, and Append once after it.
type Codec interface {
	// Decode reads the body into the frame; what is wrong with it is an
	// invalid fault.
	Decode(body []byte, frame *tensor.Frame) error
	// Append writes the answer's body. It may refuse outputs that the form of
	// the request cannot carry.
	Append(dst []byte, a *Answer) ([]byte, error)
}

// Answer is what a prediction says, before it is written.
type Answer struct {
	Model   string
	Version int
	Parity  string
	Rows    int
	Outputs []tensor.Output
	Timing  host.Timing
}

// Predictor answers predict requests on a host.
type Predictor struct {
	Host *host.Host
	// Timeout is the deadline of a prediction once its body is read.
	Timeout time.Duration
	// Watch, where set, is told of every prediction; it must not block.
	Watch func(model string, version, rows int, t host.Timing, err error)
}

// Predict pins the version that r names, decodes, runs and writes the answer
// into a new slice. The answer's outputs are gone when it returns.
func (p *Predictor) Predict(ctx context.Context, r ref.Reference, body []byte, codec Codec) ([]byte, Answer, error) {
	lease, err := p.Host.Acquire(ctx, r)
	if err != nil {
		return nil, Answer{}, err
	}
	defer lease.Release()
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	answer := Answer{Model: lease.Model, Version: lease.Number, Parity: lease.Parity()}
	out, err := predict(ctx, lease, body, codec, &answer)
	if p.Watch != nil && !host.Probing(ctx) {
		p.Watch(answer.Model, answer.Version, answer.Rows, answer.Timing, err)
	}
	answer.Outputs = nil
	return out, answer, err
}

func predict(ctx context.Context, lease host.Lease, body []byte, codec Codec, answer *Answer) ([]byte, error) {
	frame := lease.Plan.Frame()
	defer lease.Plan.Recycle(frame)
	err := codec.Decode(body, frame)
	if err != nil {
		return nil, err
	}
	answer.Rows = frame.Rows
	answer.Outputs, answer.Timing, err = lease.Predict(ctx, frame)
	if err != nil {
		return nil, err
	}
	return codec.Append(nil, answer)
}

// Describe sets the headers that say which version answered.
func Describe(h http.Header, a Answer) {
	if a.Model == "" {
		return
	}
	h.Set("Tenon-Model", a.Model)
	h.Set("Tenon-Version", strconv.Itoa(a.Version))
	h.Set("Tenon-Parity", a.Parity)
}
