package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

// Body is what a push sends: Size bytes, or -1 where the size is not known.
type Body struct {
	io.Reader
	Size int64
	Bare bool // an ONNX file instead of a bundle
	// AllowParityFailure lets a version in whose answers are not the
	// pipeline's; it is marked overridden for ever.
	AllowParityFailure bool
	// Wait is how long the server waits for the examination before it answers
	// with an operation; 0 is its own default.
	Wait time.Duration
	// Progress, where set, is told how far an examination is that outlasts Wait.
	Progress func(wire.Operation)
}

// Push uploads a bundle or a bare model as a new version, and waits for the
// end of its examination. What the server received is examined and registered
// also when ctx ends before that.
func (c *Client) Push(ctx context.Context, model string, body Body) (wire.Published, error) {
	var out wire.Published
	request, err := c.request(ctx, http.MethodPost, path(ref.Reference{Model: model})+"/versions"+body.query(), body.Reader)
	if err != nil {
		return out, err
	}
	request.ContentLength = body.Size
	request.Header.Set("Content-Type", "application/x-tar")
	if body.Bare {
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	id, err := c.begin(request, &out)
	if err != nil || id == "" {
		return out, err
	}
	return c.Wait(ctx, id, body.Progress)
}

// begin sends a request whose answer may be late: it is read into out, or the
// id of the operation is returned that will have it.
func (c *Client) begin(request *http.Request, out any) (id string, err error) {
	response, err := c.answer(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return "", c.read(response, out)
	}
	var begun wire.Operation
	err = c.read(response, &begun)
	return begun.ID, err
}

func (b Body) query() string {
	values := url.Values{}
	if b.AllowParityFailure {
		values.Set("allow_parity_failure", "true")
	}
	if b.Wait > 0 {
		values.Set("wait", b.Wait.String())
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// The pause between two looks at an operation: short for examinations of a
// second, and no burden on the server for those of an hour.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 2 * time.Second
)

// Wait looks at the examination of a push until it has ended, and returns the
// version or the *Problem of it. progress, where not nil, is told of every look.
func (c *Client) Wait(ctx context.Context, id string, progress func(wire.Operation)) (wire.Published, error) {
	o, err := c.await(ctx, id, "the upload was received", "its examination", progress)
	if err != nil || o.Result == nil {
		return wire.Published{}, c.odd(o, err)
	}
	return *o.Result, nil
}

// odd is the error of an operation that ended without what it should have made.
func (c *Client) odd(o wire.Operation, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("the answer of %s is not tenon's: an operation in the state %q", c.base, o.State)
}

// await looks at an operation until it has ended. done and what say for errors
// what the server has done already, and what it is about.
func (c *Client) await(ctx context.Context, id, done, what string, progress func(wire.Operation)) (wire.Operation, error) {
	for pause := firstPause; ; pause = min(pause*3/2, mostPause) {
		o, err := c.Operation(ctx, id)
		var problem *Problem
		switch {
		case errors.As(err, &problem):
			return o, err
		case err != nil:
			return o, fmt.Errorf("%s, but %s was lost sight of: %w", done, what, err)
		case o.Error != nil:
			return o, &Problem{*o.Error}
		case o.State != "queued" && o.State != "running":
			return o, nil
		}
		if progress != nil {
			progress(o)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return o, fmt.Errorf("%s, and %s goes on in the server: %w", done, what, ctx.Err())
		}
	}
}
