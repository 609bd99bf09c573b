package registry

import (
	"errors"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/durable"
	"github.com/tenon-ml/tenon/internal/fault"
)

var keyed = Stamp{Actor: "ada", RequestID: "req-2", Key: "retry-1", Request: "sha256:what"}

// repeats returns the record that an error says was written before.
func repeats(t testing.TB, err error) Record {
	t.Helper()
	var before *Repeated
	if !errors.As(err, &before) {
		t.Fatalf("got %v, want a *Repeated", err)
	}
	return before.Record
}

func TestAKeyIsUsedOnce(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	pushed(t, s, "iris", "a")
	pushed(t, s, "iris", "b")
	for _, test := range []struct {
		name string
		do   func(s *Store, by Stamp) error
	}{
		{"deploy", func(s *Store, by Stamp) error {
			_, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, by)
			return err
		}},
		{"alias", func(s *Store, by Stamp) error { return s.SetAlias(t.Context(), "iris", "best", 1, nil, by) }},
		{"alias that is there", func(s *Store, by Stamp) error { return s.SetAlias(t.Context(), "iris", "best", 1, nil, by) }},
		{"delete", func(s *Store, by Stamp) error { return s.DeleteVersion(t.Context(), "iris", 2, "", by) }},
		{"push", func(s *Store, by Stamp) error {
			in, err := stage(s, bundleOf("c"))
			if err != nil {
				return err
			}
			defer func() { _ = in.Discard() }()
			_, err = s.AddVersion(t.Context(), "iris", in, NewVersion{Parity: ParityNotProven}, by)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			by := Stamp{Actor: "ada", Key: "key of " + test.name, Request: "sha256:" + test.name}
			if err := s.Repeated(t.Context(), "iris", by); err != nil {
				t.Fatalf("a new key: %v", err)
			}
			if err := test.do(s, by); err != nil {
				t.Fatal(err)
			}
			records, err := s.Log("iris")
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []*Store{s, open(t, root)} { // in this process, and in the next
				for _, err := range []error{s.Repeated(t.Context(), "iris", by), test.do(s, by)} {
					if r := repeats(t, err); !reflect.DeepEqual(r, records[len(records)-1]) {
						t.Errorf("%+v", r)
					}
				}
				other := by
				other.Request = "sha256:another"
				wantFault(t, s.Repeated(t.Context(), "iris", other), fault.IdempotencyKeyReused)
				wantFault(t, test.do(s, other), fault.IdempotencyKeyReused)
			}
			if after, _ := s.Log("iris"); len(after) != len(records) {
				t.Errorf("%d records, then %d", len(records), len(after))
			}
		})
	}
	if err := s.Repeated(t.Context(), "wine", keyed); err != nil {
		t.Errorf("the key of another model: %v", err)
	}
}

// What was done since does not matter: a retry is answered as the first was.
func TestARetryDoesNotUndoWhatCameAfter(t *testing.T) {
	s := open(t, t.TempDir())
	pushed(t, s, "iris", "a")
	pushed(t, s, "iris", "b")
	if err := s.SetAlias(t.Context(), "iris", "best", 1, nil, by); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		version int
		by      Stamp
	}{{1, keyed}, {2, by}} {
		if err := s.SetAlias(t.Context(), "iris", "best", step.version, nil, step.by); err != nil {
			t.Fatal(err)
		}
	}
	repeats(t, s.SetAlias(t.Context(), "iris", "best", 1, nil, keyed))
	if st := state(t, s, "iris"); st.Aliases["best"] != 2 {
		t.Errorf("%v", st.Aliases)
	}
}

func TestRetriesAtOnceMakeOneRecord(t *testing.T) {
	root := t.TempDir()
	pushed(t, open(t, root), "iris", "a")
	var wg sync.WaitGroup
	done := make(chan error, 32)
	for _, s := range []*Store{open(t, root), open(t, root)} {
		for range cap(done) / 2 {
			wg.Go(func() {
				_, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, keyed)
				done <- err
			})
		}
	}
	wg.Wait()
	close(done)
	first := 0
	for err := range done {
		if err == nil {
			first++
		} else {
			repeats(t, err)
		}
	}
	if st := state(t, open(t, root), "iris"); first != 1 || st.Seq != 2 {
		t.Errorf("%d of them were the first, %d records", first, st.Seq)
	}
}

// Every call of a deployment fails in turn; the caller, who cannot know what
// came of it, sends the same again; then the power is cut.
func TestARetryAfterAnyFailureMakesOneRecord(t *testing.T) {
	for n := 1; ; n++ {
		root := t.TempDir()
		r := &rehearsal{with: syscall.EIO, dead: n%4 > 1, after: n%2 == 0, unsynced: map[string][]string{}}
		s, err := Open(root, Options{Disk: r.disk()})
		if err != nil {
			t.Fatal(err)
		}
		pushed(t, s, "iris", "a")
		r.arm((n + 3) / 4)
		_, err = s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, keyed)
		reached := err != nil || len(r.calls) >= r.fail
		calls := slices.Clone(r.calls)
		r.arm(0)
		if _, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, keyed); err != nil {
			if record := repeats(t, err); record.Seq != 2 {
				t.Errorf("%+v", record)
			}
		}
		r.cutPower(t)
		if st := state(t, open(t, root), "iris"); st.Seq != 2 || len(st.Deployments) != 1 {
			t.Fatalf("round %d, calls %v: %d records", n, calls, st.Seq)
		}
		if !reached {
			return
		}
	}
}

// The outcome of the first was unclear; that of the retry is not.
func TestARetrySettlesAnUnclearOutcome(t *testing.T) {
	s := open(t, t.TempDir())
	pushed(t, s, "iris", "a")
	bad := true
	s.disk = &durable.Disk{Call: func(op durable.Op, path string, do func() error) error {
		if bad && op == durable.OpSyncDir && path == s.logDir("iris") {
			return syscall.EIO
		}
		return do()
	}}
	for range 2 { // the retry, too, says nothing before the record would last
		_, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, keyed)
		wantFault(t, err, fault.StorageFailed)
	}
	bad = false
	_, err := s.Deploy(t.Context(), "iris", NewDeployment{Traffic: wire.Stable(1)}, keyed)
	if r := repeats(t, err); r.Seq != 2 {
		t.Errorf("%+v", r)
	}
}
