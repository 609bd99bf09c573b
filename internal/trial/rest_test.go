package trial

import (
	"testing"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Clients that ask in turn, as often as copies are made, are all copied.
func TestClientsInTurnAreCopiedAlike(t *testing.T) {
	const clients, rounds = 12, 2000
	var copied [clients]int
	rests := time.Duration(0)
	for i := range clients * rounds {
		now := time.Duration(i) * leastRest
		if now >= rests {
			copied[i%clients]++
			rests = now + rest(ran(time.Millisecond, nil))
		}
	}
	for client, n := range copied {
		if n < rounds/3 {
			t.Errorf("client %d was copied %d times in %d", client, n, rounds)
		}
	}
	if r := rest(ran(time.Second, nil)); r < 2*time.Second || r > 6*time.Second {
		t.Errorf("after a run of a second it rests %s", r)
	}
	if r := rest(ran(time.Second, fault.New(fault.Unavailable, fault.WorkerDied, "Its process ended."))); r > 2*leastRest {
		t.Errorf("after a second of waiting for a process it rests %s", r)
	}
}

func ran(d time.Duration, err error) *host.Event {
	return &host.Event{Timing: host.Timing{Run: d}, Err: err}
}
