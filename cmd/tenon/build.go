package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/api"
	"github.com/tenon-ml/tenon/api/core"
	v1 "github.com/tenon-ml/tenon/api/v1"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/capture"
	"github.com/tenon-ml/tenon/internal/config"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/internal/trial"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
	"github.com/tenon-ml/tenon/runtime/ort"
)

// server is everything that serves, without a listener.
type server struct {
	handler http.Handler
	manager *lifecycle.Manager
	host    *host.Host

	watching sync.WaitGroup
	unwatch  context.CancelFunc
}

// build makes a server of the settings. Nothing is loaded yet and nobody
// listens; the caller resumes the manager and closes the host.
func build(c config.Config, e, process engine.Engine, x lifecycle.Examiner, log *slog.Logger) (*server, error) {
	store, err := registry.Open(c.Registry.Root, registry.Options{})
	if err != nil {
		return nil, err
	}
	queued := c.Runtime.MaxQueued
	if queued == 0 {
		queued = -1 // nobody waits; the host's own 0 is its default
	}
	h := host.New(e, host.Options{
		Runs: c.Runtime.MaxConcurrentRuns, Queued: queued, Threads: c.Runtime.IntraOpThreads,
		Process: process, Isolation: host.Isolation(c.Runtime.Isolation),
		Drain: c.Server.RequestTimeout + drainGrace, Log: log,
	})
	limits := bundle.Limits{Bytes: int64(c.Registry.MaxUpload), Files: c.Registry.MaxFiles}
	captures := capture.New(capture.Options{
		Dir: filepath.Join(c.Registry.Root, "captures"), MaxBytes: int64(c.Capture.MaxBytes), Log: log,
	})
	manager := lifecycle.New(lifecycle.Options{
		Store: store, Host: h, Captures: captures, Form: v1.Form, Log: log, Limits: limits,
		Runtime: e.Version() + " on " + processor(), Ticks: ticks(c.Parity.ProbeInterval),
		CanaryLimits: canaryLimits(c.Canary), RunTimeout: c.Server.RequestTimeout,
	})
	trials := trial.New(trial.Options{
		Host: h, Actor: manager, Limits: canaryLimits(c.Canary), Log: log, Ticks: ticks(time.Second),
	})
	handler := api.New(api.Options{
		Manager: manager, Host: h, Trials: trials, Log: log, About: about(e, store.ID()),
		Body:           core.Limits{Body: int64(c.Server.MaxBody), Timeout: c.Server.ReadTimeout},
		Upload:         core.Limits{Body: int64(c.Registry.MaxUpload), Timeout: c.Server.UploadTimeout},
		RequestTimeout: c.Server.RequestTimeout,
		AccessLog:      c.Server.AccessLog,
		Local:          c.Server.Local(),
	})
	manager.Use(x, &lifecycle.Prober{Host: h, Handler: handler})
	s := &server{manager: manager, host: h, handler: handler}
	ctx, unwatch := context.WithCancel(context.Background())
	s.unwatch = unwatch
	s.watching.Go(func() { trials.Run(ctx, manager.Record) })
	return s, nil
}

func canaryLimits(c config.Canary) rollout.Limits {
	return rollout.Limits{
		MinRequests: c.MinRequests, MinTime: c.MinTime, MaxErrorRate: c.MaxErrorRate,
		MaxLatencyRatio: c.MaxLatencyRatio, MaxInvalidRate: c.MaxInvalidRate, MaxDisagreement: c.MaxDisagreement,
	}
}

// ticks is a clock's, or nil where there are to be none.
func ticks(every time.Duration) <-chan time.Time {
	if every <= 0 {
		return nil
	}
	return time.Tick(every)
}

const (
	// drainGrace is what a run may take to stop once its deadline has passed.
	drainGrace = 5 * time.Second
	// closeGrace is how long a stop waits for what works in the background.
	closeGrace = 10 * time.Second
)

// close ends what works in the background, then lets go of the versions. A run
// that does not stop keeps it no longer than closeGrace: the process ends under it.
func (s *server) close(log *slog.Logger) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.unwatch()
		s.watching.Wait()
		s.manager.Close()
		s.host.Close()
	}()
	select {
	case <-done:
	case <-time.After(closeGrace):
		log.Error("something that runs does not end, and is cut off", "after", closeGrace.String())
	}
}

func about(e engine.Engine, registryID string) wire.About {
	a := wire.About{Version: version, Engine: e.Version(), Registry: registryID, Go: runtime.Version()}
	if number, ok := strings.CutPrefix(a.Engine, "onnxruntime "); ok {
		a.ORT = number
	}
	return a
}

// ownPath is the path of this binary.
func ownPath() (string, error) {
	executable, err := os.Executable()
	if err == nil {
		executable, err = filepath.EvalSymlinks(executable)
	}
	if err != nil {
		return "", fmt.Errorf("the server's own path cannot be found: %w", err)
	}
	return executable, nil
}

// openEngine finds and loads ONNX Runtime.
func openEngine(configured string) (engine.Engine, error) {
	executable, err := ownPath()
	if err != nil {
		return nil, err
	}
	library, err := ort.FindLibrary(ort.Search{
		Configured: configured, Executable: executable, WorkDir: ".", VirtualEnv: os.Getenv("VIRTUAL_ENV"),
	})
	if err != nil {
		return nil, err
	}
	return ort.New(library)
}

// newLog writes to standard error, where service managers look.
func newLog(c config.Log, to io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // config has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(to, options))
	}
	return slog.New(slog.NewJSONHandler(to, options))
}
