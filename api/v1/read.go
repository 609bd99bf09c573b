package v1

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/reportpage"
)

// reference reads :ref and :number: iris, iris@champion or iris/versions/3.
func reference(c *gin.Context) (ref.Reference, error) {
	r, err := ref.Parse(c.Param("ref"))
	if err != nil {
		return r, err
	}
	number := c.Param("number")
	switch {
	case r.Version > 0: // iris%2F3: a version has one path
		return r, fault.New(fault.Invalid, fault.InvalidReference,
			"In a path a version is written /v1/models/%s/versions/%d, got %q.", r.Model, r.Version, r)
	case number == "":
		return r, nil
	case r.Alias != "":
		return r, fault.New(fault.Invalid, fault.InvalidReference,
			"A path names an alias or a version, not both: got %q with version %.20q.", r, number)
	}
	r.Version, err = ref.ParseVersion(number)
	return r, err
}

// modelName reads :ref where only a model's name makes sense.
func modelName(c *gin.Context) (string, error) {
	name := c.Param("ref")
	return name, ref.CheckName(name)
}

func (a *API) models(c *gin.Context) {
	list, err := a.Manager.Models()
	a.answer(c, http.StatusOK, wire.Models{Models: list}, err)
}

func (a *API) model(c *gin.Context) {
	r, err := reference(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	model, err := a.Manager.Model(r)
	model.Trial = a.Trials.Describe(r.Model)
	a.answer(c, http.StatusOK, model, err)
}

// divergence tells how far a version on trial is from the stable one.
func (a *API) divergence(c *gin.Context) {
	r, err := reference(c)
	if err == nil {
		_, err = a.Manager.Version(r.Model, r.Version)
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	found, err := a.Trials.Divergence(r.Model, r.Version)
	a.answer(c, http.StatusOK, found, err)
}

func (a *API) versions(c *gin.Context) {
	name, err := modelName(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	list, err := a.Manager.Versions(name)
	a.answer(c, http.StatusOK, wire.Versions{Versions: list}, err)
}

func (a *API) version(c *gin.Context) {
	r, err := reference(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	version, err := a.Manager.Version(r.Model, r.Version)
	a.answer(c, http.StatusOK, version, err)
}

func (a *API) deployments(c *gin.Context) {
	name, err := modelName(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	list, err := a.Manager.Deployments(name)
	a.answer(c, http.StatusOK, wire.Deployments{Deployments: list}, err)
}

func (a *API) example(c *gin.Context) {
	r, err := reference(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	body, err := a.Manager.Example(r.Model, r.Version)
	if err != nil {
		a.fail(c, err)
		return
	}
	c.Data(http.StatusOK, "application/json", body)
}

func (a *API) report(c *gin.Context) {
	r, err := reference(c)
	var data []byte
	if err == nil {
		data, err = a.Manager.Report(r.Model, r.Version)
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	c.Header("Vary", "Accept")
	if !wantsPage(c.GetHeader("Accept")) {
		c.Data(http.StatusOK, "application/json", data)
		return
	}
	var report wire.Report
	var page bytes.Buffer
	if err = json.Unmarshal(data, &report); err == nil {
		err = reportpage.Write(&page, r.String(), &report)
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	c.Header("Content-Security-Policy", pagePolicy)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Data(http.StatusOK, "text/html; charset=utf-8", page.Bytes())
}

// pagePolicy lets a page have nothing but its own styles.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// wantsPage reports whether an Accept header asks for HTML by name, and for
// JSON less: that is what browsers do. Everybody else gets JSON.
func wantsPage(accept string) bool {
	page, data := 0.0, 0.0
	for _, part := range strings.Split(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if given, ok := parameters["q"]; ok {
			if q, err = strconv.ParseFloat(given, 64); err != nil {
				continue
			}
		}
		switch kind {
		case "text/html":
			page = max(page, q)
		case "application/json":
			data = max(data, q)
		}
	}
	return page > data
}

func (a *API) log(c *gin.Context) {
	name, err := modelName(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	log, err := a.Manager.Log(name)
	a.answer(c, http.StatusOK, log, err)
}

func (a *API) operations(c *gin.Context) {
	out := wire.Operations{Operations: []wire.Operation{}}
	for _, o := range a.Manager.Operations() {
		out.Operations = append(out.Operations, o.Describe(a.problem(c)))
	}
	c.JSON(http.StatusOK, out)
}

func (a *API) operation(c *gin.Context) {
	o, err := a.Manager.Operation(c.Param("id"))
	if err != nil {
		a.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, o.Describe(a.problem(c)))
}

// problem words the error of an operation as the request that asks would see it.
func (a *API) problem(c *gin.Context) func(error) wire.Problem {
	return func(err error) wire.Problem { return core.ProblemOf(err, a.RequestID(c)) }
}

// errHeadersOnly ends a bundle before its first byte: HEAD reads no files.
var errHeadersOnly = errors.New("only the headers were asked for")

func (a *API) bundle(c *gin.Context) {
	r, err := reference(c)
	if err == nil {
		err = a.Manager.WriteBundle(c.Writer, r.Model, r.Version, func(digest string) error {
			c.Header("Content-Type", "application/x-tar")
			c.Header("ETag", `"`+digest+`"`)
			c.Header("Content-Disposition", `attachment; filename="`+r.Model+`.tenon"`)
			if c.Request.Method == http.MethodHead {
				return errHeadersOnly
			}
			return nil
		})
	}
	switch {
	case err == nil, errors.Is(err, errHeadersOnly):
	case c.Writer.Written():
		_ = c.Error(err)
		panic(http.ErrAbortHandler) // a tar that ends early must not look whole
	default:
		a.fail(c, err)
	}
}
