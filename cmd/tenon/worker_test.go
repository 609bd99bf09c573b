package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/engine/enginetest"
)

// TestConfinedWorkersPassTheSuite: what an engine promises holds in a process
// that has limits and no rights.
func TestConfinedWorkersPassTheSuite(t *testing.T) {
	enginetest.Run(t, realWorkers(t))
}

func realWorkers(t testing.TB) engine.Engine {
	t.Helper()
	library, e := libraryHere(t)
	workers, err := newWorkers(path(t, "tenon-ort"), library, e, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return workers
}

// TestWorkersGetNoSecrets: of the server's variables only those that decide how
// a process runs.
func TestWorkersGetNoSecrets(t *testing.T) {
	got := workerEnvironment([]string{"HOME=/root", "PATH=/bin", "TENON_SERVER_LISTEN=:1", "LC_ALL=C", "LANG=C", "AWS_SECRET_ACCESS_KEY=x", "PATHS=1"})
	if want := []string{"PATH=/bin", "LC_ALL=C", "LANG=C"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// quotient divides x by z, which is deadly in one case of all.
func quotient(more ...enginetest.Node) []byte {
	return enginetest.Model{
		Inputs:  []engine.Port{enginetest.Port("x", tensor.Int64, "N"), enginetest.Port("z", tensor.Int64, "N")},
		Outputs: []engine.Port{enginetest.Port("y", tensor.Int64, "N")},
		Nodes:   append(more, enginetest.Op("Div", []string{"x", "z"}, "y")),
	}.Bytes()
}

const (
	deadlyRow = `{"instances":[{"x":-9223372036854775808,"z":-1}]}`
	goodRow   = `{"instances":[{"x":-9223372036854775808,"z":2}]}`
)

// divide asks the quotient for a row.
func divide(t *testing.T, server *client.Client, row string) error {
	t.Helper()
	answer, err := server.Predict(t.Context(), ref.Reference{Model: "quotient"}, []byte(row))
	if err == nil && !strings.Contains(string(answer), "-4611686018427387904") {
		t.Errorf("%s", answer)
	}
	return err
}

func pushQuotient(t *testing.T, server *client.Client, isolation string) {
	t.Helper()
	if _, err := upload(t, server, "quotient", quotient(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Deploy(t.Context(), "quotient", wire.Deploy{Traffic: wire.Traffic{Stable: 1, Isolation: isolation}}); err != nil {
		t.Fatal(err)
	}
}

// placed is where version 1 of the quotient runs.
func placed(t *testing.T, server *client.Client) string {
	t.Helper()
	v, err := server.Version(t.Context(), "quotient", 1)
	if err != nil {
		t.Fatal(err)
	}
	return v.Isolation + ": " + v.IsolationReason
}

// TestADeadlyRequestHurtsItsModelAlone: 503, back within a second, and not one
// failed answer of the others.
func TestADeadlyRequestHurtsItsModelAlone(t *testing.T) {
	server, address := onnxRuntimeOn(t, filepath.Join(t.TempDir(), "reg"), time.Minute)
	answered := predicting(t, server)
	pushQuotient(t, server, "")
	if got := placed(t, server); got != "process: Div can end the process" {
		t.Errorf("it runs in %s", got)
	}
	for range 3 {
		if err := divide(t, server, goodRow); err != nil {
			t.Error(err)
		}
		dies(t, address)
		died := time.Now()
		if err := divide(t, server, goodRow); err != nil || time.Since(died) > time.Second {
			t.Errorf("after %s: %v", time.Since(died), err)
		}
	}
	if n := answered(); n < 10 {
		t.Errorf("only %d answers meanwhile", n)
	}
	if got := metric(t, address, "tenon_worker_restarts_total"); got != "3" {
		t.Errorf("%s restarts are counted", got)
	}
}

// dies sends the quotient the request that ends its process.
func dies(t *testing.T, address string) {
	t.Helper()
	response, err := http.Post(address+"/v1/models/quotient/predict", "application/json", strings.NewReader(deadlyRow))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var problem wire.Problem
	if err := json.NewDecoder(response.Body).Decode(&problem); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusServiceUnavailable || problem.Code != "worker-died" || !strings.Contains(problem.Detail, "SIGFPE") {
		t.Errorf("%d, %+v", response.StatusCode, problem)
	}
	if after := response.Header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After %q", after)
	}
}

// metric reads a number without labels.
func metric(t *testing.T, address, name string) string {
	t.Helper()
	response, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "no"
}

// TestIsolationIsOfTheDeployment: it changes without a failed request, outlasts
// a restart, and a rollback brings it back.
func TestIsolationIsOfTheDeployment(t *testing.T) {
	root := filepath.Join(t.TempDir(), "reg")
	server, _ := onnxRuntimeOn(t, root, time.Minute)
	pushQuotient(t, server, "shared")
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := divide(t, server, goodRow); err != nil {
				t.Errorf("while it moves: %v", err)
			}
		}
	}()
	if got := placed(t, server); got != "shared: the deployment says so" {
		t.Errorf("it runs in %s", got)
	}
	for _, isolation := range []string{"process", "shared", "process"} {
		d, err := server.Deploy(t.Context(), "quotient", wire.Deploy{Traffic: wire.Traffic{Stable: 1, Isolation: isolation}})
		if err != nil || d.Isolation != isolation {
			t.Errorf("%+v, %v", d, err)
		}
		if got := placed(t, server); got != isolation+": the deployment says so" {
			t.Errorf("it runs in %s, want %s", got, isolation)
		}
	}
	close(stop)
	<-done
	again, _ := onnxRuntimeOn(t, root, time.Minute)
	if got := placed(t, again); got != "process: the deployment says so" {
		t.Errorf("after a restart it runs in %s", got)
	}
	if _, err := upload(t, server, "quotient", quotient(enginetest.Op("Identity", []string{"x"}, "unused")), true); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Deploy(t.Context(), "quotient", wire.Deploy{Traffic: wire.Stable(2)}); err != nil {
		t.Fatal(err)
	}
	back, err := server.Rollback(t.Context(), "quotient", wire.Rollback{})
	if err != nil || back.Isolation != "process" || back.Stable != 1 {
		t.Errorf("rolled back to %+v, %v", back, err)
	}
	_, err = server.Deploy(t.Context(), "quotient", wire.Deploy{Traffic: wire.Traffic{Stable: 1, Isolation: "elsewhere"}})
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusBadRequest {
		t.Errorf("%v", err)
	}
}

// TestWeightsBesideTheModelAreRead: by the examination and by a process that
// may write nothing, from the file that the model names.
func TestWeightsBesideTheModelAreRead(t *testing.T) {
	const many = 100_000
	weights := tensor.New(tensor.Int64, many)
	for i := range many {
		tensor.View[int64](weights)[i] = int64(3 * i)
	}
	model := vector([]enginetest.Initializer{{Name: "w", Values: weights, File: "weights.bin"}},
		enginetest.Op("Gather", []string{"w", "x"}, "y"))
	data, err := packed("weighed", "", map[string][]byte{"model.onnx": model, "weights.bin": weights.Data})
	if err != nil {
		t.Fatal(err)
	}
	server, _ := onnxRuntimeOn(t, filepath.Join(t.TempDir(), "reg"), time.Minute)
	if _, err := upload(t, server, "weighed", data, false); err != nil {
		t.Fatal(err)
	}
	for _, isolation := range []string{"process", "shared"} {
		if _, err := server.Deploy(t.Context(), "weighed", wire.Deploy{Traffic: wire.Traffic{Stable: 1, Isolation: isolation}}); err != nil {
			t.Fatal(err)
		}
		answer, err := server.Predict(t.Context(), ref.Reference{Model: "weighed"}, []byte(`{"inputs":{"x":[0,99999,7]}}`))
		if err != nil || !strings.Contains(string(answer), "[0,299997,21]") {
			t.Errorf("%s: %s, %v", isolation, answer, err)
		}
	}
}
