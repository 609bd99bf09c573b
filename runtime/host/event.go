package host

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/internal/tensor"
)

// Event is one prediction of a client that has ended. Observers share it, and
// must not change it.
type Event struct {
	Model   string
	Version int
	Role    Role
	Routes  *Routes // by which the version was chosen
	ID      string  // of the request
	At      time.Time
	Took    time.Duration // from the lease to the answer
	Timing  Timing
	Rows    int
	Outputs []tensor.Output // nil where Err is set
	Err     error
	// Body is the request as it came, and Decode reads it into a frame, also of
	// another version.
	Body   []byte
	Decode func(*tensor.Frame) error
	// Row is one row of the request as JSON, nil where its form has none.
	Row func(int) json.RawMessage
	// Instead is what the stable version did in the place of a canary that failed.
	Instead *Event
}

// events hands events to observers, off the path of requests.
type events struct {
	queue    chan *Event
	observed atomic.Bool
	bytes    atomic.Int64 // of the bodies and outputs that wait
	dropped  atomic.Int64
}

// How many events wait at most, and how large their bodies and outputs are together.
// Observers take microseconds; what comes faster for long is dropped, and counted.
const (
	queuedEvents = 4096
	queuedBytes  = 256 << 20
)

// Observe hands every event of a watched model to each of the observers, one
// after the other, until ctx ends. It is called once.
func (h *Host) Observe(ctx context.Context, observers ...func(*Event)) {
	h.events.observed.Store(true)
	defer h.events.observed.Store(false)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-h.events.queue:
			h.events.bytes.Add(-e.size())
			for _, observe := range observers {
				observe(e)
			}
		}
	}
}

// Watched reports whether somebody wants to know of this lease's answers: the
// model has a version on trial, or its requests are kept.
func (l Lease) Watched() bool {
	r := l.routes
	return r != nil && l.host.events.observed.Load() && (l.Role == Stable || l.Role == Canary) &&
		(r.Traffic.Canary != nil || r.Traffic.Shadow != 0 || r.Traffic.Capture != nil)
}

// Tell hands an event to the observers. It never blocks, and the lease may be
// released already.
func (l Lease) Tell(e *Event) {
	e.Model, e.Version, e.Role, e.Routes = l.Model, l.Number, l.Role, l.routes
	events := &l.host.events
	size := e.size()
	if events.bytes.Add(size) <= queuedBytes {
		select {
		case events.queue <- e:
			return
		default:
		}
	}
	events.bytes.Add(-size)
	events.dropped.Add(1)
}

// size is what an event keeps from being freed, in bytes, but for strings.
func (e *Event) size() int64 {
	size := len(e.Body)
	for i := range e.Outputs {
		size += len(e.Outputs[i].Values.Data)
	}
	return int64(size)
}
