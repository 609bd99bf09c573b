package capture

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/internal/durable"
)

// Options are what a Recorder is made of. Dir, MaxBytes and Log are needed.
type Options struct {
	Dir      string // of all models; made when the first request is kept
	MaxBytes int64  // of one model's segments together
	Log      *slog.Logger

	Disk  *durable.Disk    // nil: the real disk
	Ticks <-chan time.Time // when segments that grow are written; nil: every five seconds
	Now   func() time.Time // nil: the system's clock
}

// Request is one that is kept.
type Request struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Version int       `json:"version"` // that answered
	// Body holds the rows, as instances or as inputs, and nothing else.
	Body json.RawMessage `json:"body"`
}

// Offer is a request that may be kept: Body is as it came.
type Offer struct {
	Model string
	Request
	// Redact names the columns whose values are not kept.
	Redact []string
	// Only is the version's column where it has just one, whose values may
	// stand in a request without its name.
	Only string
	// Example returns a row that the version takes, whose values stand in for
	// those that are not kept; nil where there is none. It may be slow.
	Example func() json.RawMessage
}

const (
	// queued is how many offers wait at most; each holds on to its body.
	queued = 64
	// parts is how many segments make up the bound, roughly; a request that is
	// larger than one of them is not kept.
	parts = 16
	// mostPart bounds a segment under a large bound, too: it is in memory while it
	// grows, and is written anew each time.
	mostPart = 16 << 20
	// writeEvery is how much a server that dies may lose.
	writeEvery = 5 * time.Second
)

// Recorder keeps requests of all models. It is safe for concurrent use.
type Recorder struct {
	Options
	queue   chan Offer
	skipped atomic.Int64

	mu     sync.Mutex
	open   map[string]*segment  // by model
	erased map[string]time.Time // by model: what is older is not kept any more
}

// New returns a Recorder that keeps nothing until Run.
func New(o Options) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Recorder{
		Options: o, queue: make(chan Offer, queued), open: map[string]*segment{}, erased: map[string]time.Time{},
	}
}

// Offer hands over a request to keep. It never blocks.
func (r *Recorder) Offer(o Offer) {
	if int64(len(o.Body)) > r.part() {
		r.skipped.Add(1)
		return
	}
	select {
	case r.queue <- o:
	default:
		r.skipped.Add(1)
	}
}

func (r *Recorder) part() int64 { return min(r.MaxBytes/parts, mostPart) }

// Run keeps what is offered until ctx ends, and then writes what it has.
func (r *Recorder) Run(ctx context.Context) {
	ticks := r.Ticks
	if ticks == nil {
		ticker := time.NewTicker(writeEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case o := <-r.queue:
			r.keep(o)
		case <-ticks:
			r.writeAll()
		case <-ctx.Done():
			for len(r.queue) > 0 {
				r.keep(<-r.queue)
			}
			r.writeAll()
			return
		}
	}
}

// keep adds a request to its model's segment, which is written once it is full.
func (r *Recorder) keep(o Offer) {
	body, err := redact(&o)
	if err != nil {
		r.skipped.Add(1)
		r.Log.Warn("a request was not kept, because it could not be read", "model", o.Model, "request_id", o.ID, "error", err)
		return
	}
	o.Body, o.Time = body, o.Time.UTC()
	line, err := json.Marshal(o.Request)
	if err != nil || int64(len(line)) >= r.part() {
		r.skipped.Add(1)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !o.Time.After(r.erased[o.Model]) {
		return
	}
	s := r.open[o.Model]
	if s == nil {
		s = newSegment(o.Time)
		r.open[o.Model] = s
	}
	s.add(line)
	if s.bytes >= r.part() {
		r.write(o.Model, s)
		delete(r.open, o.Model)
		r.skipped.Add(int64(len(s.lines) - s.written)) // a disk that refuses must not fill the memory
	}
}

func (r *Recorder) writeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for model, s := range r.open {
		r.write(model, s)
	}
}

// write puts a segment on the disk; r.mu is held.
func (r *Recorder) write(model string, s *segment) {
	if err := r.folder(model).write(s); err != nil {
		r.Log.Error("captured requests could not be written; that is tried again", "model", model, "error", err)
	}
}
