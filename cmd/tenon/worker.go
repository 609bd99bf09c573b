package main

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/internal/child"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/worker"
)

// workerCommand is the child's side of the engine worker: one loaded graph.
// The server starts it; people have no use for it, so help does not show it.
func workerCommand(open engineOpener) *cobra.Command {
	c := &cobra.Command{Use: "worker", Hidden: true, Args: arguments(0, 0)}
	library := c.Flags().String("library", "", "ONNX Runtime's shared library")
	lanes := c.Flags().Int("lanes", 1, "runs at once")
	c.RunE = func(c *cobra.Command, _ []string) error {
		collectSeldom()
		e, err := open(*library)
		if err != nil {
			return err
		}
		return worker.Serve(c.Context(), e, *lanes, func(modelBytes int64) error { return restrain(modelBytes, *lanes) })
	}
	return c
}

// collectSeldom lets garbage grow before it is collected. What lives in a
// worker's Go memory is next to nothing, so that by Go's measure, twice what
// lives, a few large tensors would start a collection each time. Up to 128 MiB
// they may lie, of the 512 MiB that every run is allowed.
func collectSeldom() {
	debug.SetGCPercent(1000)
	debug.SetMemoryLimit(128 << 20)
}

// restrain bounds this process and takes away what it does not need, before it
// touches a model.
func restrain(modelBytes int64, lanes int) error {
	if err := child.LimitSelf(modelBytes, lanes, 0); err != nil {
		return err
	}
	return confine()
}

// confine is child.Confine where the system has it; where it has not, the
// server has said so.
func confine() error {
	if err := child.Confine(); !errors.Is(err, child.ErrUnconfined) {
		return err
	}
	return nil
}

// newWorkers is the engine that runs each graph in a process of its own: this
// binary again, as `tenon worker`. The library's path is the one that e, the
// engine in this process, was opened with.
func newWorkers(executable, library string, e engine.Engine, runs int, log *slog.Logger) (*worker.Engine, error) {
	if err := child.CanConfine(); err != nil {
		log.Warn(err.Error())
	}
	if opened, ok := e.(interface{ Library() string }); ok {
		library = opened.Library()
	}
	if library != "" { // the worker has a working directory of its own
		absolute, err := filepath.Abs(library)
		if err != nil {
			return nil, err
		}
		library = absolute
	}
	environment := workerEnvironment(os.Environ())
	return worker.New(worker.Options{
		Name: e.Version(), Lanes: runs, Log: log,
		Command: func(lanes int) *exec.Cmd {
			command := exec.Command(executable, "worker", "--library", library, "--lanes", strconv.Itoa(lanes))
			command.Dir, command.Env, command.SysProcAttr = "/", environment, child.Attributes()
			return command
		},
	}), nil
}

// workerEnvironment keeps of the server's variables those that decide how a
// process runs, and none that may hold a secret.
func workerEnvironment(all []string) []string {
	kept := []string{}
	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GOMAXPROCS", "GODEBUG", "GORACE":
			kept = append(kept, variable)
		default:
			if strings.HasPrefix(name, "LC_") {
				kept = append(kept, variable)
			}
		}
	}
	return kept
}
