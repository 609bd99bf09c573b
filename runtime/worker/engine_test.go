package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/internal/child"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
	"github.com/tenon-ml/tenon/runtime/worker"
)

// The test binary is its own child: with childVar set it serves a fake engine
// and is never a test.
const childVar = "TENON_WORKER_TEST_CHILD"

func TestMain(m *testing.M) {
	switch role := os.Getenv(childVar); role {
	case "":
		os.Exit(m.Run())
	case "babbler":
		_, _ = syscall.Write(4, []byte(strings.Repeat("what no worker says ", 4)))
		select {}
	default:
		limit := func(int64) error { return nil }
		lanes, err := strconv.Atoi(os.Args[1])
		if err != nil {
			panic(err)
		}
		if err := worker.Serve(context.Background(), &engine.Fake{Compute: fakes[role]}, lanes, limit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

type compute = func(context.Context, engine.Graph, []*tensor.Tensor) ([]*tensor.Tensor, error)

// fakes are what children do, by their role. The first input says what.
var fakes = map[string]compute{
	"fake": nil,
	"deadly": func(_ context.Context, _ engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if inputs[0].Data[0] == deadlyByte {
			_ = syscall.Kill(os.Getpid(), syscall.SIGFPE)
			select {}
		}
		return inputs, nil
	},
	"deaf": func(ctx context.Context, _ engine.Graph, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if inputs[0].Data[0] == deadlyByte {
			select {} // it does not look at ctx
		}
		return inputs, nil
	},
	"refusing": func(context.Context, engine.Graph, []*tensor.Tensor) ([]*tensor.Tensor, error) {
		return nil, fault.New(fault.Invalid, fault.RunFailed, "No such row.").Because(errors.New("the cause"))
	},
}

const deadlyByte = 13

func workers(t testing.TB, role string) *worker.Engine {
	t.Helper()
	return workersTelling(t, role, slog.DiscardHandler)
}

func workersTelling(t testing.TB, role string, log slog.Handler) *worker.Engine {
	t.Helper()
	return worker.New(worker.Options{
		Command: func(lanes int) *exec.Cmd {
			command := exec.Command(os.Args[0], strconv.Itoa(lanes))
			command.Env = append(os.Environ(), childVar+"="+role, "GORACE=atexit_sleep_ms=0")
			command.SysProcAttr = child.Attributes()
			return command
		},
		Name: "fake", Grace: 100 * time.Millisecond, Log: slog.New(log),
	})
}

func TestWorkerPassesTheSuite(t *testing.T) { enginetest.Run(t, workers(t, "fake")) }

func load(t testing.TB, role string, types ...tensor.Type) engine.Session {
	t.Helper()
	return loadIn(t, workers(t, role), types...)
}

func loadIn(t testing.TB, e *worker.Engine, types ...tensor.Type) engine.Session {
	t.Helper()
	s, err := e.Load(t.Context(), enginetest.Identity(types, "N").Graph())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func run(t *testing.T, s engine.Session, first byte) error {
	t.Helper()
	x := tensor.From(tensor.Uint8, []byte{first, 2, 3}, 3)
	out, err := s.Run(t.Context(), []*tensor.Tensor{x})
	if err == nil && string(out[0].Data) != string(x.Data) {
		t.Errorf("got %v", out[0].Data)
	}
	return err
}

// TestACrashCostsItsOwnCallsAndNothingElse: they get 503 with the cause, and the
// next call is answered by the process that was started again.
func TestACrashCostsItsOwnCallsAndNothingElse(t *testing.T) {
	e := workers(t, "deadly")
	deadly, other := loadIn(t, e, tensor.Uint8), load(t, "fake", tensor.Uint8)
	for range 3 {
		err := run(t, deadly, deadlyByte)
		if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.Code != fault.WorkerDied || !strings.Contains(f.Detail, "SIGFPE") {
			t.Errorf("%v", err)
		}
		if err := run(t, other, 1); err != nil {
			t.Errorf("another model: %v", err)
		}
		if err := run(t, deadly, 1); err != nil {
			t.Errorf("after it is back: %v", err)
		}
	}
	if n := e.Restarts(); n != 3 {
		t.Errorf("%d restarts", n)
	}
}

// TestTheLogNamesTheModelWhoseProcessEnded, as people call it.
func TestTheLogNamesTheModelWhoseProcessEnded(t *testing.T) {
	var log strings.Builder
	graph := enginetest.Identity([]tensor.Type{tensor.Uint8}, "N").Graph()
	graph.Name = "iris/3"
	s, err := workersTelling(t, "deadly", slog.NewTextHandler(&log, nil)).Load(t.Context(), graph)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t, s, deadlyByte); err == nil {
		t.Error("it answered")
	}
	if err := run(t, s, 1); err != nil { // it is back
		t.Error(err)
	}
	if err := s.Close(); err != nil { // nothing is logged from here on
		t.Error(err)
	}
	for _, line := range []string{`msg="a worker ended" model=iris/3 cause=`, `msg="a worker is back" model=iris/3`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("no %s in\n%s", line, log.String())
		}
	}
}

// TestARunThatDoesNotLookIsEndedWithItsProcess: the caller waits no longer than
// the grace.
func TestARunThatDoesNotLookIsEndedWithItsProcess(t *testing.T) {
	s := load(t, "deaf", tensor.Uint8)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := s.Run(ctx, []*tensor.Tensor{tensor.From(tensor.Uint8, []byte{deadlyByte}, 1)})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := run(t, s, 1); err != nil {
		t.Errorf("after it is back: %v", err)
	}
}

func TestAFaultComesThrough(t *testing.T) {
	err := run(t, load(t, "refusing", tensor.Uint8), 1)
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid || f.Code != fault.RunFailed || f.Detail != "No such row." || !strings.Contains(err.Error(), "the cause") {
		t.Errorf("%v", err)
	}
}

func TestAProcessThatSaysSenselessThingsIsRefused(t *testing.T) {
	_, err := workers(t, "babbler").Load(t.Context(), enginetest.Loop().Graph())
	if !fault.Is(err, fault.ModelRefused) {
		t.Errorf("%v", err)
	}
}

func TestWithoutACommandNothingIsLoaded(t *testing.T) {
	e := worker.New(worker.Options{Command: func(int) *exec.Cmd { return exec.Command("/nowhere/tenon") }})
	if _, err := e.Load(t.Context(), enginetest.Loop().Graph()); err == nil || fault.As(err) != nil {
		t.Errorf("%v", err)
	}
}

// TestLargeTensorsTravelInSharedMemory, many at once, and none takes another's
// place.
func TestLargeTensorsTravelInSharedMemory(t *testing.T) {
	const rows = 100_000
	s := load(t, "fake", tensor.Int32, tensor.Float64)
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for r := range 8 {
				x, y := tensor.New(tensor.Int32, rows), tensor.New(tensor.Float64, rows+int64(r))
				for i := range rows {
					tensor.View[int32](x)[i] = int32(g*1000 + r)
					tensor.View[float64](y)[i] = float64(i * g)
				}
				out, err := s.Run(t.Context(), []*tensor.Tensor{x, y})
				if err != nil {
					t.Error(err)
					return
				}
				if string(out[0].Data) != string(x.Data) || string(out[1].Data) != string(y.Data) {
					t.Errorf("goroutine %d run %d: the elements differ", g, r)
				}
			}
		})
	}
	wg.Wait()
}

// TestNoProcessIsLeft: a session's process ends with it, and so does one that
// is killed while the session closes.
func TestNoProcessIsLeft(t *testing.T) {
	var pids []int
	var mu sync.Mutex
	e := worker.New(worker.Options{Log: slog.New(slog.DiscardHandler), Command: func(lanes int) *exec.Cmd {
		command := exec.Command(os.Args[0], strconv.Itoa(lanes))
		command.Env = append(os.Environ(), childVar+"=deadly")
		mu.Lock()
		defer mu.Unlock()
		pids = append(pids, 0)
		return command
	}})
	s, err := e.Load(t.Context(), enginetest.Identity([]tensor.Type{tensor.Uint8}, "N").Graph())
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t, s, deadlyByte); err == nil {
		t.Error("it lives")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d processes", len(pids))
	// Those that were started were waited for, so that this process has none.
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a child is left: %v", err)
	}
}

func BenchmarkSmallRun(b *testing.B) {
	s := load(b, "fake", tensor.Float32)
	x := []*tensor.Tensor{tensor.From(tensor.Float32, []float32{1, 2, 3, 4}, 4)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Run(b.Context(), x); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLargeRun(b *testing.B) {
	s := load(b, "fake", tensor.Float32)
	x := []*tensor.Tensor{tensor.New(tensor.Float32, 150528)}
	b.SetBytes(int64(len(x[0].Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Run(b.Context(), x); err != nil {
			b.Fatal(err)
		}
	}
}
