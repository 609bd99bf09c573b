package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenon-ml/tenon/api/wire"
)

// until asks often whether something has come true.
func until(ts *testscript.TestScript, what string, true_ func() bool) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !true_() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s", what)
		}
	}
}

// exitsWith is the script command `code N COMMAND…`: the exit code is part of
// what programs read of a command.
func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	want, _ := strconv.Atoi(args[0])
	if got := codeOf(err); got != want {
		ts.Fatalf("exit code %d (%v), want %d", got, err, want)
	}
}

// codeOf is the exit code behind what Exec returned.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		return exit.ExitCode()
	}
	return -1
}

// examining waits until an examination of the server runs in its child.
func examining(ts *testscript.TestScript, _ bool, _ []string) {
	until(ts, "no examination began", func() bool {
		response, err := http.Get(ts.Getenv("TENON_URL") + "/v1/operations")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		var list wire.Operations
		ts.Check(json.NewDecoder(response.Body).Decode(&list))
		return len(list.Operations) > 0 && list.Operations[0].State == "running" && len(children(ts)) == 1
	})
}

// childless waits until no examination of this script's server is left.
func childless(ts *testscript.TestScript, _ bool, _ []string) {
	until(ts, "an examination goes on without its server", func() bool { return len(children(ts)) == 0 })
}

// children lists the processes that examine something below the script's
// folder. One that has ended and was not waited for has no command line.
func children(ts *testscript.TestScript) (found []string) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	for _, path := range all {
		line, err := os.ReadFile(path)
		if args := strings.Split(string(line), "\x00"); err == nil && len(args) > 2 && args[1] == "examine" &&
			strings.HasPrefix(args[2], ts.MkAbs(".")) {
			found = append(found, path)
		}
	}
	return found
}

// noPart holds that a folder has no half-written file: `nopart DIR`.
func noPart(ts *testscript.TestScript, _ bool, args []string) {
	parts, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), ".*.part"))
	ts.Check(err)
	if len(parts) > 0 {
		ts.Fatalf("left: %v", parts)
	}
}

// kept waits until the server has captured so many requests of demo: `kept N`.
func kept(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	until(ts, "the requests were not captured", func() bool {
		response, err := http.Get(ts.Getenv("TENON_URL") + "/v1/models/demo")
		ts.Check(err)
		defer response.Body.Close()
		var model wire.Model
		ts.Check(json.NewDecoder(response.Body).Decode(&model))
		return model.Captures != nil && model.Captures.Requests == want
	})
}

// redacted holds that a folder has files, and a text in none: `redacted DIR TEXT`.
func redacted(ts *testscript.TestScript, _ bool, args []string) {
	paths, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	if len(paths) == 0 {
		ts.Fatalf("%s holds nothing", args[0])
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		ts.Check(err)
		if strings.Contains(string(data), args[1]) {
			ts.Fatalf("%s holds %s:\n%s", path, args[1], data)
		}
	}
}
