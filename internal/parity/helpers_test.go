package parity_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/parity"
)

// golden is one request of a golden set. The server of the tests answers it by
// saying got, or refuses it where status is set.
type golden struct {
	why, body, expected, got string
	status                   int
}

// row is a request of one row of the output y.
func row(expected, got string) golden {
	return golden{
		why: "hold-out", body: `{"instances":[{"x":1}]}`,
		expected: `"predictions":[{"y":` + expected + `}]`, got: `{"predictions":[{"y":` + got + `}]}`,
	}
}

// open makes a bundle of the outputs, in the signature's words, and the cases;
// the ids of the requests are their places: 0, 1, 2.
func open(t testing.TB, outputs string, cases []golden) *bundle.Bundle {
	t.Helper()
	return openInputs(t, `{"name":"x","type":"float64"}`, outputs, cases)
}

// openInputs is open with other inputs than x.
func openInputs(t testing.TB, inputs, outputs string, cases []golden) *bundle.Bundle {
	t.Helper()
	var requests, answers strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&requests, `{"id":%d,"why":%q,"body":%s}`+"\n", i, c.why, c.body)
		fmt.Fprintf(&answers, `{"id":%d,%s}`+"\n", i, c.expected)
	}
	files := map[string]string{
		"model.onnx":               "not looked at here",
		"signature.json":           `{"inputs":[` + inputs + `],"outputs":[` + outputs + `]}`,
		"golden/requests.jsonl.gz": packed(t, requests.String()),
		"golden/answers.jsonl.gz":  packed(t, answers.String()),
	}
	list, folder := map[string]any{}, fstest.MapFS{}
	for name, data := range files {
		sum := sha256.Sum256([]byte(data))
		list[name] = map[string]any{"size": len(data), "sha256": hex.EncodeToString(sum[:])}
		folder[name] = &fstest.MapFile{Data: []byte(data)}
	}
	manifest, err := json.Marshal(map[string]any{"bundle": 1, "name": "iris", "created": "2026-01-01T00:00:00Z", "files": list})
	must(t, err)
	folder["manifest.json"] = &fstest.MapFile{Data: manifest}
	b, err := bundle.Open(folder)
	must(t, err)
	return b
}

func packed(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	must(t, err)
	must(t, w.Close())
	return out.String()
}

// server answers the cases in their order.
type server struct {
	t     testing.TB
	cases []golden
	seen  int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.cases[s.seen]
	s.seen++
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != c.body || r.Method != http.MethodPost || r.URL.Path != "/here" || r.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("%s %s %q %s, %v", r.Method, r.URL, r.Header, body, err)
	}
	if c.status != 0 {
		w.WriteHeader(c.status)
	}
	_, _ = io.WriteString(w, c.got)
}

// replay compares the whole golden set, and holds what holds for every report.
func replay(t testing.TB, outputs string, cases ...golden) *wire.Report {
	t.Helper()
	s := &server{t: t, cases: cases}
	report, err := parity.Replay(t.Context(), s, "/here", open(t, outputs, cases), parity.All, func(int, int) {})
	must(t, err)
	if s.seen != len(cases) || report.Requests != len(cases) || report.Model != "iris" || report.Summary == "" {
		t.Errorf("%d of %d requests were sent: %+v", s.seen, len(cases), report)
	}
	if report.Passed && (report.FailedRows > 0 || len(report.Worst) > 0) || len(report.Worst) > 20 {
		t.Errorf("passed with %d failed rows and %d worst", report.FailedRows, len(report.Worst))
	}
	travels(t, report)
	return report
}

// travels holds that a report survives JSON: nothing in it is NaN or infinite.
func travels(t testing.TB, report *wire.Report) {
	t.Helper()
	data, err := json.Marshal(report)
	must(t, err)
	var back wire.Report
	must(t, json.Unmarshal(data, &back))
	again, err := json.Marshal(back)
	must(t, err)
	if !bytes.Equal(again, data) {
		t.Errorf("%s became %s", data, again)
	}
}

// nowhere is a handler that must not be asked.
type nowhere struct{ t testing.TB }

func (n nowhere) ServeHTTP(http.ResponseWriter, *http.Request) { n.t.Error("a request was sent") }

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
