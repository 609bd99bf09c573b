package host_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
	"github.com/tenon-ml/tenon/runtime/host"
)

// TestAHangingShadowHoldsUpNoCanary: each version on trial has runs of its own,
// or what hangs would have another one counted as failed and taken out.
func TestAHangingShadowHoldsUpNoCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hangs := func(ctx context.Context, g engine.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
			if versionOf(g) == 3 {
				<-release
			}
			return itself(ctx, g, in)
		}
		fake := &engine.Fake{Compute: hangs}
		h := host.New(fake, host.Options{Runs: 1})
		trial(t, h, 99, load(t, h, 1), load(t, h, 2), load(t, h, 3))
		copied := make(chan error)
		go func() { copied <- mirrored(t, h, 3) }()
		synctest.Wait()
		if g := h.Gauges(); g.Running != 1 || h.Idle() {
			t.Errorf("one hangs, and the gauges are %+v", g)
		}
		answered := make(chan error, 1)
		go func() { answered <- mirrored(t, h, 2) }()
		synctest.Wait()
		select {
		case err := <-answered:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("version 2 waits for version 3, which hangs")
		}
		close(release)
		if err := <-copied; err != nil {
			t.Error(err)
		}
		closed(t, h, fake)
	})
}

// mirrored has version n answer a copy of a request.
func mirrored(t *testing.T, h *host.Host, n int) error {
	l, err := h.Mirror("iris", n)
	if err != nil {
		return err
	}
	defer l.Release()
	_, err = predict(t.Context(), l)
	return err
}
