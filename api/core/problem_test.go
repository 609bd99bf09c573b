package core_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

var errSecret = errors.New("secret: /var/lib/tenon")

// kinds is every kind with its status; a new kind gets its line here.
var kinds = map[fault.Kind]struct {
	status int
	title  string
}{
	fault.Internal:      {500, "Internal Server Error"},
	fault.Invalid:       {400, "Bad Request"},
	fault.Unauthorized:  {401, "Unauthorized"},
	fault.Forbidden:     {403, "Forbidden"},
	fault.NotFound:      {404, "Not Found"},
	fault.NotAllowed:    {405, "Method Not Allowed"},
	fault.Slow:          {408, "Request Timeout"},
	fault.Conflict:      {409, "Conflict"},
	fault.TooLarge:      {413, "Request Entity Too Large"},
	fault.Unsupported:   {415, "Unsupported Media Type"},
	fault.Unprocessable: {422, "Unprocessable Entity"},
	fault.Canceled:      {499, "Client Closed Request"},
	fault.Unavailable:   {503, "Service Unavailable"},
	fault.Timeout:       {504, "Gateway Timeout"},
}

func TestProblemOfEveryKind(t *testing.T) {
	for kind := range fault.Timeout + 1 {
		want, known := kinds[kind]
		if !known {
			t.Errorf("kind %d has no line in this test", kind)
		}
		e := fault.New(kind, "some-code", "A sentence.").Because(errSecret).At("inputs.age[2]", "type", "expected a number")
		got := core.ProblemOf(fmt.Errorf("outer: %w", e), "id-1")
		expected := wire.Problem{
			Type: "urn:tenon:problem:some-code", Title: want.title, Status: want.status, Code: "some-code", Detail: "A sentence.",
			RequestID: "id-1", Errors: []wire.Finding{{Path: "inputs.age[2]", Code: "type", Detail: "expected a number"}},
		}
		if kind == fault.Internal {
			expected.Errors = nil // findings are about a request, and this is about us
		}
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("kind %d: %+v, want %+v", kind, got, expected)
		}
	}
}

func TestProblemOfOtherErrors(t *testing.T) {
	got := core.ProblemOf(fmt.Errorf("outer: %w", errSecret), "id-1")
	if got.Status != 500 || got.Code != "internal" || strings.Contains(got.Detail, "secret") || !strings.Contains(got.Detail, "request_id") {
		t.Errorf("%+v", got)
	}
}

func TestWriteProblem(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		header map[string]string
	}{
		"conflict":   {fault.New(fault.Conflict, fault.NotLoaded, "No."), 409, nil},
		"overloaded": {fault.New(fault.Unavailable, fault.Overloaded, "No."), 503, map[string]string{"Retry-After": "1"}},
		"died":       {fault.New(fault.Unavailable, fault.WorkerDied, "No."), 503, map[string]string{"Retry-After": "1"}},
		"damaged":    {fault.New(fault.Unavailable, fault.Quarantined, "No."), 503, nil},
		"too large": {
			fault.New(fault.TooLarge, fault.BodyTooLarge, "No.").Because(&http.MaxBytesError{Limit: 1}), 413,
			map[string]string{"Connection": "close"},
		},
		"slow":     {fault.New(fault.Slow, fault.BodyTimeout, "No."), 408, map[string]string{"Connection": "close"}},
		"internal": {errSecret, 500, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if got := core.WriteProblem(w, c.err, "id-1"); got != c.status || w.Code != c.status {
				t.Errorf("returned %d, wrote %d, want %d", got, w.Code, c.status)
			}
			var p wire.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != c.status || p.RequestID != "id-1" {
				t.Errorf("%s: %v", w.Body, err)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s", w.Body)
			}
			want := http.Header{"Content-Type": {"application/problem+json"}}
			for name, value := range c.header {
				want.Set(name, value)
			}
			if !reflect.DeepEqual(w.Header(), want) {
				t.Errorf("header %v, want %v", w.Header(), want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	h := http.Header{}
	core.Describe(h, core.Answer{})
	if len(h) != 0 {
		t.Errorf("an answer of no version has the headers %v", h)
	}
	core.Describe(h, core.Answer{Model: "iris", Version: 3, Parity: "proven"})
	if want := (http.Header{"Tenon-Model": {"iris"}, "Tenon-Version": {"3"}, "Tenon-Parity": {"proven"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("%v, want %v", h, want)
	}
}
