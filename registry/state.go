package registry

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// Parity is the verdict of a version's last examination.
type Parity string

// The verdicts. Readers show one that they do not know as it is written.
const (
	ParityProven     Parity = "proven"     // the server's answers are the pipeline's
	ParityNotProven  Parity = "not-proven" // not compared by a server
	ParityOverridden Parity = "overridden" // it failed and was let in on purpose
	ParityFailed     Parity = "failed"     // a later examination failed
)

// State is what a model's log says now. It is a snapshot that others hold
// too: do not change it.
type State struct {
	Name        string
	Seq         int            // number of the last record; 0: there is no such model
	Versions    []Version      // by number, from 1, the deleted ones too
	Deployments []Deployment   // by number, oldest first
	Aliases     map[string]int // version by alias

	tip  string            // digest of the last record
	keys map[string]Record // by the key that the record's request brought
}

// Version is one registered bundle and what is known of it.
type Version struct {
	Model     string
	Number    int
	Digest    string // of the manifest, "sha256:" and 64 hex digits
	Size      int64  // bytes of all its files
	Parity    Parity // of the last examination
	Report    string // digest of that examination's report, "" where there is none
	With      string // engine and processor of that examination, "" where that is not known
	Loosened  string // what that examination held the answers to, "" for the defaults
	Created   time.Time
	Actor     string
	RequestID string
	Deleted   bool

	// Existing is set by AddVersion alone: the bundle was a version already.
	Existing bool
}

// Deployment says which versions serve. Its number is that of its record.
type Deployment struct {
	Number int
	wire.Traffic
	Reason    string
	Created   time.Time
	Actor     string
	RequestID string

	// Other holds members that this release does not know. Whoever makes a new
	// deployment out of this one hands them on.
	Other map[string]json.RawMessage
}

// Current is the deployment in force, nil where nothing was ever deployed.
func (st *State) Current() *Deployment {
	if len(st.Deployments) == 0 {
		return nil
	}
	return &st.Deployments[len(st.Deployments)-1]
}

// Previous is the deployment that a rollback goes back to: the last one before
// the current whose stable version is another one and was not deleted. It is
// nil where there is none.
func (st *State) Previous() *Deployment {
	now := st.Current()
	for i := len(st.Deployments) - 2; i >= 0; i-- {
		d := &st.Deployments[i]
		if v, ok := st.Version(d.Stable); d.Stable != now.Stable && ok && !v.Deleted {
			return d
		}
	}
	return nil
}

// DeploymentOf is the last deployment that gave version n traffic, or copies of
// it; nil where none did.
func (st *State) DeploymentOf(n int) *Deployment {
	for i := len(st.Deployments) - 1; i >= 0; i-- {
		if d := &st.Deployments[i]; d.Has(n) {
			return d
		}
	}
	return nil
}

// Version returns version n, also when it was deleted.
func (st *State) Version(n int) (Version, bool) {
	if n < 1 || n > len(st.Versions) {
		return Version{}, false
	}
	return st.Versions[n-1], true
}

// Latest is the newest version that was not deleted.
func (st *State) Latest() (Version, bool) {
	for i := len(st.Versions) - 1; i >= 0; i-- {
		if v := st.Versions[i]; !v.Deleted {
			return v, true
		}
	}
	return Version{}, false
}

// ByDigest returns the version, not deleted, whose manifest has this digest.
func (st *State) ByDigest(digest string) (Version, bool) {
	for _, v := range st.Versions {
		if v.Digest == digest && !v.Deleted {
			return v, true
		}
	}
	return Version{}, false
}

// usable returns version n, or the fault of asking for it.
func (st *State) usable(n int) (Version, error) {
	v, ok := st.Version(n)
	switch {
	case st.Seq == 0:
		return v, modelNotFound(st.Name)
	case !ok:
		return v, versionNotFound(st.Name, n)
	case v.Deleted:
		return v, versionDeleted(st.Name, n)
	}
	return v, nil
}

// foldError says which record does not fit what the ones before it say.
type foldError struct {
	seq int
	why error
}

func (e *foldError) Error() string { return fmt.Sprintf("record %d: %v", e.seq, e.why) }

// fold makes the state out of a model's records, all of them and in order. It
// is the whole meaning of a log, and it is pure.
func fold(name string, records []Record) (*State, *foldError) {
	st := &State{Name: name, Aliases: map[string]int{}, keys: map[string]Record{}}
	for i, r := range records {
		why := follows(r, name, i+1, st.tip)
		if why == nil {
			why = st.apply(r)
		}
		if why != nil {
			return nil, &foldError{i + 1, why}
		}
		st.Seq, st.tip = r.Seq, r.digest
		if _, taken := st.keys[r.Key]; r.Key != "" && !taken {
			st.keys[r.Key] = r
		}
	}
	return st, nil
}

// follows checks that r is record seq of the model's log and knows the one
// before it.
func follows(r Record, name string, seq int, prev string) error {
	switch {
	case r.Seq != seq:
		return fmt.Errorf("it says it is record %d", r.Seq)
	case r.Model != name:
		return fmt.Errorf("it belongs to the model %q", r.Model)
	case r.Prev != prev:
		return errBroken
	}
	return nil
}

// apply changes the state by one record, or says why the record is nonsense.
func (st *State) apply(r Record) error {
	switch {
	case r.Kind == KindVersionAdded && r.Version != nil:
		return st.addVersion(r)
	case r.Kind == KindExamined && r.Examined != nil:
		return st.change(r.Examined.Version, func(v *Version) {
			v.Parity, v.Report, v.With = r.Examined.Parity, r.Examined.Report, r.Examined.With
			v.Loosened = r.Examined.Loosened
		})
	case r.Kind == KindAlias && r.Alias != nil:
		return st.setAlias(*r.Alias)
	case r.Kind == KindDeployment && r.Deployment != nil:
		return st.deploy(deploymentOf(r))
	case r.Kind == KindDeleted && r.Deleted != nil:
		return st.change(r.Deleted.Version, func(v *Version) { v.Deleted = true })
	}
	switch r.Kind {
	case KindVersionAdded, KindExamined, KindAlias, KindDeployment, KindDeleted:
		return fmt.Errorf("it is of kind %s and lacks the member of that kind", r.Kind)
	}
	return fmt.Errorf("its kind %q is unknown to this release; "+
		"if a newer tenon wrote it, use that release or a newer one", r.Kind)
}

// deploy refuses a deployment of versions that never were.
func (st *State) deploy(d Deployment) error {
	st.Deployments = append(st.Deployments, d)
	versions := []int{d.Stable}
	if c := d.Canary; c != nil {
		if c.Step < 0 || c.Step >= len(c.Steps) {
			return fmt.Errorf("its canary is at step %d of %d", c.Step, len(c.Steps))
		}
		versions = append(versions, c.Version)
	}
	if d.Shadow != 0 {
		versions = append(versions, d.Shadow)
	}
	for _, n := range versions {
		if err := st.change(n, func(*Version) {}); err != nil {
			return err
		}
	}
	return nil
}

func (st *State) addVersion(r Record) error {
	if r.Version.Version != len(st.Versions)+1 {
		return fmt.Errorf("it adds version %d where %d is next", r.Version.Version, len(st.Versions)+1)
	}
	if _, err := hexOf(r.Version.Digest); err != nil {
		return err
	}
	st.Versions = append(st.Versions, versionOf(r))
	return nil
}

func (st *State) change(n int, edit func(*Version)) error {
	if _, ok := st.Version(n); !ok {
		return fmt.Errorf("it speaks of version %d, which was never added", n)
	}
	edit(&st.Versions[n-1])
	return nil
}

func (st *State) setAlias(a AliasSet) error {
	if a.Version == 0 {
		delete(st.Aliases, a.Name)
		return nil
	}
	st.Aliases[a.Name] = a.Version
	return st.change(a.Version, func(*Version) {})
}

func versionOf(r Record) Version {
	return Version{
		Model: r.Model, Number: r.Version.Version, Digest: r.Version.Digest, Size: r.Version.Size,
		Parity: r.Version.Parity, Report: r.Version.Report, With: r.Version.With, Loosened: r.Version.Loosened,
		Created: r.Time, Actor: r.Actor, RequestID: r.RequestID,
	}
}

func deploymentOf(r Record) Deployment {
	return Deployment{
		Number: r.Seq, Traffic: r.Deployment.Traffic, Reason: r.Deployment.Reason,
		Created: r.Time, Actor: r.Actor, RequestID: r.RequestID, Other: r.Deployment.Other,
	}
}
