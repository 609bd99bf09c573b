package registry

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/durable"
)

// told is what a caller was told of one action: a version, a deployment or an
// alias, as the log has it from then on.
type told struct {
	Digest             string
	Version            int
	Deployment, Stable int
	Champion           int
}

// turnChild does one action for each line that it is sent, a push, a
// deployment, an alias and a rollback in turn, and says what it was told.
// Without syncing it leaves out what makes names last.
func turnChild(root string, syncing bool) {
	disk := &durable.Disk{Call: func(op durable.Op, _ string, do func() error) error {
		if op == durable.OpSyncDir && !syncing {
			return nil
		}
		return do()
	}}
	s, err := Open(root, Options{Disk: disk})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	lines := bufio.NewReader(os.Stdin)
	for turn := 0; ; turn++ {
		if _, err := lines.ReadString('\n'); err != nil {
			return
		}
		t, err := takeTurn(s, turn)
		if err != nil { // the power is gone
			return
		}
		_ = json.NewEncoder(os.Stdout).Encode(t)
	}
}

const turns = 4 // kinds of actions

func takeTurn(s *Store, turn int) (told, error) {
	newest := turn/turns + 1
	stable := newest
	switch turn % turns {
	case 0:
		v, err := push(s, "iris", fmt.Sprint(turn))
		return told{Digest: v.Digest, Version: v.Number}, err
	case 1:
		err := s.SetAlias(context.Background(), "iris", "champion", newest, nil, by)
		return told{Champion: newest}, err
	case 3: // on disk a rollback is one more deployment
		stable = max(1, newest-1)
	}
	d, err := s.Deploy(context.Background(), "iris", NewDeployment{Traffic: wire.Stable(stable)}, by)
	return told{Deployment: d.Number, Stable: d.Stable}, err
}

// keeps reports whether a state has what was told.
func (t told) keeps(st *State) bool {
	switch {
	case t.Version > 0:
		v, ok := st.Version(t.Version)
		return ok && v.Digest == t.Digest
	case t.Deployment > 0:
		return slices.ContainsFunc(st.Deployments, func(d Deployment) bool {
			return d.Number == t.Deployment && d.Stable == t.Stable
		})
	default:
		return st.Aliases["champion"] >= t.Champion // later ones rise
	}
}
