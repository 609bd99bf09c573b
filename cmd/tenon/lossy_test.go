package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// lossy is the script command `lossy N`: a way to the script's server, in
// $LOSSY, that loses the first N answers after the server has given them.
func lossy(ts *testscript.TestScript, _ bool, args []string) {
	left, err := strconv.Atoi(args[0])
	ts.Check(err)
	var lost atomic.Int64
	base := ts.Getenv("TENON_URL")
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(err)
		}
		request.Header = r.Header
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			panic(err)
		}
		defer answer.Body.Close()
		if lost.Add(1) <= int64(left) {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	ts.Defer(way.Close)
	ts.Setenv("LOSSY", way.URL)
}
