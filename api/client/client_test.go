package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

// The client is tested against the real server in package api; here is what a
// real server does not do.

func at(t *testing.T, base string) *client.Client {
	t.Helper()
	c, err := client.New(base)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answering(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return at(t, server.URL+"/")
}

func TestNoAddress(t *testing.T) {
	for _, base := range []string{"example", "example:8080", "ftp://example", "http://", "://", "http://[::1"} {
		if _, err := client.New(base); err == nil || !strings.Contains(err.Error(), client.DefaultServer) {
			t.Errorf("%q: %v", base, err)
		}
	}
	if _, err := client.New(""); err != nil {
		t.Error(err)
	}
}

func TestNoServer(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := at(t, server.URL).Models(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is the server running") || strings.Contains(err.Error(), "Get ") {
		t.Errorf("%v", err)
	}
}

func TestAnotherServer(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"an error page": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>no</html>", http.StatusBadGateway)
		},
		"JSON of another kind": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"no"}`)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"models":[`)
		},
	} {
		var p *client.Problem
		if _, err := answering(t, handler).Models(t.Context()); err == nil || errors.As(err, &p) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProblemText(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"status":400,"code":"invalid-input","detail":"It does not fit.","request_id":"r","errors":[{"path":"instances[0].a","detail":"no"}]}`)
	})
	_, err := c.Predict(t.Context(), ref.Reference{Model: "iris"}, []byte("{}"))
	if want := "It does not fit.\n  instances[0].a: no"; err == nil || err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	// A failure of the server can only be found by its request.
	p := &client.Problem{Problem: wire.Problem{Status: 500, Detail: "It broke.", RequestID: "r"}}
	if want := "It broke.\n  (request r)"; p.Error() != want {
		t.Errorf("%q, want %q", p, want)
	}
}

// TestPaths holds every method to its route; names that are none stay whole,
// so that the server can say what is wrong with them.
func TestPaths(t *testing.T) {
	var got string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + r.Header.Get("Content-Type") + " " + string(body))
		fmt.Fprint(w, "{}")
	})
	zero := 0
	for want, call := range map[string]func() error{
		"GET /v1/models":      func() error { _, err := c.Models(t.Context()); return err },
		"GET /v1/models/iris": func() error { _, err := c.Model(t.Context(), ref.Reference{Model: "iris", Version: 3}); return err },
		"GET /v1/models/iris@champion": func() error {
			_, err := c.Model(t.Context(), ref.Reference{Model: "iris", Alias: "champion"})
			return err
		},
		"GET /v1/models/..%2F..%2Fetc/versions":  func() error { _, err := c.Versions(t.Context(), "../../etc"); return err },
		"GET /v1/models/iris/versions/3":         func() error { _, err := c.Version(t.Context(), "iris", 3); return err },
		"GET /v1/models/iris/versions/3/example": func() error { _, err := c.Example(t.Context(), "iris", 3); return err },
		"GET /v1/models/iris/deployments":        func() error { _, err := c.Deployments(t.Context(), "iris"); return err },
		`POST /v1/models/iris/deployments application/json {"stable":3,"expected":0}`: func() error {
			_, err := c.Deploy(t.Context(), "iris", wire.Deploy{Traffic: wire.Stable(3), Expected: &zero})
			return err
		},
		`POST /v1/models/iris/rollback application/json {}`: func() error {
			_, err := c.Rollback(t.Context(), "iris", wire.Rollback{})
			return err
		},
		`POST /v1/models/iris/rollback application/json {"to":2,"expected":0,"reason":"why"}`: func() error {
			_, err := c.Rollback(t.Context(), "iris", wire.Rollback{To: 2, Expected: &zero, Reason: "why"})
			return err
		},
		`PUT /v1/models/iris/aliases/champion application/json {"version":3,"expected":0}`: func() error {
			_, err := c.SetAlias(t.Context(), "iris", "champion", wire.SetAlias{Version: 3, Expected: &zero})
			return err
		},
		`PUT /v1/models/iris/aliases/a%2Fb application/json {"version":3}`: func() error {
			_, err := c.SetAlias(t.Context(), "iris", "a/b", wire.SetAlias{Version: 3})
			return err
		},
		"DELETE /v1/models/iris/aliases/champion": func() error {
			_, err := c.DeleteAlias(t.Context(), "iris", "champion")
			return err
		},
		"DELETE /v1/models/iris/versions/3": func() error { _, err := c.DeleteVersion(t.Context(), "iris", 3, ""); return err },
		"DELETE /v1/models/iris/versions/3?reason=too+old": func() error {
			_, err := c.DeleteVersion(t.Context(), "iris", 3, "too old")
			return err
		},
		"GET /v1/models/iris/versions/3/report": func() error { _, err := c.Report(t.Context(), "iris", 3); return err },
		"GET /v1/models/iris/versions/3/bundle": func() error { _, err := c.Pull(t.Context(), "iris", 3, io.Discard); return err },
		"GET /v1/models/iris/log":               func() error { _, err := c.Log(t.Context(), "iris"); return err },
		"GET /v1/operations":                    func() error { _, err := c.Operations(t.Context()); return err },
		"GET /v1/operations/ab%2Fc":             func() error { _, err := c.Operation(t.Context(), "ab/c"); return err },
		"POST /v1/models/iris/versions?allow_parity_failure=true&wait=1m0s application/x-tar tar": func() error {
			_, err := c.Push(t.Context(), "iris", client.Body{
				Reader: strings.NewReader("tar"), Size: -1, AllowParityFailure: true, Wait: time.Minute,
			})
			return err
		},
		"POST /v1/models/iris/versions/3/predict application/json {}": func() error {
			_, err := c.Predict(t.Context(), ref.Reference{Model: "iris", Version: 3}, []byte("{}"))
			return err
		},
		"POST /v1/models/iris/versions application/x-tar tar": func() error {
			_, err := c.Push(t.Context(), "iris", client.Body{Reader: strings.NewReader("tar"), Size: -1})
			return err
		},
		"POST /v1/models/iris/versions application/octet-stream onnx": func() error {
			_, err := c.Push(t.Context(), "iris", client.Body{Reader: strings.NewReader("onnx"), Size: 4, Bare: true})
			return err
		},
	} {
		if err := call(); err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}
