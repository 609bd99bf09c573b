package v1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/internal/ref"
)

// publish receives a bundle as a raw tar, a bare model, or one part of a form.
func (a *API) publish(c *gin.Context) {
	name, err := modelName(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	c.Request.Body = core.Timed(c.Writer, c.Request.Body, a.Upload.Timeout)
	up, err := upload(c.Request)
	if err != nil {
		a.fail(c, err)
		return
	}
	if up.AllowFailure, err = flag(c, "allow_parity_failure"); err != nil {
		a.fail(c, err)
		return
	}
	wait, err := waitOf(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	operation, err := a.Manager.Publish(c.Request.Context(), name, up, a.stamp(c))
	if err != nil {
		finishBody(c.Request)
		a.fail(c, a.uploadError(c.Request, err))
		return
	}
	a.published(c, operation, wait)
}

// published answers with the version when the examination ends in time.
func (a *API) published(c *gin.Context, o *lifecycle.Operation, wait time.Duration) {
	outcome, ended := a.await(c, o, wait)
	if !ended {
		return
	}
	done := outcome.Published
	c.Header("Location", fmt.Sprintf("/v1/models/%s/versions/%d", done.Model, done.Version))
	status := http.StatusCreated
	if done.Existing {
		status = http.StatusOK
	}
	a.changed(c, status, done, done.Replayed, nil)
}

// await waits for the end of an operation. Where it does not come in time, or is
// a failure, that is answered: the operation to look at, or the problem.
func (a *API) await(c *gin.Context, o *lifecycle.Operation, wait time.Duration) (outcome lifecycle.Outcome, succeeded bool) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), wait)
	defer cancel()
	outcome, ended, err := o.Wait(ctx)
	if gone := c.Request.Context().Err(); gone != nil {
		a.fail(c, gone)
		return outcome, false
	}
	if !ended {
		state := o.Describe(a.problem(c))
		c.Header("Location", "/v1/operations/"+state.ID)
		c.JSON(http.StatusAccepted, state)
		return outcome, false
	}
	if err != nil {
		a.fail(c, err)
	}
	return outcome, err == nil
}

// The wait for an operation, by default and at most.
const (
	defaultWait = 30 * time.Second
	maxWait     = 10 * time.Minute
)

// waitOf reads ?wait=, a duration such as 30s or 2m.
func waitOf(c *gin.Context) (time.Duration, error) {
	text := c.Query("wait")
	if text == "" {
		return defaultWait, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, invalid("?wait", fmt.Sprintf("expected a duration from 0s to %s, got %.40q", maxWait, text))
	}
	return wait, nil
}

// flag reads a query parameter that is true or false.
func flag(c *gin.Context, name string) (bool, error) {
	switch text := c.Query(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalid("?"+name, fmt.Sprintf("expected true or false, got %.40q", text))
	}
}

// finishBody reads on after a refusal, within reason: a client that is still
// sending would otherwise see a reset connection in place of the answer.
func finishBody(r *http.Request) {
	const reason = 64 << 20
	_, _ = io.CopyN(io.Discard, r.Body, reason)
}

// uploadError tells a body that broke off from a bundle that is wrong.
func (a *API) uploadError(r *http.Request, err error) error {
	var read *bundle.ReadError
	if errors.As(err, &read) {
		return core.BodyError(r, read.Err, a.Upload.Body)
	}
	return err
}

// upload finds the bundle in a request by its Content-Type.
func upload(r *http.Request) (lifecycle.Upload, error) {
	header := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(header)
	if err != nil {
		media = header
	}
	switch media {
	case "application/x-tar":
		return lifecycle.Upload{Body: r.Body}, nil
	case "application/octet-stream":
		return lifecycle.Upload{Body: r.Body, Bare: true}, nil
	case "multipart/form-data":
		return uploadPart(r)
	}
	return lifecycle.Upload{}, fault.New(fault.Unsupported, fault.MediaType,
		"The Content-Type %.60q is no upload: send a bundle as application/x-tar, a bare model as application/octet-stream, "+
			`or a form with one file part named "bundle" or "model".`, header)
}

// uploadPart finds the first part of a form, which is the upload.
func uploadPart(r *http.Request) (lifecycle.Upload, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return lifecycle.Upload{}, badForm(err)
	}
	part, err := form.NextPart()
	if err != nil {
		return lifecycle.Upload{}, badForm(err)
	}
	switch part.FormName() {
	case "bundle":
		return lifecycle.Upload{Body: lastPart{part, form}}, nil
	case "model":
		return lifecycle.Upload{Body: lastPart{part, form}, Bare: true}, nil
	}
	return lifecycle.Upload{}, badForm(fmt.Errorf("its first part is %.40q", part.FormName()))
}

func badForm(err error) error {
	return fault.New(fault.Invalid, fault.InvalidRequest,
		`The form cannot be read: send one file part named "bundle" (a tar) or "model" (an ONNX file).`).Because(err)
}

// lastPart reads a part to its end and holds that no other follows, so that
// nothing that was sent is silently left out.
type lastPart struct {
	io.Reader
	form *multipart.Reader
}

func (p lastPart) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		if _, next := p.form.NextPart(); !errors.Is(next, io.EOF) {
			return n, badForm(errors.New("it has more than one part"))
		}
	}
	return n, err
}

// deploy puts versions into traffic.
func (a *API) deploy(c *gin.Context) {
	name, err := modelName(c)
	var d wire.Deploy
	if err == nil {
		err = a.readDeploy(c, &d)
	}
	if beside := d.Canary != nil || d.Shadow != 0 || d.Capture != nil; err == nil && (d.Stable < 0 || d.Stable == 0 && !beside) {
		err = invalid("stable", "expected the number of a version, from 1")
	}
	if err == nil && !slices.Contains([]string{"", "auto", "shared", "process"}, d.Isolation) {
		err = invalid("isolation", "expected auto, shared or process")
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	done, err := a.Manager.Deploy(c.Request.Context(), name, d, a.stamp(c))
	a.changed(c, http.StatusCreated, done, done.Replayed, err)
}

// rollback goes back to the stable version before this one, or to another.
func (a *API) rollback(c *gin.Context) {
	name, err := modelName(c)
	var r wire.Rollback
	if err == nil && c.Request.ContentLength != 0 {
		err = a.readChange(c, fields{"to": &r.To, "expected": &r.Expected, "reason": &r.Reason})
	}
	if err == nil && r.To < 0 {
		err = invalid("to", "expected the number of a version, from 1")
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	done, err := a.Manager.Rollback(c.Request.Context(), name, r, a.stamp(c))
	a.changed(c, http.StatusCreated, done, done.Replayed, err)
}

func (a *API) setAlias(c *gin.Context) {
	name, err := modelName(c)
	var s wire.SetAlias
	if err == nil {
		err = a.readChange(c, fields{"version": &s.Version, "expected": &s.Expected})
	}
	if err == nil && s.Version < 1 {
		err = invalid("version", "expected the number of a version, from 1")
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	done, err := a.Manager.SetAlias(c.Request.Context(), name, c.Param("alias"), s, a.stamp(c))
	a.changed(c, http.StatusOK, done, done.Replayed, err)
}

func (a *API) deleteAlias(c *gin.Context) {
	name, err := modelName(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	done, err := a.Manager.SetAlias(c.Request.Context(), name, c.Param("alias"), wire.SetAlias{}, a.stamp(c))
	a.changed(c, http.StatusOK, done, done.Replayed, err)
}

// deleteVersion gives a version up for good. Its reason is in the query: not
// every proxy lets the body of a DELETE pass.
func (a *API) deleteVersion(c *gin.Context) {
	name, err := modelName(c)
	var n int
	if err == nil {
		n, err = ref.ParseVersion(c.Param("number"))
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	done, err := a.Manager.Delete(c.Request.Context(), name, n, c.Query("reason"), a.stamp(c))
	a.changed(c, http.StatusOK, done, done.Replayed, err)
}
