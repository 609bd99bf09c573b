package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
)

// examining is a server whose examination of a push takes as many looks as
// there are answers.
func examining(t *testing.T, answers ...wire.Operation) *client.Client {
	t.Helper()
	looks := 0
	return answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(wire.Operation{ID: "op", State: "queued"})
		case r.URL.Path != "/v1/operations/op" || looks == len(answers):
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"code":"operation-not-found","detail":"There is no operation."}`)
		default:
			_ = json.NewEncoder(w).Encode(answers[looks])
			looks++
		}
	})
}

func push(t *testing.T, c *client.Client, progress func(wire.Operation)) (wire.Published, error) {
	t.Helper()
	return c.Push(t.Context(), "iris", client.Body{Reader: strings.NewReader("tar"), Size: 3, Progress: progress})
}

func TestPushFollowsAnExamination(t *testing.T) {
	c := examining(t,
		wire.Operation{State: "queued"},
		wire.Operation{State: "running", Done: 1, Total: 2},
		wire.Operation{State: "succeeded", Result: &wire.Published{Model: "iris", Version: 3}})
	var seen []int
	done, err := push(t, c, func(o wire.Operation) { seen = append(seen, o.Total) })
	if err != nil || done.Version != 3 || fmt.Sprint(seen) != "[0 2]" {
		t.Errorf("%+v, %v, seen %v", done, err, seen)
	}
}

func TestPushAnswersWithTheProblemOfAnExamination(t *testing.T) {
	c := examining(t, wire.Operation{State: "failed", Error: &wire.Problem{Code: "parity-failed", Detail: "No.", Report: []byte(`{"rows":1}`)}})
	_, err := push(t, c, nil)
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Code != "parity-failed" || string(problem.Report) != `{"rows":1}` {
		t.Errorf("%v", err)
	}
}

func TestPushOfAnExaminationThatIsForgotten(t *testing.T) {
	_, err := push(t, examining(t, wire.Operation{State: "running"}), nil)
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Code != "operation-not-found" {
		t.Errorf("%v", err)
	}
}

func TestPushOfAnotherServersOperation(t *testing.T) {
	if _, err := push(t, examining(t, wire.Operation{}), nil); err == nil || !strings.Contains(err.Error(), "not tenon's") {
		t.Errorf("%v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	running := wire.Operation{State: "running"}
	_, err := examining(t, running, running).Wait(ctx, "op", func(wire.Operation) { cancel() })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "goes on in the server") {
		t.Errorf("%v", err)
	}
}

// TestWaitLosesTheServer: the push was received, which the error has to say.
func TestWaitLosesTheServer(t *testing.T) {
	c := answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := c.Wait(t.Context(), "op", nil); err == nil || !strings.Contains(err.Error(), "the upload was received") {
		t.Errorf("%v", err)
	}
}

func TestPull(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"sha256:ab"`)
		switch {
		case strings.Contains(r.URL.Path, "whole"):
			fmt.Fprint(w, "tar")
		case strings.Contains(r.URL.Path, "half"):
			fmt.Fprint(w, "ta")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"code":"model-not-found","detail":"There is no model."}`)
		}
	})
	var to bytes.Buffer
	if digest, err := c.Pull(t.Context(), "whole", 1, &to); err != nil || digest != "sha256:ab" || to.String() != "tar" {
		t.Errorf("%s, %v, %s", digest, err, &to)
	}
	if _, err := c.Pull(t.Context(), "half", 1, &to); err == nil || !strings.Contains(err.Error(), "half/1 broke off") {
		t.Errorf("%v", err)
	}
	to.Reset()
	var problem *client.Problem
	if _, err := c.Pull(t.Context(), "absent", 1, &to); !errors.As(err, &problem) || to.Len() > 0 {
		t.Errorf("%v, %s", err, &to)
	}
}
