package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
)

// unreliable is a server whose connection fails after it has read a request,
// or in the middle of its answer, as often as it is told.
type unreliable struct {
	mu       sync.Mutex
	failures int
	halfway  bool
	got      []string // key and body of every request
}

func (u *unreliable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.got = append(u.got, r.Method+" "+r.Header.Get("Idempotency-Key")+" "+string(body))
	if len(u.got) <= u.failures {
		if u.halfway {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"deployment":`)
		}
		panic(http.ErrAbortHandler)
	}
	fmt.Fprint(w, `{"deployment":4}`)
}

func (u *unreliable) sent() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.got)
}

func TestAChangeIsSentAgain(t *testing.T) {
	for _, test := range []struct {
		failures int
		halfway  bool
		sent     int
		fails    bool
	}{{0, false, 1, false}, {1, false, 2, false}, {2, true, 3, false}, {3, false, 3, true}, {3, true, 3, true}} {
		u := &unreliable{failures: test.failures, halfway: test.halfway}
		d, err := answering(t, u.ServeHTTP).Deploy(t.Context(), "iris", wire.Deploy{Traffic: wire.Stable(3)})
		if (err != nil) != test.fails || err == nil && d.Number != 4 {
			t.Errorf("%+v: %+v, %v", test, d, err)
		}
		sent := u.sent()
		if len(sent) != test.sent || len(sent[0]) < len("POST 0123456789abcdef{}") || len(slices.Compact(slices.Clone(sent))) != 1 {
			t.Errorf("%+v: sent %q", test, sent)
		}
	}
	// Each change has a key of its own.
	u := &unreliable{}
	c := answering(t, u.ServeHTTP)
	for range 2 {
		if _, err := c.DeleteVersion(t.Context(), "iris", 3, ""); err != nil {
			t.Error(err)
		}
	}
	if sent := u.sent(); len(sent) != 2 || sent[0] == sent[1] {
		t.Errorf("%q", sent)
	}
}

// A refusal is an answer, and a question can be asked again by whoever asked.
func TestOnlyChangesAreSentAgain(t *testing.T) {
	var asked atomic.Int32
	refusing := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"status":500,"code":"storage-failed","detail":"The disk is full."}`)
	})
	var p *client.Problem
	if _, err := refusing.Rollback(t.Context(), "iris", wire.Rollback{}); !errors.As(err, &p) || asked.Load() != 1 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	u := &unreliable{failures: 1}
	if _, err := answering(t, u.ServeHTTP).Models(t.Context()); err == nil || len(u.sent()) != 1 {
		t.Errorf("asked %q: %v", u.sent(), err)
	}
}
