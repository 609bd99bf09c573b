package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

// Rehearse has requests replayed on two versions, waits for the end and returns
// how they differ. wait is how long the server waits before it answers with an
// operation; 0 is its own default. progress, where not nil, is told how far it is.
func (c *Client) Rehearse(
	ctx context.Context, model string, r wire.Rehearse, wait time.Duration, progress func(wire.Operation),
) (wire.Divergence, error) {
	var out wire.Divergence
	body, err := json.Marshal(r)
	if err != nil {
		return out, err
	}
	at := path(ref.Reference{Model: model}) + "/rehearsals"
	if wait > 0 {
		at += "?" + url.Values{"wait": {wait.String()}}.Encode()
	}
	request, err := c.request(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	request.Header.Set("Content-Type", "application/json")
	id, err := c.begin(request, &out)
	if err != nil || id == "" {
		return out, err
	}
	o, err := c.await(ctx, id, "the rehearsal has begun", "it", progress)
	if err != nil || o.Divergence == nil {
		return out, c.odd(o, err)
	}
	return *o.Divergence, nil
}

// EraseCaptures removes what is kept of a model's requests, and returns how much
// that was.
func (c *Client) EraseCaptures(ctx context.Context, model string) (out wire.Captures, err error) {
	return out, c.change(ctx, http.MethodDelete, path(ref.Reference{Model: model})+"/captures", nil, &out)
}
