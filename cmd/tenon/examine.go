package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api"
	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/child"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// event is one line from the child to the server, in the order in which
// things happen: phases and progress, and at the end a report or a problem.
type event struct {
	Phase   string        `json:"phase,omitempty"`
	Done    int           `json:"done,omitempty"`
	Total   int           `json:"total,omitempty"`
	Report  *wire.Report  `json:"report,omitempty"`
	Problem *wire.Problem `json:"problem,omitempty"`
	// Loaded ends the examination of a bundle that has nothing to compare.
	Loaded bool `json:"loaded,omitempty"`
}

// examineCommand is the child's side of an examination. The server starts it;
// people have no use for it, so help does not show it.
func examineCommand(io streams, open engineOpener) *cobra.Command {
	c := &cobra.Command{Use: "examine DIR", Hidden: true, Args: arguments(1, 1)}
	library := c.Flags().String("library", "", "ONNX Runtime's shared library")
	model := c.Flags().String("model", "", "the model's name")
	threads := c.Flags().Int("threads", 1, "within a run")
	cpu := c.Flags().Duration("cpu", 10*time.Minute, "processor time")
	c.RunE = func(c *cobra.Command, args []string) error {
		go endWithParent(io.in)
		out := json.NewEncoder(io.out)
		send := func(m event) { _ = out.Encode(m) } // without a server, nobody is left to tell
		e, err := open(*library)
		if err != nil {
			return err
		}
		if err := child.LimitSelf(child.ModelBytes(args[0]), 1, *cpu); err != nil {
			return err
		}
		if err := confine(); err != nil {
			return err
		}
		examine(c.Context(), e, lifecycle.Staged{Model: *model, Dir: args[0]}, *threads, send)
		return nil
	}
	return c
}

// endWithParent ends the process when the server's end of the pipe closes,
// however the server ended.
func endWithParent(in io.Reader) {
	_, _ = io.Copy(io.Discard, in)
	os.Exit(exitFailure)
}

// examine is one staged version in a process of its own: the host and the
// handler of a server, without a listener and with nothing routed.
func examine(ctx context.Context, e engine.Engine, s lifecycle.Staged, threads int, send func(event)) {
	h := host.New(e, host.Options{Runs: 1, Threads: threads})
	prober := lifecycle.Prober{Host: h, Handler: api.New(api.Options{
		Host: h, Log: slog.New(slog.DiscardHandler),
		Body: core.Limits{Body: maxGoldenBody, Timeout: time.Minute}, RequestTimeout: time.Minute,
	}), Failed: func(r *wire.Report) { send(event{Report: r}) }}
	report, err := prober.Examine(ctx, s, func(phase string, done, total int) {
		send(event{Phase: phase, Done: done, Total: total})
	})
	switch {
	case err != nil:
		p := core.ProblemOf(err, "")
		if fault.As(err) == nil {
			p.Detail = err.Error() // for the server's log, not for a client
		}
		send(event{Problem: &p})
	case report != nil:
		send(event{Report: report})
	default:
		send(event{Loaded: true})
	}
}

// maxGoldenBody is the largest golden request.
const maxGoldenBody = 256 << 20
