package v1

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/internal/trial"
)

// API holds what the handlers need; all fields are set.
type API struct {
	Manager   *lifecycle.Manager
	Predictor *core.Predictor
	Trials    *trial.Watch
	Body      core.Limits // of a predict request
	Upload    core.Limits // of a push
	// RequestID returns the id that the middleware gave to the request.
	RequestID func(*gin.Context) string
	// Actor says who makes a request, for records.
	Actor func(*gin.Context) string
}

// Mount adds the routes. gin wants one name per path segment, so what stands
// behind /models/ is always :ref.
func (a *API) Mount(router gin.IRouter) {
	get := func(path string, h gin.HandlerFunc) {
		router.GET(path, h)
		router.HEAD(path, h)
	}
	get("/v1/models", a.models)
	get("/v1/models/:ref", a.model)
	get("/v1/models/:ref/versions", a.versions)
	get("/v1/models/:ref/versions/:number", a.version)
	get("/v1/models/:ref/versions/:number/bundle", a.bundle)
	get("/v1/models/:ref/versions/:number/report", a.report)
	get("/v1/models/:ref/versions/:number/example", a.example)
	get("/v1/models/:ref/versions/:number/divergence", a.divergence)
	get("/v1/models/:ref/deployments", a.deployments)
	get("/v1/models/:ref/log", a.log)
	get("/v1/operations", a.operations)
	get("/v1/operations/:id", a.operation)
	router.POST("/v1/models/:ref/rollback", a.checkKey, a.rollback)
	router.PUT("/v1/models/:ref/aliases/:alias", a.checkKey, a.setAlias)
	router.DELETE("/v1/models/:ref/aliases/:alias", a.checkKey, a.deleteAlias)
	router.DELETE("/v1/models/:ref/versions/:number", a.checkKey, a.deleteVersion)
	router.POST("/v1/models/:ref/predict", a.predict)
	router.POST("/v1/models/:ref/versions", a.checkKey, a.publish)
	router.POST("/v1/models/:ref/versions/:number/predict", a.predict)
	router.POST("/v1/models/:ref/deployments", a.checkKey, a.deploy)
	router.POST("/v1/models/:ref/rehearsals", a.rehearse)
	router.DELETE("/v1/models/:ref/captures", a.eraseCaptures)
}

// checkKey goes before every handler that changes a model.
func (a *API) checkKey(c *gin.Context) {
	keys := c.Request.Header.Values(wire.IdempotencyKey)
	if len(keys) == 0 {
		return
	}
	const most = 128
	odd := strings.ContainsFunc(keys[0], func(r rune) bool { return r < ' ' || r > '~' })
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > most || odd {
		a.fail(c, fault.New(fault.Invalid, fault.InvalidRequest,
			"The header %s is no key: send one of 1 to %d printable ASCII characters, a new one for every change.", wire.IdempotencyKey, most))
	}
}

// fail answers with an error; every handler's last resort. An error that is no
// fault is the client's end where the client has left: nothing failed here.
func (a *API) fail(c *gin.Context, err error) {
	if fault.As(err) == nil && c.Request.Context().Err() != nil {
		err = fault.New(fault.Canceled, fault.ClientGone, "The client closed the connection before the answer.").Because(err)
	}
	_ = c.Error(err) // for the access log
	core.WriteProblem(c.Writer, err, a.RequestID(c))
	c.Abort()
}

// answer writes a result, or the error in its place.
func (a *API) answer(c *gin.Context, status int, result any, err error) {
	if err != nil {
		a.fail(c, err)
		return
	}
	c.JSON(status, result)
}

// changed answers a change, and says where it was made before.
func (a *API) changed(c *gin.Context, status int, result any, replayed bool, err error) {
	if replayed {
		c.Header(wire.IdempotentReplayed, "true")
	}
	a.answer(c, status, result, err)
}

func (a *API) stamp(c *gin.Context) lifecycle.Stamp {
	return lifecycle.Stamp{Actor: a.Actor(c), RequestID: a.RequestID(c), Key: c.GetHeader(wire.IdempotencyKey)}
}

func (a *API) predict(c *gin.Context) {
	r, err := reference(c)
	if err == nil {
		err = core.CheckJSON(c.Request, true)
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	body, err := core.ReadBody(c.Writer, c.Request, a.Body)
	if err != nil {
		a.fail(c, err)
		return
	}
	out, answer, err := a.Predictor.Predict(c.Request.Context(), core.Request{
		Ref: r, Caller: c.GetHeader("Tenon-Caller"), ID: a.RequestID(c), Body: body,
	}, &codec{})
	core.Describe(c.Writer.Header(), answer)
	if err != nil {
		a.fail(c, err)
		return
	}
	c.Data(http.StatusOK, "application/json", out)
}
