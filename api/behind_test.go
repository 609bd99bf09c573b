package api_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// follower is a second server on a registry whose first one does all changes.
// What it cannot load for now is the version with the mark "b".
type follower struct {
	*rig
	first   *rig
	ticks   chan time.Time
	now     time.Time
	refuses atomic.Bool
	tries   atomic.Int64 // to load version "b"
}

// following serves iris in three versions of which the first is stable, through
// two servers. Processes are those of isolated versions of the second one.
func following(t *testing.T, processes *engine.Fake) *follower {
	t.Helper()
	f := &follower{ticks: make(chan time.Time), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.refuses.Store(true)
	f.first = serve(t)
	f.first.alike("a", "b", "c")
	f.first.deployed(`{"stable":1}`)
	refuse := func(g engine.Graph) error {
		if markOf(g) != "b" {
			return nil
		}
		f.tries.Add(1)
		if f.refuses.Load() {
			return fault.New(fault.Unprocessable, fault.ModelRefused, "There is no room for it here.")
		}
		return nil
	}
	f.rig = serve(t, func(s *setup) {
		s.root, s.follow, s.engine = f.first.root, f.ticks, &engine.Fake{Refuse: refuse}
		if processes != nil {
			processes.Refuse = func(engine.Graph) error {
				if f.refuses.Load() {
					return fault.New(fault.Unprocessable, fault.ModelRefused, "No process can be started here.")
				}
				return nil
			}
			s.host.Process = processes
		}
	})
	return f
}

// look lets time pass for the second server, which looks at the logs then.
func (f *follower) look(after time.Duration) {
	f.now = f.now.Add(after)
	f.ticks <- f.now
	f.ticks <- f.now // is taken when the first look has ended, and finds nothing to do
}

func (f *follower) state() wire.ModelReady {
	f.t.Helper()
	return f.ready(200).Models[0]
}

func (f *follower) version(n int) wire.Version {
	f.t.Helper()
	v, err := f.Version(f.t.Context(), "iris", n)
	must(f.t, err)
	return v
}

func (f *follower) model() wire.Model {
	f.t.Helper()
	m, err := f.Model(f.t.Context(), parse(f.t, "iris"))
	must(f.t, err)
	return m
}

// says holds that a sentence names both versions and the reason.
func says(t *testing.T, sentence string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(sentence, part) {
			t.Errorf("%q is not in %q", part, sentence)
		}
	}
}

// counts holds that the metrics have these lines.
func (r *rig) counts(lines ...string) {
	r.t.Helper()
	have := strings.Split(r.metrics(), "\n")
	for _, line := range lines {
		if !slices.Contains(have, line) {
			name, _, _ := strings.Cut(line, " ")
			i := slices.IndexFunc(have, func(l string) bool { return strings.HasPrefix(l, name) })
			r.t.Errorf("the metrics say %q, want %q", have[max(i, 0)], line)
		}
	}
}

// TestTheVersionBeforeGoesOn where a server cannot load the one that another has
// deployed; everybody can see it, and it takes over when it can be loaded.
func TestTheVersionBeforeGoesOn(t *testing.T) {
	f := following(t, nil)
	f.first.deployed(`{"stable":2}`)
	f.look(0)
	f.by("") // fails the test where nobody answers
	if version := f.by("customer"); version != "1" {
		t.Errorf("version %q answers, want the one before", version)
	}
	m := f.model()
	if m.Stable != 2 || m.Ready {
		t.Errorf("%+v", m)
	}
	says(t, m.Problem, "iris/2", "iris/1", "There is no room for it here.")
	r := f.state()
	if r.State != "behind" || r.Version != 1 {
		t.Errorf("%+v", r)
	}
	says(t, r.Detail, "iris/2", "iris/1", "There is no room for it here.")
	says(t, f.version(2).Problem, "iris/2", "iris/1")
	wantProblem(t, f.send("POST", "/v1/models/iris/versions/2/predict", `{"instances":[[1,2]]}`), 503, "unloadable")
	f.counts("tenon_versions_failed 1", "tenon_versions_loaded 1")
	if line := f.log.wait(t, "the version before goes on in the place of one that could not be loaded", ""); line["serving"] != 1.0 || line["deployed"] != 2.0 {
		t.Errorf("%v", line)
	}

	f.refuses.Store(false)
	f.look(5 * time.Second)
	if version := f.by(""); version != "2" {
		t.Errorf("version %q answers, and version 2 can be loaded now", version)
	}
	if m, r := f.model(), f.state(); !m.Ready || m.Problem != "" || r.State != "live" || r.Version != 2 || r.Detail != "" {
		t.Errorf("%+v, %+v", m, r)
	}
	f.counts("tenon_versions_failed 0", "tenon_versions_loaded 2")
}

// TestItIsTriedAgainWithABackOff: after 5 s, and each time after twice as long,
// up to 5 minutes; another deployment begins anew.
func TestItIsTriedAgainWithABackOff(t *testing.T) {
	f := following(t, nil)
	f.first.deployed(`{"stable":2}`)
	begun := f.now
	var tried []int // seconds
	passes := func(d time.Duration) {
		for end := f.now.Add(d); f.now.Before(end); {
			before := f.tries.Load()
			f.look(5 * time.Second)
			if f.tries.Load() > before {
				tried = append(tried, int(f.now.Sub(begun).Seconds()))
			}
		}
	}
	passes(16 * time.Minute)
	if want := []int{5, 10, 20, 40, 80, 160, 320, 620, 920}; !slices.Equal(tried, want) {
		t.Errorf("it was tried after %v seconds, want %v", tried, want)
	}
	f.first.deployed(`{"stable":3}`) // version 2 is the one before, and is loaded, too
	begun, tried = f.now, nil
	passes(time.Minute)
	if want := []int{5, 10, 20, 40}; !slices.Equal(tried, want) {
		t.Errorf("after another deployment, after %v seconds, want %v", tried, want)
	}
	if version := f.by(""); version != "3" {
		t.Errorf("version %q answers", version)
	}
}

// TestAllThatCannotBeLoadedIsTriedAgain: what has an alias, a canary, a shadow,
// what had nothing before it, and what should have another isolation.
func TestAllThatCannotBeLoadedIsTriedAgain(t *testing.T) {
	const named = "/v1/models/iris@next/predict"
	for name, c := range map[string]struct {
		change        func(first *rig)
		before, after func(t *testing.T, f *follower)
	}{
		"alias": {
			func(first *rig) { first.send("PUT", "/v1/models/iris/aliases/next", `{"version":2}`) },
			func(t *testing.T, f *follower) {
				wantProblem(t, f.send("POST", named, `{"instances":[[1,2]]}`), 503, "unloadable")
			},
			func(t *testing.T, f *follower) {
				if a := f.send("POST", named, `{"instances":[[1,2]]}`); a.StatusCode != 200 {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
			},
		},
		"canary": {
			func(first *rig) { first.deployed(`{"canary":{"version":2,"steps":[99]}}`) },
			func(t *testing.T, f *follower) {
				for range 20 {
					if version := f.by(""); version != "1" {
						t.Errorf("version %q answers", version)
					}
				}
			},
			func(t *testing.T, f *follower) {
				soon(t, "the canary answers", func() bool { return f.by("") == "2" })
			},
		},
		"shadow": {
			func(first *rig) { first.deployed(`{"shadow":2}`) },
			func(*testing.T, *follower) {},
			func(*testing.T, *follower) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := following(t, nil)
			c.change(f.first)
			f.look(0)
			if v := f.version(2); v.Loaded || v.Problem != "There is no room for it here." {
				t.Errorf("%+v", v)
			}
			if r := f.state(); r.State != "live" || f.by("customer") == "" {
				t.Errorf("the stable version is %+v", r)
			}
			c.before(t, f)
			f.refuses.Store(false)
			f.look(4 * time.Second)
			if f.version(2).Loaded {
				t.Error("it was loaded before its time")
			}
			f.look(time.Second)
			if v := f.version(2); !v.Loaded || v.Problem != "" {
				t.Errorf("%+v", v)
			}
			c.after(t, f)
		})
	}
}

// TestAnotherIsolationThatCannotBeHad leaves the version as it is, says so, and
// is tried again; one that can is followed at the next look.
func TestAnotherIsolationThatCannotBeHad(t *testing.T) {
	processes := &engine.Fake{}
	f := following(t, processes)
	f.first.deployed(`{"stable":1,"isolation":"process"}`)
	f.look(0)
	if v := f.version(1); v.Isolation != "shared" || !v.Loaded {
		t.Errorf("%+v", v)
	}
	r := f.state()
	says(t, r.Detail, "iris/1", "another isolation", "No process can be started here.")
	if r.State != "behind" || f.by("") != "1" || f.model().Problem != r.Detail {
		t.Errorf("%+v, %q", r, f.model().Problem)
	}
	f.refuses.Store(false)
	f.look(5 * time.Second)
	if v := f.version(1); v.Isolation != "process" || v.Problem != "" || processes.Open() != 1 || f.engine.Open() != 0 {
		t.Errorf("%+v, %d processes", v, processes.Open())
	}
	f.first.deployed(`{"stable":1,"isolation":"shared"}`)
	f.look(time.Second)
	if v := f.version(1); v.Isolation != "shared" || processes.Open() != 0 || f.engine.Open() != 1 {
		t.Errorf("%+v, %d processes", v, processes.Open())
	}
}

// TestAFileThatIsPutBack is found without a restart.
func TestAFileThatIsPutBack(t *testing.T) {
	before := serve(t)
	before.pushed("penguins", penguins(t).tar(t, "penguins"))
	blobs, err := filepath.Glob(filepath.Join(before.root, "blobs", "sha256", "*", "*"))
	must(t, err)
	for _, path := range blobs {
		flip(t, path)
	}
	ticks, now := make(chan time.Time), time.Now()
	r := serve(t, func(s *setup) { s.root, s.follow = before.root, ticks })
	r.states(map[string]string{"penguins": "unloadable"})
	ticks <- now
	for _, path := range blobs {
		flip(t, path)
	}
	ticks <- now.Add(4 * time.Second)
	ticks <- now.Add(4 * time.Second)
	r.states(map[string]string{"penguins": "unloadable"})
	ticks <- now.Add(5 * time.Second)
	ticks <- now.Add(5 * time.Second)
	r.states(map[string]string{"penguins": "live"})
}

// TestACanaryThatOneServerCannotLoadIsRolledBack, for all of them.
func TestACanaryThatOneServerCannotLoadIsRolledBack(t *testing.T) {
	first := serve(t)
	first.alike("a", "b")
	first.deployed(`{"stable":1}`)
	first.deployed(`{"canary":{"version":2,"steps":[99]}}`)
	looks := make(chan time.Time)
	second := serve(t, func(s *setup) {
		s.root, s.looks = first.root, looks
		s.engine = &engine.Fake{Refuse: func(g engine.Graph) error {
			if markOf(g) == "b" {
				return fault.New(fault.Unprocessable, fault.ModelRefused, "There is no room for it here.")
			}
			return nil
		}}
	})
	for range 20 {
		if version := second.by(""); version != "1" {
			t.Errorf("version %q answers", version)
		}
	}
	looks <- time.Now()
	soon(t, "the canary is rolled back", func() bool { return first.current().Canary == nil })
	if d := first.current(); d.Stable != 1 || d.Reason != "canary 2 rolled back: version 2 could not be loaded" {
		t.Errorf("%+v", d)
	}
}

// TestDeletedThroughAnotherServer: the version is unloaded and gone, also where
// it went on in the place of one that could not be loaded.
func TestDeletedThroughAnotherServer(t *testing.T) {
	f := following(t, nil)
	f.first.deployed(`{"stable":3}`)
	f.look(0)
	if n := f.engine.Open(); n != 2 {
		t.Errorf("%d sessions are open, want the stable one and the one before", n)
	}
	_, err := f.first.DeleteVersion(t.Context(), "iris", 1, "")
	must(t, err)
	f.look(time.Second)
	if n := f.engine.Open(); n != 1 || f.by("") != "3" {
		t.Errorf("%d sessions are open", n)
	}
	wantProblem(t, f.send("POST", "/v1/models/iris/versions/1/predict", `{"instances":[[1,2]]}`), 404, "version-not-found")

	f.first.deployed(`{"stable":2}`)
	f.look(time.Second)
	if version := f.by(""); version != "3" {
		t.Errorf("version %q answers in the place of 2", version)
	}
	_, err = f.first.DeleteVersion(t.Context(), "iris", 3, "")
	must(t, err)
	f.look(time.Second)
	wantProblem(t, f.send("POST", "/v1/models/iris/versions/3/predict", `{"instances":[[1,2]]}`), 404, "version-not-found")
	wantProblem(t, f.send("POST", "/v1/models/iris/predict", `{"instances":[[1,2]]}`), 503, "unloadable")
	if n := f.engine.Open(); n != 0 || f.state().State != "unloadable" {
		t.Errorf("%d sessions are open, %+v", n, f.state())
	}
}

// TestADrainThatDoesNotEnd: a run stops at its request's deadline, and frees its
// version; one that does not is in the log and in the metrics until it does.
func TestADrainThatDoesNotEnd(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	hangs := func(_ context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if markOf(g) == "a" {
			close(running)
			<-release
		}
		return []*tensor.Tensor{tensor.New(tensor.Float32, int64(in[0].Rows()), 2)}, nil
	}
	r := serve(t, func(s *setup) {
		s.engine, s.host = &engine.Fake{Compute: hangs}, host.Options{Drain: time.Millisecond}
	})
	r.alike("a", "b", "c")
	r.deployed(`{"stable":1}`)
	answered := make(chan int)
	go func() { answered <- r.send("POST", "/v1/models/iris/predict", `{"instances":[[1,2]]}`).StatusCode }()
	<-running
	r.deployed(`{"stable":2}`)
	r.deployed(`{"stable":3}`) // version 1 is not the one before any more
	if line := r.log.wait(t, overdue, ""); line["version"] != 1.0 || line["model"] != "iris" {
		t.Errorf("%v", line)
	}
	r.counts("tenon_versions_ending 1")
	if n := r.engine.Open(); n != 3 {
		t.Errorf("%d sessions are open", n)
	}
	close(release)
	if status := <-answered; status != 200 {
		t.Errorf("the request that ran was answered with %d", status)
	}
	soon(t, "its session is closed", func() bool { return r.engine.Open() == 2 })
	r.counts("tenon_versions_ending 0")
}

const overdue = "a version that takes no requests any more is still in memory, because a run has not ended at its deadline"

// TestADrainEndsAtTheDeadline of the requests that hold the version.
func TestADrainEndsAtTheDeadline(t *testing.T) {
	running := make(chan struct{})
	hangs := func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if markOf(g) == "a" {
			close(running)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return []*tensor.Tensor{tensor.New(tensor.Float32, int64(in[0].Rows()), 2)}, nil
	}
	r := serve(t, func(s *setup) {
		s.engine, s.api.RequestTimeout = &engine.Fake{Compute: hangs}, 500*time.Millisecond
	})
	r.alike("a", "b", "c")
	r.deployed(`{"stable":1}`)
	answered := make(chan answer)
	go func() { answered <- r.send("POST", "/v1/models/iris/predict", `{"instances":[[1,2]]}`) }()
	<-running
	r.deployed(`{"stable":2}`)
	r.deployed(`{"stable":3}`)
	wantProblem(t, <-answered, 504, "deadline")
	soon(t, "its session is closed", func() bool { return r.engine.Open() == 2 })
	if found := r.log.find(overdue, ""); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

// TestAModelThatLoadsSlowlyHoldsUpNoOther: what is changed elsewhere in other
// models is followed meanwhile.
func TestAModelThatLoadsSlowlyHoldsUpNoOther(t *testing.T) {
	first := serve(t)
	first.alike("a", "b")
	first.versions(2)
	first.deployed(`{"stable":1}`)
	first.deploys(1)
	loading, release := make(chan struct{}), make(chan struct{})
	second := serve(t, func(s *setup) {
		s.root, s.engine = first.root, &engine.Fake{Refuse: func(g engine.Graph) error {
			if markOf(g) == "b" {
				close(loading)
				<-release
			}
			return nil
		}}
	})
	defer close(release)
	first.deployed(`{"stable":2}`)
	<-loading
	first.deploys(2)
	soon(t, "the other model's change is followed", func() bool { return second.host.Routes("bare").Stable == 2 })
	if stable := second.host.Routes("iris").Stable; stable != 1 {
		t.Errorf("version %d is routed, and it loads still", stable)
	}
}
