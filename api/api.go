package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/core"
	v1 "github.com/tenon-ml/tenon/api/v1"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/internal/trial"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Options are what a handler is made of; all of them are set.
type Options struct {
	Manager *lifecycle.Manager
	Host    *host.Host
	Trials  *trial.Watch
	About   wire.About
	Log     *slog.Logger

	Body           core.Limits   // of a predict request
	Upload         core.Limits   // of a push
	RequestTimeout time.Duration // of a prediction, once its body is read
	AccessLog      bool
	// Local is set where the server listens on loopback: then a browser's page
	// may only be one that came from this machine, too.
	Local bool
}

// New returns the handler of the whole API.
func New(o Options) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	// A path has one spelling: a redirect would hide a client's mistake, and
	// lose the body of a POST.
	router.RedirectTrailingSlash = false
	router.RedirectFixedPath = false
	// An escaped slash is part of a name, which then is refused as a name.
	router.UseRawPath = true
	router.HandleMethodNotAllowed = true
	router.ContextWithFallback = true

	m := newMetrics(o.Host, o.Manager)
	router.Use(identify, ofClients(m.observe), ofClients(logAccess(o)), recoverPanics(o.Log), refuseCrossSite(o.Local))
	router.NoRoute(func(c *gin.Context) {
		fail(c, fault.New(fault.NotFound, fault.RouteNotFound, "There is no route %.200s: docs/api.md lists those there are.", c.Request.URL.Path))
	})
	router.NoMethod(func(c *gin.Context) {
		fail(c, fault.New(fault.NotAllowed, fault.MethodNotAllowed, "The route %.200s exists, but not for %.20s; Allow says for what.",
			c.Request.URL.Path, c.Request.Method))
	})
	mountServer(router, o, m)
	dialect := &v1.API{
		Manager: o.Manager, Trials: o.Trials, Body: o.Body, Upload: o.Upload,
		Predictor: &core.Predictor{Host: o.Host, Timeout: o.RequestTimeout, Watch: m.predicted},
		RequestID: requestID, Actor: actor,
	}
	dialect.Mount(router)
	return router
}

// fail answers with an error.
func fail(c *gin.Context, err error) {
	_ = c.Error(err)
	core.WriteProblem(c.Writer, err, requestID(c))
	c.Abort()
}

// mountServer adds the routes about the server itself.
func mountServer(router gin.IRouter, o Options, m *metrics) {
	get := func(path string, h gin.HandlerFunc) {
		router.GET(path, h)
		router.HEAD(path, h)
	}
	get("/livez", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"live": true}) })
	get("/readyz", func(c *gin.Context) {
		status, ready := http.StatusOK, o.Manager.Ready()
		if !ready.Ready {
			status = http.StatusServiceUnavailable
		}
		c.JSON(status, ready)
	})
	get("/version", func(c *gin.Context) { c.JSON(http.StatusOK, o.About) })
	get("/metrics", gin.WrapH(m.handler()))
}
