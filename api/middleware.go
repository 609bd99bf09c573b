package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/runtime/host"
)

// requestIDHeader carries the id that finds a request in logs and records.
const requestIDHeader = "X-Request-Id"

// identify gives the request an id: the client's own where it is a plain word,
// else a random one.
func identify(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if !plainWord(id) {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		id = hex.EncodeToString(random[:])
	}
	c.Header(requestIDHeader, id)
}

// plainWord keeps ids short and harmless wherever they are shown.
func plainWord(id string) bool {
	for i := 0; i < len(id); i++ {
		c := id[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

func requestID(c *gin.Context) string { return c.Writer.Header().Get(requestIDHeader) }

// actor says who makes a request. There is no authentication yet, so all there
// is to know is where it came from.
func actor(c *gin.Context) string {
	remote, _, err := net.SplitHostPort(c.Request.RemoteAddr)
	if err != nil {
		return "anonymous"
	}
	return "anonymous@" + remote
}

// ofClients lets the server's own probes pass by a handler that counts or logs
// what clients ask.
func ofClients(h gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		if !host.Probing(c.Request.Context()) {
			h(c)
		}
	}
}

// logAccess writes one line a request, after its answer.
func logAccess(o Options) gin.HandlerFunc {
	return func(c *gin.Context) {
		started, whole := time.Now(), false
		defer func() { // an answer that is cut off leaves by a panic, and has its line, too
			cause := c.Errors.Last()
			if cause != nil && (!whole || c.Writer.Status() >= http.StatusInternalServerError) {
				o.Log.Error("a request failed", "request_id", requestID(c), "error", cause.Err)
			}
			if o.AccessLog {
				o.Log.LogAttrs(c.Request.Context(), slog.LevelInfo, "request", accessLine(c, time.Since(started), whole)...)
			}
		}()
		c.Next()
		whole = true
	}
}

func accessLine(c *gin.Context, took time.Duration, whole bool) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("request_id", requestID(c)),
		slog.String("method", c.Request.Method),
		slog.String("path", c.Request.URL.Path),
		slog.Int("status", c.Writer.Status()),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("in", c.Request.ContentLength),
		slog.Int("out", max(c.Writer.Size(), 0)),
		slog.String("actor", actor(c)),
	}
	header := c.Writer.Header()
	if model := header.Get("Tenon-Model"); model != "" {
		attrs = append(attrs, slog.String("model", model), slog.String("version", header.Get("Tenon-Version")))
	}
	if cause := c.Errors.Last(); cause != nil {
		attrs = append(attrs, slog.String("code", codeOf(cause.Err)))
	}
	if !whole {
		attrs = append(attrs, slog.Bool("cut_off", true))
	}
	return attrs
}

func codeOf(err error) string {
	if e := fault.As(err); e != nil {
		return string(e.Code)
	}
	return string(fault.InternalError)
}

// recoverPanics answers 500 for a bug in a handler; the stack goes to the log.
// An answer that had begun is cut off, so that it cannot pass for a whole one.
func recoverPanics(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause)
			}
			log.Error("a handler panicked", "request_id", requestID(c), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			if c.Writer.Written() {
				panic(http.ErrAbortHandler)
			}
			fail(c, fmt.Errorf("panic: %v", cause))
		}()
		c.Next()
	}
}

// crossSite knows by the browser's own headers when a page of another site
// made the request.
var crossSite = http.NewCrossOriginProtection()

// refuseCrossSite keeps web pages from changing a server on the visitor's own
// machine. Programs send no such headers and pass. A page may also point its
// own name at this machine (DNS rebinding), and then its Origin is the Host;
// a server that listens on loopback therefore takes loopback origins only.
func refuseCrossSite(local bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		err := crossSite.Check(c.Request)
		if origin := c.GetHeader("Origin"); err == nil && local && origin != "" && !loopbackOrigin(origin) {
			err = fmt.Errorf("the origin %.100q is not on this machine", origin)
		}
		if err != nil {
			fail(c, fault.New(fault.Forbidden, fault.AccessDenied,
				"A web page of another site made this request, which is not allowed: call the server from your own program.").Because(err))
		}
	}
}

func loopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
