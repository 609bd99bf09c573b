package lifecycle

import (
	"context"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/registry"
)

// Delete gives a version up for good and unloads it. One that takes requests
// is refused as version-in-use; the stable one before may go, and a rollback
// then goes back further. The files stay until a collection.
func (m *Manager) Delete(ctx context.Context, model string, n int, reason string, by Stamp) (wire.Deleted, error) {
	done := wire.Deleted{Model: model, Version: n, Reason: reason}
	by = asked(by, "delete", done)
	return once(ctx, m, model, by, func() (wire.Deleted, error) {
		if err := m.store.DeleteVersion(ctx, model, n, reason, by); err != nil {
			return wire.Deleted{}, err
		}
		st, err := m.store.State(model)
		if err != nil {
			return wire.Deleted{}, err
		}
		m.route(ctx, st, nil)
		m.log.Info("a version was deleted", "model", model, "version", n, "reason", reason, "actor", by.Actor, "request_id", by.RequestID)
		return done, nil
	}, func(*registry.Repeated) wire.Deleted {
		done.Replayed = true
		return done
	})
}
