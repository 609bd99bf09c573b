package core

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/internal/fault"
)

// maxRatio bounds how far a gzip body may unfold beyond its first MiB. Numbers
// as JSON compress about 3:1, a constant image some 50:1.
const maxRatio = 100

// Limits bound how a body arrives.
type Limits struct {
	Body    int64         // bytes, also after gzip is undone
	Timeout time.Duration // from the first read to the last byte
}

// ReadBody reads a request's body to its last byte, so that no version is
// pinned by a slow client, and undoes gzip. Faults: too large, broken encoding,
// timeout, client gone.
func ReadBody(w http.ResponseWriter, r *http.Request, limits Limits) ([]byte, error) {
	if r.ContentLength > limits.Body {
		return nil, tooLarge(limits.Body).Because(&http.MaxBytesError{Limit: limits.Body})
	}
	limited := http.MaxBytesReader(w, Timed(w, r.Body, limits.Timeout), limits.Body)
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		body, err := readAll(limited, r.ContentLength)
		return body, BodyError(r, err, limits.Body)
	case "gzip", "x-gzip":
		body, err := gunzip(limited, limits.Body)
		return body, BodyError(r, err, limits.Body)
	default:
		return nil, fault.New(fault.Unsupported, fault.MediaType,
			"The Content-Encoding %.40q is not understood: send the body as it is, or as gzip.", encoding)
	}
}

// Timed puts a body under a deadline, from now to its last byte. What the
// server does afterwards takes none of the client's time. A body that broke
// off keeps its deadline: net/http reads what is left of one before it
// answers, and would wait for a slow client without end.
func Timed(w http.ResponseWriter, body io.ReadCloser, timeout time.Duration) io.ReadCloser {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return body // a writer without a connection, as in a test
	}
	return &timedBody{body, control}
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// readAll reads with one allocation where the length was announced.
func readAll(r io.Reader, length int64) ([]byte, error) {
	const trusted = 1 << 20 // an announced length is only believed so far
	buffer := bytes.NewBuffer(make([]byte, 0, min(max(length, 0), trusted)+bytes.MinRead))
	_, err := buffer.ReadFrom(r)
	return buffer.Bytes(), err
}

// errRatio is a gzip body that unfolds beyond reason.
var errRatio = errors.New("the gzip body unfolds too far")

func gunzip(r io.Reader, limit int64) ([]byte, error) {
	counted := &countingReader{r: r}
	z, err := gzip.NewReader(counted)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for {
		n, err := io.CopyN(&out, z, 1<<20)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case int64(out.Len()) > limit:
			return nil, &http.MaxBytesError{Limit: limit}
		case err != nil:
			return out.Bytes(), nil
		case int64(out.Len()) > n+maxRatio*counted.n:
			return nil, errRatio
		}
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// BodyError words what went wrong while a body was read as a fault; nil stays
// nil. Uploads use it, too.
func BodyError(r *http.Request, err error, limit int64) error {
	var tooBig *http.MaxBytesError
	var network net.Error
	switch {
	case err == nil, fault.As(err) != nil:
		return err
	case errors.As(err, &tooBig), errors.Is(err, errRatio):
		return tooLarge(limit).Because(err)
	case errors.As(err, &network) && network.Timeout():
		return fault.New(fault.Slow, fault.BodyTimeout,
			"The request's body did not arrive in time: send it faster, or in smaller parts.").Because(err)
	case r.Context().Err() != nil:
		return fault.New(fault.Canceled, fault.ClientGone, "The client closed the connection while it sent the body.").Because(err)
	default:
		return fault.New(fault.Invalid, fault.InvalidEncoding,
			"The request's body is broken: the connection, a chunk or the gzip stream ended early or is damaged.").Because(err)
	}
}

func tooLarge(limit int64) *fault.Error {
	return fault.New(fault.TooLarge, fault.BodyTooLarge,
		"The request's body is larger than %d bytes, or unfolds to more: send fewer rows at once, or raise the "+
			"server's limit for predictions (server.max_body).", limit)
}

// CheckJSON refuses a body that says it is something else than JSON. No
// Content-Type is JSON, and so is what `curl -d` sends where lenient is set,
// which only requests that change nothing may.
func CheckJSON(r *http.Request, lenient bool) error {
	header := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(header)
	switch {
	case header == "", err == nil && (media == "application/json" || strings.HasSuffix(media, "+json")):
		return nil
	case lenient && err == nil && media == "application/x-www-form-urlencoded":
		return nil
	}
	return fault.New(fault.Unsupported, fault.MediaType,
		"The Content-Type %.60q is not understood here: send JSON as application/json.", header)
}
