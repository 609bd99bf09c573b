package trial_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenon-ml/tenon/api"
	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/internal/trial"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
	"github.com/tenon-ml/tenon/runtime/host"
)

// history is the log of one model, which all servers of a test have in common.
type history struct {
	mu      sync.Mutex
	now     wire.Traffic
	number  int
	since   time.Time
	reasons []string
}

// step is what lifecycle does: only the deployment that was looked at is changed.
func (l *history) step(deployment int, d rollout.Decision) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number != deployment {
		return fault.New(fault.Conflict, fault.StaleExpected, "another one has won")
	}
	switch d.Action {
	case rollout.Advance:
		canary := *l.now.Canary
		canary.Step++
		l.now.Canary = &canary
	case rollout.Promote:
		l.now.Stable, l.now.Canary = l.now.Canary.Version, nil
	default:
		l.now.Canary = nil
	}
	l.number, l.since = l.number+1, time.Now()
	l.reasons = append(l.reasons, d.String())
	return nil
}

// server is one that has iris in versions 1 (stable), 2 and 3.
type server struct {
	t      *testing.T
	log    *history
	said   bytes.Buffer
	host   *host.Host
	fake   *engine.Fake
	watch  *trial.Watch
	ticks  chan time.Time
	front  http.Handler
	loaded map[int]*host.Version
	stop   func()
	// act, where set, is done before a step.
	act   func(rollout.Decision) error
	acted int
	stale int
}

// behave is what version 2 does in the place of an answer; the others answer in 2 ms.
type behave func(ctx context.Context, call int, out *tensor.Tensor) error

func answer(behaves map[int]behave) func(context.Context, engine.Graph, []*tensor.Tensor) ([]*tensor.Tensor, error) {
	var mu sync.Mutex
	calls := map[int]int{}
	return func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(g.Path)))
		if err != nil {
			return nil, err
		}
		mu.Lock()
		calls[version]++
		call := calls[version]
		mu.Unlock()
		out := tensor.New(tensor.Float32, int64(in[0].Rows()))
		copy(tensor.View[float32](out), tensor.View[float32](in[0]))
		<-time.After(2 * time.Millisecond)
		if b := behaves[version]; b != nil {
			err = b(ctx, call, out)
		}
		return []*tensor.Tensor{out}, err
	}
}

var quickly = rollout.Limits{
	MinRequests: 50, MinTime: 10 * time.Second, MaxErrorRate: 0.01, MaxLatencyRatio: 2, MaxInvalidRate: 0.01, MaxDisagreement: 0.1,
}

// start serves what the log says. The caller stops the server.
func start(t *testing.T, log *history, behaves map[int]behave) *server {
	t.Helper()
	s := &server{t: t, log: log, fake: &engine.Fake{Compute: answer(behaves)}, ticks: make(chan time.Time), loaded: map[int]*host.Version{}}
	s.host = host.New(s.fake, host.Options{Runs: 4})
	for n := range 3 {
		v, err := s.host.Load(t.Context(), source(t, n+1))
		if err != nil {
			t.Fatal(err)
		}
		s.loaded[n+1] = v
	}
	said := slog.New(slog.NewTextHandler(&s.said, nil))
	s.watch = trial.New(trial.Options{Host: s.host, Actor: s, Limits: quickly, Log: said, Ticks: s.ticks})
	s.front = api.New(api.Options{
		Host: s.host, Log: said, Body: core.Limits{Body: 1 << 20, Timeout: time.Minute}, RequestTimeout: 30 * time.Second,
	})
	s.route()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.watch.Run(ctx) })
	s.stop = func() {
		cancel()
		running.Wait()
		s.host.Close()
		if s.fake.Open() != 0 || s.fake.Misused() != 0 {
			t.Errorf("%d sessions are open, %d were misused", s.fake.Open(), s.fake.Misused())
		}
	}
	return s
}

func source(t *testing.T, n int) host.Source {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strconv.Itoa(n))
	model := enginetest.Identity([]tensor.Type{tensor.Float32}, "N").Bytes()
	digest := sha256.Sum256(model)
	err := os.Mkdir(dir, 0o700)
	for name, data := range map[string][]byte{
		bundle.ModelFile: model, bundle.ManifestFile: bundle.BareManifest(int64(len(model)), hex.EncodeToString(digest[:])),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return host.Source{Model: "iris", Number: n, Dir: dir}
}

// route follows the log, as a server does once a second.
func (s *server) route() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.host.Route(&host.Routes{
		Model: "iris", Seq: s.log.number, Known: map[int]bool{1: true, 2: true, 3: true}, Loaded: s.loaded,
		Traffic: s.log.now, Deployment: s.log.number, Since: s.log.since,
	})
}

// Step implements trial.Actor.
func (s *server) Step(_ context.Context, model string, deployment int, d rollout.Decision) error {
	s.acted++
	if s.act != nil {
		if err := s.act(d); err != nil {
			return err
		}
	}
	err := s.log.step(deployment, d)
	if err != nil {
		s.stale++
	} else {
		s.route()
	}
	return err
}

// ask sends a request and holds that the caller gets an answer.
func (s *server) ask(number int) {
	body := strings.NewReader(fmt.Sprintf(`{"instances":[%d]}`, number))
	w := httptest.NewRecorder()
	s.front.ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "/v1/models/iris/predict", body))
	if w.Code != http.StatusOK {
		s.t.Errorf("a caller got %d %s", w.Code, w.Body)
	}
}

// clients are ten that ask five times a second each until the returned function is called.
func (s *server) clients() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var all sync.WaitGroup
	for c := range 10 {
		all.Go(func() {
			for n := c; ctx.Err() == nil; n += 10 {
				s.ask(n % 170)
				<-time.After(200 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// look has the servers look at their canaries once a second until done says so,
// or that long; it returns how long it took.
func look(most time.Duration, done func() bool, servers ...*server) time.Duration {
	begun := time.Now()
	for time.Since(begun) < most && !done() {
		<-time.After(time.Second)
		for _, s := range servers {
			s.ticks <- time.Now()
			synctest.Wait()
		}
	}
	return time.Since(begun)
}

// trialOf is the log of a canary, version 2, that has just begun.
func trialOf(steps ...int) *history {
	return &history{now: wire.Traffic{Stable: 1, Canary: &wire.Canary{Version: 2, Steps: steps}}, number: 7, since: time.Now()}
}

func (l *history) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.Canary == nil
}

func (l *history) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reasons) == 0 {
		return "nothing"
	}
	return l.reasons[len(l.reasons)-1]
}
