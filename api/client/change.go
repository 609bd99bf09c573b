package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// A change whose connection fails is sent this often, with a pause that grows:
// enough for a server that is being started again.
const (
	tries      = 3
	retryPause = 100 * time.Millisecond
)

// broken is a connection that failed: what the server did is not known.
type broken struct{ error }

func (e broken) Unwrap() error { return e.error }

// change sends a change, as JSON where there is something to send. It has a
// key of its own, so that the server makes it once however often it arrives.
func (c *Client) change(ctx context.Context, method, path string, change, into any) error {
	var body []byte
	if change != nil {
		var err error
		if body, err = json.Marshal(change); err != nil {
			return err
		}
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	key := hex.EncodeToString(random[:])
	for try, pause := 1, retryPause; ; try, pause = try+1, 4*pause {
		err := c.changeOnce(ctx, method, path, key, body, into)
		if try == tries || !errors.As(err, &broken{}) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Client) changeOnce(ctx context.Context, method, path, key string, body []byte, into any) error {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := c.request(ctx, method, path, reader)
	if err != nil {
		return err
	}
	request.Header.Set(wire.IdempotencyKey, key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.do(request, into)
}

// DeleteVersion gives a version up for good. The reason may be left out.
func (c *Client) DeleteVersion(ctx context.Context, model string, n int, reason string) (out wire.Deleted, err error) {
	return out, c.change(ctx, http.MethodDelete, versionPath(model, n, reason), nil, &out)
}
