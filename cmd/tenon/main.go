// Command tenon serves ONNX models and talks to servers that do. Everything
// meets here, and only here: one function builds store, engine, host and
// handler from the settings (build.go), and every command is one file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// version is set by the linker.
var version = "dev"

// The exit codes; docs and scripts rely on them.
const (
	exitFailure = 1
	exitUsage   = 2
	exitParity  = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, openEngine)
	stop()
	os.Exit(code)
}

// streams are the standard three, passed in so that tests have their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// engineOpener loads the engine from the library that the settings name, if
// any. The command's tests open a fake one.
type engineOpener func(library string) (engine.Engine, error)

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, io streams, open engineOpener) int {
	root := newRoot(io, open)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(io.err, "tenon: %v\n", err)
	return exitCode(err)
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	var problem *client.Problem
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &problem) && problem.Code == "parity-failed":
		return exitParity
	case fault.Is(err, fault.InvalidReference):
		return exitUsage
	default:
		return exitFailure
	}
}

// app is what the commands that call a server share.
type app struct {
	streams
	server string
	json   bool
}

func newRoot(io streams, open engineOpener) *cobra.Command {
	a := &app{streams: io}
	root := &cobra.Command{
		Use:   "tenon",
		Short: "Serve ONNX models that give the same answers as training did",
		Long: "tenon serves ONNX models that give the same answers as training did.\n\n" +
			"Start with `tenon serve`, then `tenon push FILE --deploy` and `tenon predict MODEL --example`.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; `%s --help` shows what there is", err, c.CommandPath())}
	})
	root.AddCommand(serveCommand(io, open), examineCommand(io, open), workerCommand(open), verifyCommand(a), gcCommand(a))
	for _, command := range []*cobra.Command{
		pushCommand(a), pullCommand(a), lsCommand(a), showCommand(a), reportCommand(a), predictCommand(a), deployCommand(a),
		aliasCommand(a), rollbackCommand(a), divergenceCommand(a), rehearseCommand(a), capturesCommand(a), rmCommand(a), logCommand(a), operationsCommand(a),
	} {
		command.Flags().StringVar(&a.server, "server", "", "address of the server (or TENON_URL; default "+client.DefaultServer+")")
		command.Flags().BoolVar(&a.json, "json", false, "print the server's answer as JSON")
		root.AddCommand(command)
	}
	return root
}

// client returns a client of the server that the flag or TENON_URL names.
func (a *app) client() (*client.Client, error) {
	base := a.server
	if base == "" {
		base = os.Getenv("TENON_URL")
	}
	c, err := client.New(base)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// arguments checks the number of arguments, as a usage error.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageError{fmt.Errorf("`tenon %s` got %d arguments; `%s --help` shows how it is used", c.Use, len(args), c.CommandPath())}
		}
		return nil
	}
}
