package core_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/internal/fault"
)

const limit = 1000

// read gives a body to ReadBody, by a writer without a connection.
func read(body io.Reader, length int64, encoding string) ([]byte, error) {
	r := httptest.NewRequest(http.MethodPost, "/", body)
	r.ContentLength = length
	r.Header.Set("Content-Encoding", encoding)
	return core.ReadBody(httptest.NewRecorder(), r, core.Limits{Body: limit, Timeout: time.Minute})
}

func zip(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return out.String()
}

func TestReadBody(t *testing.T) {
	full, over := strings.Repeat("a", limit), strings.Repeat("a", limit+1)
	broken := iotest.ErrReader(io.ErrUnexpectedEOF)
	slow := iotest.ErrReader(&net.OpError{Op: "read", Err: timeout{}})
	for name, c := range map[string]struct {
		body     io.Reader
		length   int64
		encoding string
		want     string
		code     fault.Code
	}{
		"empty":                      {strings.NewReader(""), 0, "", "", ""},
		"of the limit":               {strings.NewReader(full), limit, "", full, ""},
		"of unknown length":          {iotest.OneByteReader(strings.NewReader(full)), -1, "identity", full, ""},
		"gzip":                       {strings.NewReader(zip(full)), -1, "gzip", full, ""},
		"gzip, another name":         {iotest.HalfReader(strings.NewReader(zip(full))), -1, "X-GZIP", full, ""},
		"gzip of two members":        {strings.NewReader(zip("ab") + zip("cd")), -1, "gzip", "abcd", ""},
		"gzip of nothing":            {strings.NewReader(zip("")), -1, "gzip", "", ""},
		"announced as too large":     {strings.NewReader("a"), limit + 1, "", "", fault.BodyTooLarge},
		"too large":                  {strings.NewReader(over), -1, "", "", fault.BodyTooLarge},
		"a gzip that is too large":   {strings.NewReader(zip(over)), -1, "gzip", "", fault.BodyTooLarge},
		"a gzip that is cut off":     {strings.NewReader(zip(full)[:20]), -1, "gzip", "", fault.InvalidEncoding},
		"a gzip that is none":        {strings.NewReader("{}"), -1, "gzip", "", fault.InvalidEncoding},
		"a gzip with more behind":    {strings.NewReader(zip("ab") + "{}"), -1, "gzip", "", fault.InvalidEncoding},
		"an encoding we do not read": {strings.NewReader("{}"), -1, "br", "", fault.MediaType},
		"broken":                     {broken, -1, "", "", fault.InvalidEncoding},
		"broken gzip":                {io.MultiReader(strings.NewReader(zip(full)[:20]), broken), -1, "gzip", "", fault.InvalidEncoding},
		"slow":                       {slow, -1, "", "", fault.BodyTimeout},
		"slow gzip":                  {io.MultiReader(strings.NewReader(zip(full)[:20]), slow), -1, "gzip", "", fault.BodyTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := read(c.body, c.length, c.encoding)
			switch {
			case c.code == "" && (err != nil || string(body) != c.want):
				t.Errorf("%d bytes, %v", len(body), err)
			case c.code != "" && !fault.Is(err, c.code):
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// TestReadBodyBelievesNoLength: an announced length is no reason to take that
// much memory.
func TestReadBodyBelievesNoLength(t *testing.T) {
	const announced = 1 << 30
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("short"))
	r.ContentLength = announced
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body, err := core.ReadBody(httptest.NewRecorder(), r, core.Limits{Body: announced, Timeout: time.Minute})
	runtime.ReadMemStats(&after)
	if made := after.TotalAlloc - before.TotalAlloc; err != nil || string(body) != "short" || made > 2<<20 {
		t.Errorf("%d bytes were allocated for a body of 5: %v", made, err)
	}
}

func TestClientGoneWhileSending(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(io.ErrUnexpectedEOF)).WithContext(ctx)
	if _, err := core.ReadBody(httptest.NewRecorder(), r, core.Limits{Body: limit}); !fault.Is(err, fault.ClientGone) {
		t.Errorf("%v", err)
	}
}

// TestBodyErrorKeepsFaults: what is worded already stays as it is.
func TestBodyErrorKeepsFaults(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	if err := core.BodyError(r, nil, 1); err != nil {
		t.Errorf("%v", err)
	}
	want := fault.New(fault.Invalid, fault.InvalidRequest, "A sentence.")
	if err := core.BodyError(r, want, 1); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}

func TestCheckJSON(t *testing.T) {
	for media, want := range map[string]struct{ strict, lenient bool }{
		"":                                  {true, true},
		"application/json":                  {true, true},
		"Application/JSON; charset=utf-8":   {true, true},
		"application/geo+json":              {true, true},
		"application/x-www-form-urlencoded": {false, true},
		"text/plain":                        {false, false},
		"application/jsonl":                 {false, false},
		"application/json; charset":         {false, false},
		"multipart/form-data":               {false, false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", media)
		for lenient, want := range map[bool]bool{false: want.strict, true: want.lenient} {
			err := core.CheckJSON(r, lenient)
			if (err == nil) != want || err != nil && !fault.Is(err, fault.MediaType) {
				t.Errorf("%q, lenient %v: %v", media, lenient, err)
			}
		}
	}
}

// TestTimed: the deadline ends with the body, and only with all of it.
func TestTimed(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	body := core.Timed(w, io.NopCloser(strings.NewReader("abc")), time.Minute)
	if len(w.set) != 1 || time.Until(w.set[0]) > time.Minute || time.Until(w.set[0]) < 50*time.Second {
		t.Fatalf("%v", w.set)
	}
	if _, err := body.Read(make([]byte, 2)); err != nil || len(w.set) != 1 {
		t.Errorf("in the middle: %v, %v", err, w.set)
	}
	if _, err := io.ReadAll(body); err != nil || len(w.set) != 2 || !w.set[1].IsZero() {
		t.Errorf("at the end: %v, %v", err, w.set)
	}
	w.set = nil
	broken := core.Timed(w, io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)), time.Minute)
	if _, err := io.ReadAll(broken); err == nil || len(w.set) != 1 {
		t.Errorf("a body that broke off: %v, %v", err, w.set)
	}
}

// deadlines notes the read deadlines of a connection.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}
