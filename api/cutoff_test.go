package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// TestCutOff: an answer that fails after it began ends in the middle, so that
// nobody takes it for whole; it is logged and counted all the same.
func TestCutOff(t *testing.T) {
	for name, handler := range map[string]gin.HandlerFunc{
		"a bug": func(c *gin.Context) {
			begin(c)
			panic("a bug")
		},
		"a broken disk": func(c *gin.Context) {
			begin(c)
			_ = c.Error(errors.New("the disk broke"))
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			o := Options{Log: slog.New(slog.NewJSONHandler(&out, nil)), AccessLog: true}
			m := newMetrics(host.New(&engine.Fake{}, host.Options{}), nil)
			gin.SetMode(gin.ReleaseMode)
			router := gin.New()
			router.Use(identify, m.observe, logAccess(o), recoverPanics(o.Log))
			router.GET("/long", handler)
			server := httptest.NewServer(router)
			response, err := http.Get(server.URL + "/long")
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
			server.Close() // the handler has ended, so the log is whole
			if err == nil {
				t.Error("the answer looks whole")
			}
			if !strings.Contains(out.String(), "a bug") && !strings.Contains(out.String(), "the disk broke") {
				t.Errorf("the reason is not in the log:\n%s", out.String())
			}
			if line := accessLineIn(t, out.String()); line["cut_off"] != true || line["path"] != "/long" {
				t.Errorf("%v in\n%s", line, out.String())
			}
			scrape := httptest.NewRecorder()
			m.handler().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if want := `tenon_requests_total{method="GET",route="/long",status="200"} 1`; !strings.Contains(scrape.Body.String(), want) {
				t.Errorf("the scrape lacks %s", want)
			}
		})
	}
}

// begin sends the first bytes of an answer.
func begin(c *gin.Context) {
	c.String(http.StatusOK, strings.Repeat("x", 100))
	c.Writer.Flush()
}

func accessLineIn(t *testing.T, log string) map[string]any {
	t.Helper()
	for text := range strings.Lines(log) {
		line := map[string]any{}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line["msg"] == "request" {
			return line
		}
	}
	return nil
}
