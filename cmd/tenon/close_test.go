package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// TestACloseThatSomethingHoldsUp: a run in C that does not stop keeps no server
// from ending, and the log says so; otherwise a stop waits for what runs.
func TestACloseThatSomethingHoldsUp(t *testing.T) {
	for name, c := range map[string]struct {
		runs, waits time.Duration
		says        string
	}{
		"ends":         {3 * time.Second, 3 * time.Second, ""},
		"does not end": {time.Hour, closeGrace, "is cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				s := &server{manager: lifecycle.New(lifecycle.Options{}), host: host.New(&engine.Fake{}, host.Options{}), unwatch: func() {}}
				s.watching.Go(func() { <-time.After(c.runs) })
				begun := time.Now()
				s.close(slog.New(slog.NewTextHandler(&said, nil)))
				if took := time.Since(begun); took != c.waits || !strings.Contains(said.String(), c.says) || (c.says == "") != (said.Len() == 0) {
					t.Errorf("it took %s, want %s; the log says %q", took, c.waits, said.String())
				}
				s.watching.Wait()
			})
		})
	}
}
