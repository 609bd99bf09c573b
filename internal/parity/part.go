package parity

import (
	"context"
	"errors"
	"net/http"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
)

// Part is a few requests of a golden set: the first Most of them, then the
// next, and after the last ones the first again. Turn counts from 0.
type Part struct{ Turn, Most int }

// ReplayPart does what Replay does for a part of the golden set. The report
// has no plots.
func ReplayPart(ctx context.Context, h http.Handler, path string, b *bundle.Bundle, p Part) (*wire.Report, error) {
	if b.Signature == nil || !b.HasGolden() {
		return nil, errNoGolden
	}
	r := newReplay(b)
	total, err := r.prepare(b)
	if err != nil {
		return nil, err
	}
	turns := max((total+p.Most-1)/p.Most, 1)
	skip := p.Turn % turns * p.Most
	for c, err := range b.Golden() {
		if err == nil {
			err = ctx.Err()
		}
		if skip--; err == nil && skip < 0 {
			err = r.one(ctx, h, path, c)
		}
		if err != nil {
			return nil, err
		}
		if r.report.Requests >= p.Most {
			break
		}
	}
	return r.finish(), nil
}

var errNoGolden = errors.New("the bundle has no golden set, so there is nothing to compare")

func newReplay(b *bundle.Bundle) *replay {
	places := make(map[string]int, len(b.Signature.Inputs))
	for i := range b.Signature.Inputs {
		places[b.Signature.Inputs[i].Name] = i
	}
	return &replay{places: places, report: &wire.Report{Model: b.Manifest.Name, Digest: b.Digest, Why: map[string]int{}, Worst: []wire.RowReport{}}}
}
