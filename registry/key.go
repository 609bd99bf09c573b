package registry

import (
	"context"
	"fmt"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
)

// Repeated is the error of a change that was made before: its key is in the
// model's log already, with the same request. Nothing was done now; Record is
// what was done then, and would survive a power cut.
type Repeated struct{ Record Record }

// Error says so in a sentence, for logs.
func (r *Repeated) Error() string {
	return fmt.Sprintf("the change was made before, as record %d of %s", r.Record.Seq, r.Record.Model)
}

// Repeated looks for the key of a change in the model's log, before anything
// is loaded for it; the commit looks again. nil: the key is new, or there is
// none. Faults: idempotency-key-reused, quarantined, storage-failed; else the
// error is a *Repeated.
func (s *Store) Repeated(_ context.Context, name string, by Stamp) error {
	if err := ref.CheckName(name); err != nil || by.Key == "" {
		return err
	}
	l := s.log(name)
	st, err := s.refresh(l)
	if err != nil {
		return err
	}
	return s.repeated(l, st, by)
}

// repeated is that look, in a state that was just folded.
func (s *Store) repeated(l *modelLog, st *State, by Stamp) error {
	before, found := st.keys[by.Key]
	switch {
	case by.Key == "" || !found:
		return nil
	case before.Request != by.Request:
		return fault.New(fault.Unprocessable, fault.IdempotencyKeyReused,
			"the Idempotency-Key %q was used by another request, record %d of %s; use a new key for every change, "+
				"and the same one only to send the same change again", by.Key, before.Seq, l.name)
	}
	// Whoever wrote it may have died before the folder was synced.
	if err := s.syncLog(l); err != nil {
		return storage(err)
	}
	return &Repeated{before}
}

// Deployment is the deployment that was made then.
func (r *Repeated) Deployment() Deployment { return deploymentOf(r.Record) }

// Version is the version that was added then, with the verdict that it had.
func (r *Repeated) Version() Version { return versionOf(r.Record) }
