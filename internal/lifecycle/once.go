package lifecycle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/tenon-ml/tenon/registry"
)

// asked adds to a stamp with a key what is asked for, so that the key is not
// taken for that of another request: the kind of change, and its content,
// which is JSON. Members of a later release that are left out must leave no
// trace there, or a retry across an upgrade would be refused.
func asked(by Stamp, kind string, content any) Stamp {
	if by.Key == "" {
		return by
	}
	data, err := json.Marshal([]any{kind, content})
	if err != nil {
		panic(err) // a wire type is JSON
	}
	sum := sha256.Sum256(data)
	by.Request = "sha256:" + hex.EncodeToString(sum[:])
	return by
}

// once makes a change of a model, and one change at a time, unless its key
// says that it was made before: then before words what was done, and nothing
// is loaded or recorded. The answer to a retry, too, is given only when it is
// live, where the server died or failed between the record and that.
func once[T any](
	ctx context.Context, m *Manager, model string, by Stamp, change func() (T, error), before func(*registry.Repeated) T,
) (T, error) {
	lock := m.change(model)
	lock.Lock()
	defer lock.Unlock()
	var done T
	err := m.store.Repeated(ctx, model, by)
	if err == nil {
		done, err = change()
	}
	var again *registry.Repeated
	if !errors.As(err, &again) {
		return done, err
	}
	if m.behind(model) {
		st, err := m.store.State(model)
		if err != nil {
			return done, err
		}
		m.route(ctx, st, nil)
	}
	m.log.Info("a change was asked for again", "model", model, "record", again.Record.Seq, "key", by.Key,
		"actor", by.Actor, "request_id", by.RequestID)
	return before(again), nil
}
