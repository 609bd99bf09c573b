// Package client calls a tenon server from Go. The command line is its first
// user; other programs may use it too.
//
// Every method sends one request. An answer that is no success comes back as a
// *Problem, which says what the server said.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

// DefaultServer is where a server listens unless it is told otherwise.
const DefaultServer = "http://127.0.0.1:8080"

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New returns a client of the server at base ("http://host:port"); an empty
// base is DefaultServer.
func New(base string) (*Client, error) {
	if base == "" {
		base = DefaultServer
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the server %q is no address: write it as %s", base, DefaultServer)
	}
	return &Client{base: strings.TrimRight(base, "/"), http: &http.Client{}}, nil
}

// Problem is an answer that is no success.
type Problem struct{ wire.Problem }

// Error words the problem for people, with its findings below it.
func (p *Problem) Error() string {
	var out strings.Builder
	out.WriteString(p.Detail)
	for _, f := range p.Errors {
		fmt.Fprintf(&out, "\n  %s: %s", f.Path, f.Detail)
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		fmt.Fprintf(&out, "\n  (request %s)", p.RequestID)
	}
	return out.String()
}

// Body is what a push sends: Size bytes, or -1 where the size is not known.
type Body struct {
	io.Reader
	Size int64
	Bare bool // an ONNX file instead of a bundle
}

// Push uploads a bundle or a bare model as a new version.
func (c *Client) Push(ctx context.Context, model string, body Body) (wire.Published, error) {
	var out wire.Published
	request, err := c.request(ctx, http.MethodPost, path(ref.Reference{Model: model})+"/versions", body.Reader)
	if err != nil {
		return out, err
	}
	request.ContentLength = body.Size
	request.Header.Set("Content-Type", "application/x-tar")
	if body.Bare {
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	return out, c.do(request, &out)
}

// Deploy puts a version into traffic.
func (c *Client) Deploy(ctx context.Context, model string, d wire.Deploy) (wire.Deployment, error) {
	var out wire.Deployment
	body, err := json.Marshal(d)
	if err != nil {
		return out, err
	}
	request, err := c.request(ctx, http.MethodPost, path(ref.Reference{Model: model})+"/deployments", bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	request.Header.Set("Content-Type", "application/json")
	return out, c.do(request, &out)
}

// Predict sends a request body as it is and returns the answer's.
func (c *Client) Predict(ctx context.Context, r ref.Reference, body []byte) (json.RawMessage, error) {
	request, err := c.request(ctx, http.MethodPost, path(r)+"/predict", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	var out json.RawMessage
	return out, c.do(request, &out)
}

// Models lists all models.
func (c *Client) Models(ctx context.Context) (out wire.Models, err error) {
	return out, c.get(ctx, "/v1/models", &out)
}

// Model describes the model that a reference names.
func (c *Client) Model(ctx context.Context, r ref.Reference) (out wire.Model, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: r.Model, Alias: r.Alias}), &out)
}

// Versions lists a model's versions, newest first.
func (c *Client) Versions(ctx context.Context, model string) (out wire.Versions, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model})+"/versions", &out)
}

// Version describes one version.
func (c *Client) Version(ctx context.Context, model string, n int) (out wire.Version, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model, Version: n}), &out)
}

// Deployments lists a model's deployments, newest first.
func (c *Client) Deployments(ctx context.Context, model string) (out wire.Deployments, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model})+"/deployments", &out)
}

// Example returns a golden request body of a version.
func (c *Client) Example(ctx context.Context, model string, n int) (out json.RawMessage, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model, Version: n})+"/example", &out)
}

// path is a reference's place below the server's root. A name that is none
// reaches the server as it is, which says what is wrong with it.
func path(r ref.Reference) string {
	model := "/v1/models/" + url.PathEscape(r.Model)
	switch {
	case r.Version > 0:
		return fmt.Sprintf("%s/versions/%d", model, r.Version)
	case r.Alias != "":
		return model + "@" + url.PathEscape(r.Alias)
	default:
		return model
	}
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	request, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return c.do(request, into)
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, method, c.base+path, body)
}

// do sends a request and reads the answer into a wire type.
func (c *Client) do(request *http.Request, into any) error {
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from %s: %w; is the server running (`tenon serve`), and is --server or TENON_URL right?", c.base, cause(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.base, err)
	}
	if response.StatusCode < 300 {
		if err := json.Unmarshal(body, into); err != nil {
			return fmt.Errorf("the answer of %s is not tenon's: %w", c.base, err)
		}
		return nil
	}
	problem := &Problem{}
	if err := json.Unmarshal(body, &problem.Problem); err != nil || problem.Code == "" {
		return fmt.Errorf("%s answered %s, and not as a tenon server does: is --server or TENON_URL right?", c.base, response.Status)
	}
	return problem
}

// cause takes the method and address, which the sentence around it has, off
// net/http's error.
func cause(err error) error {
	if u, ok := err.(*url.Error); ok { //nolint:errorlint // Do documents that it returns *url.Error itself
		return u.Err
	}
	return err
}
