package core

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Codec is one dialect's wire form of a prediction. A codec serves one
// request: Decode is called once, and Append once after it.
type Codec interface {
	// Fresh returns another codec of the dialect, for the same request.
	Fresh() Codec
	// Row returns one row of a body that was decoded, as JSON; nil where the
	// dialect has no such form.
	Row(body []byte, row int) json.RawMessage
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

// Request is one prediction that is asked for.
type Request struct {
	Ref    ref.Reference
	Caller string // who asks, in its own words; it stays on one side of a canary
	ID     string
	Body   []byte
}

// Predict pins the version that the request names, decodes, runs and writes the
// answer into a new slice. The answer's outputs are gone when it returns.
//
// A canary is on trial at the server's risk, not the caller's: where it fails,
// refuses the request or takes too long, the stable version answers.
func (p *Predictor) Predict(ctx context.Context, r Request, codec Codec) ([]byte, Answer, error) {
	lease, err := p.Host.Acquire(ctx, r.Ref, r.Caller)
	if err != nil {
		return nil, Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if lease.Role != host.Canary {
		out, answer, event, err := p.attempt(ctx, lease, r, codec)
		tell(lease, event)
		return out, answer, err
	}
	out, answer, event, err := p.trial(ctx, lease, r, codec.Fresh())
	if err == nil || ctx.Err() != nil {
		tell(lease, event)
		return out, answer, err
	}
	stable, failed := p.Host.Stable(r.Ref.Model)
	if failed != nil {
		tell(lease, event)
		return nil, Answer{}, failed
	}
	out, answer, instead, err := p.attempt(ctx, stable, r, codec)
	if event != nil {
		event.Instead = instead
	}
	tell(stable, instead) // first: it is complete before an observer sees it, also as the canary's
	tell(lease, event)
	return out, answer, err
}

func tell(l host.Lease, e *host.Event) {
	if e != nil {
		l.Tell(e)
	}
}

// trial asks a canary, for as long as its caller can be left waiting: half of
// the request's time at most, so that the stable version has the other half.
func (p *Predictor) trial(ctx context.Context, lease host.Lease, r Request, codec Codec) ([]byte, Answer, *host.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, min(p.Timeout/2, lease.Patience()))
	defer cancel()
	return p.attempt(ctx, lease, r, codec)
}

// attempt asks one version, and releases it. The event is nil where nobody
// wants to be told of it.
func (p *Predictor) attempt(ctx context.Context, lease host.Lease, r Request, codec Codec) ([]byte, Answer, *host.Event, error) {
	defer lease.Release()
	began := time.Now()
	answer := Answer{Model: lease.Model, Version: lease.Number, Parity: lease.Parity()}
	out, err := contained(ctx, lease, r.Body, codec, &answer)
	if p.Watch != nil && !host.Probing(ctx) {
		p.Watch(answer.Model, answer.Version, answer.Rows, answer.Timing, err)
	}
	var event *host.Event
	if lease.Watched() {
		event = &host.Event{
			ID: r.ID, At: began, Took: time.Since(began), Timing: answer.Timing, Rows: answer.Rows, Outputs: answer.Outputs, Err: err,
			Body: r.Body, Decode: func(frame *tensor.Frame) error { return codec.Fresh().Decode(r.Body, frame) },
			Row: func(row int) json.RawMessage { return codec.Row(r.Body, row) },
		}
	}
	answer.Outputs = nil
	return out, answer, event, err
}

// contained lets no bug that a canary brings to light reach its caller: the
// stable version is asked then, as for any other failure. Elsewhere a panic is
// the middleware's business.
func contained(ctx context.Context, lease host.Lease, body []byte, codec Codec, answer *Answer) (out []byte, err error) {
	if lease.Role == host.Canary {
		defer func() {
			if cause := recover(); cause != nil {
				out, err = nil, fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
			}
		}()
	}
	return predict(ctx, lease, body, codec, answer)
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
