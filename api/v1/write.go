package v1

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
)

// maxChange bounds the JSON body of a request that changes a model.
const maxChange = 64 << 10

// publish receives a bundle as a raw tar, a bare model, or one part of a form.
func (a *API) publish(c *gin.Context) {
	name, err := modelName(c)
	if err != nil {
		a.fail(c, err)
		return
	}
	control := http.NewResponseController(c.Writer)
	if err := control.SetReadDeadline(time.Now().Add(a.Upload.Timeout)); err == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	up, err := upload(c.Request)
	if err != nil {
		a.fail(c, err)
		return
	}
	done, err := a.Manager.Publish(c.Request.Context(), name, up, a.stamp(c))
	if err != nil {
		finishBody(c.Request)
		a.fail(c, a.uploadError(c.Request, err))
		return
	}
	c.Header("Location", fmt.Sprintf("/v1/models/%s/versions/%d", done.Model, done.Version))
	status := http.StatusCreated
	if done.Existing {
		status = http.StatusOK
	}
	c.JSON(status, done)
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

// deploy puts a version into traffic.
func (a *API) deploy(c *gin.Context) {
	name, err := modelName(c)
	var d wire.Deploy
	if err == nil {
		err = readChange(c, &d)
	}
	if err != nil {
		a.fail(c, err)
		return
	}
	if d.Stable < 1 {
		a.fail(c, invalid("stable", "expected the number of a version, from 1"))
		return
	}
	done, err := a.Manager.Deploy(c.Request.Context(), name, d, a.stamp(c))
	a.answer(c, http.StatusCreated, done, err)
}

// readChange reads a small JSON body strictly: a misspelt member must not be
// taken for one that was left out.
func readChange(c *gin.Context, into any) error {
	if err := core.CheckJSON(c.Request, false); err != nil {
		return err
	}
	decoder := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxChange))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is more after the object")
	}
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return core.BodyError(c.Request, err, maxChange)
	}
	return fault.New(fault.Invalid, fault.InvalidJSON, "The body cannot be read: %s.", jsonProblem(err)).Because(err)
}

// jsonProblem words encoding/json's errors, which name Go types.
func jsonProblem(err error) string {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return fmt.Sprintf("the member %q is a %s, which it cannot be", wrong.Field, wrong.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is not JSON at byte %d", syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	default:
		return strings.TrimPrefix(fmt.Sprintf("%.100s", err), "json: ")
	}
}
