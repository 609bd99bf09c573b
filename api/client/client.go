// Package client calls a tenon server from Go. The command line is its first
// user; other programs may use it too.
//
// Every method sends one request, except Push and Wait, which follow an
// examination to its end, and those that change a model: where the connection
// fails they send the same again, up to three times, with an Idempotency-Key,
// so that it happens once. An answer that is no success comes back as a
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
		fmt.Fprintf(&out, "\n  %s%s: %s", p.sign(f), f.Path, f.Detail)
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		fmt.Fprintf(&out, "\n  (request %s)", p.RequestID)
	}
	return out.String()
}

// sign marks a change of a signature as a diff does: what is gone, what is
// new, what is another. Other findings have none.
func (p *Problem) sign(f wire.Finding) string {
	switch {
	case p.Code != "signature-incompatible":
		return ""
	case f.Code == "removed":
		return "- "
	case f.Code == "added":
		return "+ "
	default:
		return "~ "
	}
}

// Deploy puts a version into traffic.
func (c *Client) Deploy(ctx context.Context, model string, d wire.Deploy) (out wire.Deployment, err error) {
	return out, c.change(ctx, http.MethodPost, path(ref.Reference{Model: model})+"/deployments", d, &out)
}

// Rollback goes back to the stable version before this one, or to the one
// that r names.
func (c *Client) Rollback(ctx context.Context, model string, r wire.Rollback) (out wire.Deployment, err error) {
	return out, c.change(ctx, http.MethodPost, path(ref.Reference{Model: model})+"/rollback", r, &out)
}

// SetAlias points an alias to a version.
func (c *Client) SetAlias(ctx context.Context, model, alias string, a wire.SetAlias) (out wire.Alias, err error) {
	return out, c.change(ctx, http.MethodPut, aliasPath(model, alias), a, &out)
}

// DeleteAlias removes an alias.
func (c *Client) DeleteAlias(ctx context.Context, model, alias string) (out wire.Alias, err error) {
	return out, c.change(ctx, http.MethodDelete, aliasPath(model, alias), nil, &out)
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

// Report returns the report of a version's last examination.
func (c *Client) Report(ctx context.Context, model string, n int) (out wire.Report, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model, Version: n})+"/report", &out)
}

// RawReport returns the same as it is stored, with what this release does not
// know.
func (c *Client) RawReport(ctx context.Context, model string, n int) (out json.RawMessage, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model, Version: n})+"/report", &out)
}

// Divergence tells how far a version's answers are from the stable version's.
func (c *Client) Divergence(ctx context.Context, model string, n int) (out wire.Divergence, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model, Version: n})+"/divergence", &out)
}

// Log returns the records of all that was done to a model, oldest first.
func (c *Client) Log(ctx context.Context, model string) (out wire.Log, err error) {
	return out, c.get(ctx, path(ref.Reference{Model: model})+"/log", &out)
}

// Operations lists the examinations that run and that ran, newest first.
func (c *Client) Operations(ctx context.Context) (out wire.Operations, err error) {
	return out, c.get(ctx, "/v1/operations", &out)
}

// Operation says how far one examination is.
func (c *Client) Operation(ctx context.Context, id string) (out wire.Operation, err error) {
	return out, c.get(ctx, "/v1/operations/"+url.PathEscape(id), &out)
}

// Pull writes the very bundle of a version, a tar, and returns the digest that
// the server gives it. The caller compares it with what came.
func (c *Client) Pull(ctx context.Context, model string, n int, to io.Writer) (digest string, err error) {
	request, err := c.request(ctx, http.MethodGet, path(ref.Reference{Model: model, Version: n})+"/bundle", nil)
	if err != nil {
		return "", err
	}
	response, err := c.answer(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", c.problem(response)
	}
	if _, err := io.Copy(to, response.Body); err != nil {
		return "", fmt.Errorf("the bundle of %s/%d broke off: %w", model, n, err)
	}
	return strings.Trim(response.Header.Get("ETag"), `"`), nil
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

func versionPath(model string, n int, reason string) string {
	path := path(ref.Reference{Model: model, Version: n})
	if reason != "" {
		path += "?" + url.Values{"reason": {reason}}.Encode()
	}
	return path
}

func aliasPath(model, alias string) string {
	return path(ref.Reference{Model: model}) + "/aliases/" + url.PathEscape(alias)
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
	response, err := c.answer(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return c.read(response, into)
}

// answer sends a request; the caller closes the answer's body.
func (c *Client) answer(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, broken{fmt.Errorf("no answer from %s: %w; is the server running (`tenon serve`), and is --server or TENON_URL right?", c.base, cause(err))}
	}
	return response, nil
}

// read reads a success into a wire type.
func (c *Client) read(response *http.Response, into any) error {
	if response.StatusCode >= 300 {
		return c.problem(response)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return broken{fmt.Errorf("the answer of %s broke off: %w", c.base, err)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer of %s is not tenon's: %w", c.base, err)
	}
	return nil
}

// problem reads an answer that is no success.
func (c *Client) problem(response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return broken{fmt.Errorf("the answer of %s broke off: %w", c.base, err)}
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
