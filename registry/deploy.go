package registry

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
)

// NewDeployment is what Deploy records. Expected, where given, is the number
// of the deployment that the caller saw as the current one (0: none); left
// out, the last writer wins. Other is handed on from a deployment that a
// rollback goes back to.
type NewDeployment struct {
	wire.Traffic
	Reason   string
	Expected *int
	Other    map[string]json.RawMessage
}

// Deploy records which versions serve. It loads and routes nothing; lifecycle
// has done the loading before and swaps afterwards. Faults: model-not-found,
// version-not-found, stale-expected naming the current deployment,
// quarantined, storage-failed.
func (s *Store) Deploy(ctx context.Context, name string, d NewDeployment, by Stamp) (Deployment, error) {
	if err := ref.CheckName(name); err != nil {
		return Deployment{}, err
	}
	r, err := s.commit(ctx, name, by, func(st *State) (*Record, error) {
		if err := st.usableAll(d.Traffic); err != nil {
			return nil, err
		}
		if err := expectDeployment(st, d.Expected); err != nil {
			return nil, err
		}
		body := &DeploymentRecord{knownDeployment{d.Traffic, d.Reason, d.Expected}, d.Other}
		return &Record{Kind: KindDeployment, Deployment: body}, nil
	})
	if err != nil {
		return Deployment{}, err
	}
	return deploymentOf(*r), nil
}

// usableAll checks that the versions of a deployment are there.
func (st *State) usableAll(t wire.Traffic) error {
	if _, err := st.usable(t.Stable); err != nil {
		return err
	}
	if t.Canary != nil {
		if _, err := st.usable(t.Canary.Version); err != nil {
			return err
		}
	}
	if t.Shadow != 0 {
		if _, err := st.usable(t.Shadow); err != nil {
			return err
		}
	}
	return nil
}

func expectDeployment(st *State, expected *int) error {
	now := st.Current()
	switch {
	case expected == nil:
		return nil
	case now == nil && *expected != 0:
		return stale("%s has no deployment, and you expected number %d; look at it again", st.Name, *expected)
	case now != nil && *expected != now.Number:
		return stale("the current deployment of %s is number %d (stable: version %d, by %q), and you expected %d; "+
			"look at it, then repeat with \"expected\": %d",
			st.Name, now.Number, now.Stable, now.Actor, *expected, now.Number)
	}
	return nil
}

// SetAlias points an alias to a version; version 0 removes it. Expected, where
// given, is the version that it pointed to when the caller looked (0: none).
// An alias that points there already needs no record. Faults as Deploy's, and
// invalid-reference, alias-not-found.
func (s *Store) SetAlias(
	ctx context.Context, name, alias string, version int, expected *int, by Stamp,
) error {
	if err := ref.CheckName(name); err != nil {
		return err
	}
	if err := ref.CheckAlias(alias); err != nil {
		return err
	}
	_, err := s.commit(ctx, name, by, func(st *State) (*Record, error) {
		now := st.Aliases[alias]
		if version != 0 {
			if _, err := st.usable(version); err != nil {
				return nil, err
			}
		} else if st.Seq == 0 {
			return nil, modelNotFound(name)
		}
		switch {
		case expected != nil && *expected != now:
			return nil, stale("%s@%s points to version %d now (0: nowhere), and you expected %d; look at it again",
				name, alias, now, *expected)
		case version == 0 && now == 0:
			return nil, fault.New(fault.NotFound, fault.AliasNotFound, "%s has no alias %q", name, alias)
		case version == now && by.Key == "": // a key is kept, so that it holds when the alias has moved on
			return nil, nil
		}
		return &Record{Kind: KindAlias, Alias: &AliasSet{Name: alias, Version: version, Expected: expected}}, nil
	})
	return err
}

// DeleteVersion records that a version is gone for good; its number is never
// given again, and its files are left to a later collection. A version that
// is deployed or has an alias is refused as version-in-use. Deleting twice is
// version-not-found.
func (s *Store) DeleteVersion(ctx context.Context, name string, n int, reason string, by Stamp) error {
	if err := ref.CheckName(name); err != nil {
		return err
	}
	_, err := s.commit(ctx, name, by, func(st *State) (*Record, error) {
		if _, err := st.usable(n); err != nil {
			return nil, err
		}
		if err := checkUnused(st, n); err != nil {
			return nil, err
		}
		return &Record{Kind: KindDeleted, Deleted: &Deleted{Version: n, Reason: reason}}, nil
	})
	return err
}

// checkUnused makes sure that version n takes no requests, and says what to
// type where it does.
func checkUnused(st *State, n int) error {
	d := st.Current()
	switch {
	case d == nil:
	case d.Stable == n:
		return inUse("%s/%d is in traffic; put another version there first, with `tenon deploy %s/N`", st.Name, n, st.Name)
	case d.Canary != nil && d.Canary.Version == n:
		return inUse("%s/%d is on trial as the canary; end that first, with `tenon rollback %s`", st.Name, n, st.Name)
	case d.Has(n):
		return inUse("%s/%d is the shadow, which gets copies of requests; end that first, with `tenon deploy %s/%d`", st.Name, n, st.Name, d.Stable)
	}
	for _, alias := range slices.Sorted(maps.Keys(st.Aliases)) {
		if st.Aliases[alias] == n {
			return inUse("%s@%s points to %s/%d; point it elsewhere first, with `tenon alias %s@%s N`, or remove it with --delete",
				st.Name, alias, st.Name, n, st.Name, alias)
		}
	}
	return nil
}

func stale(format string, args ...any) error {
	return fault.New(fault.Conflict, fault.StaleExpected, format, args...)
}

func inUse(format string, args ...any) error {
	return fault.New(fault.Conflict, fault.VersionInUse, format, args...)
}
