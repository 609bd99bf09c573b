package lifecycle

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

// maxOperations is how many are remembered; the oldest finished ones go first.
const maxOperations = 1000

// keptExamples is how many rehearsals keep the rows they show: these may be large.
const keptExamples = 20

// The kinds of operations.
const (
	KindPush      = "push"
	KindRehearsal = "rehearsal"
)

// Operation is work that may outlast the request that began it. It lives in
// memory: after a restart it is gone, and is begun again, which is safe.
type Operation struct {
	id      string
	kind    string
	model   string
	created time.Time
	ended   chan struct{}

	mu          sync.Mutex
	state       string // queued, running, succeeded, failed
	phase       string
	done, total int
	outcome     Outcome
	err         error
}

// Outcome is what came of an operation that succeeded, by its kind.
type Outcome struct {
	Published  *wire.Published  // of a push
	Divergence *wire.Divergence // of a rehearsal
}

// Wait waits until the operation has ended, or ctx has; the outcome is valid
// where ended is true. One that has ended says so whatever ctx does.
func (o *Operation) Wait(ctx context.Context) (outcome Outcome, ended bool, err error) {
	select {
	case <-o.ended:
	case <-ctx.Done():
		if !o.over() {
			return Outcome{}, false, nil
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.outcome, true, o.err
}

// Describe says how far the operation is. problem words its error.
func (o *Operation) Describe(problem func(error) wire.Problem) wire.Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := wire.Operation{
		ID: o.id, Kind: o.kind, Model: o.model, State: o.state, Phase: o.phase, Created: o.created, Done: o.done, Total: o.total,
		Result: o.outcome.Published, Divergence: o.outcome.Divergence,
	}
	if o.err != nil {
		p := problem(o.err)
		out.Error = &p
	}
	return out
}

func (o *Operation) progress(phase string, done, total int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state, o.phase, o.done, o.total = "running", phase, done, total
}

// end is called once; the outcome is not changed afterwards.
func (o *Operation) end(outcome Outcome, err error) {
	o.mu.Lock()
	o.state, o.phase, o.outcome, o.err = "succeeded", "", outcome, err
	if err != nil {
		o.state, o.outcome = "failed", Outcome{}
	}
	o.mu.Unlock()
	close(o.ended)
}

// withoutExamples takes requests out of what a rehearsal has found. Others may be
// reading what it was.
func (o *Operation) withoutExamples() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if found := o.outcome.Divergence; found != nil {
		bare := *found
		bare.Examples = []wire.DivergenceExample{}
		o.outcome.Divergence = &bare
	}
}

// operations remembers what runs and what ran.
type operations struct {
	mu   sync.Mutex
	list []*Operation // oldest first
}

func (s *operations) begin(kind, model string) *Operation {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	o := &Operation{
		id: hex.EncodeToString(random[:]), kind: kind, model: model, created: time.Now().UTC(), ended: make(chan struct{}), state: "queued",
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rehearsals := 0
	for _, old := range slices.Backward(s.list) {
		if old.kind == KindRehearsal {
			rehearsals++
		}
		if rehearsals >= keptExamples {
			old.withoutExamples()
		}
	}
	s.list = append(s.list, o)
	if len(s.list) > maxOperations {
		if i := slices.IndexFunc(s.list, func(o *Operation) bool { return o.over() }); i >= 0 {
			s.list = slices.Delete(s.list, i, i+1)
		}
	}
	return o
}

// open is how many of a kind have not ended.
func (s *operations) open(kind string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.list {
		if o.kind == kind && !o.over() {
			n++
		}
	}
	return n
}

func (o *Operation) over() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

// Operations lists what runs and what ran, newest first.
func (m *Manager) Operations() []*Operation {
	m.operations.mu.Lock()
	defer m.operations.mu.Unlock()
	list := slices.Clone(m.operations.list)
	slices.Reverse(list)
	return list
}

// Operation finds one by its id.
func (m *Manager) Operation(id string) (*Operation, error) {
	for _, o := range m.Operations() {
		if o.id == id {
			return o, nil
		}
	}
	return nil, fault.New(fault.NotFound, fault.OperationNotFound,
		"There is no operation %.40q; they are forgotten when the server starts: begin it again, which is safe.", id)
}
