package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenon-ml/tenon/runtime/engine"
)

// TestMain lets the scripts run this very binary as tenon, with an engine that
// needs no library; tenon-ort is the same with ONNX Runtime, and the others are
// children of an examination that misbehave.
func TestMain(m *testing.M) {
	commands := map[string]func(){"tenon": command(fakeEngine), "tenon-ort": command(openEngine)}
	for name, child := range badChildren {
		commands[name] = child
	}
	if err := os.Setenv("GORACE", quickExit); err != nil {
		panic(err)
	}
	testscript.Main(m, commands)
}

// quickExit keeps the race detector from waiting a second at the end of every
// process; the scripts start some hundred.
const quickExit = "atexit_sleep_ms=0"

func fakeEngine(string) (engine.Engine, error) { return &engine.Fake{}, nil }

func command(open engineOpener) func() {
	return func() {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		if code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, open); code != 0 {
			os.Exit(code)
		}
	}
}

// TestScripts runs every testdata/*.txtar as a user would type it. A script
// has a free address in $LISTEN and the same as $TENON_URL.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			address, err := freeAddress()
			if err != nil {
				return err
			}
			env.Setenv("LISTEN", address)
			env.Setenv("TENON_URL", "http://"+address)
			env.Setenv("GORACE", quickExit)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "model": writeModel, "bundle": writeBundle, "code": exitsWith,
			"examining": examining, "childless": childless, "nopart": noPart, "lossy": lossy,
			"kept": kept, "redacted": redacted,
		},
	})
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// ready waits until the server in the background says it is ready.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := http.Get(ts.Getenv("TENON_URL") + "/readyz")
		if err == nil {
			ts.Check(response.Body.Close())
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("the server did not become ready: %v", err)
		}
	}
}
