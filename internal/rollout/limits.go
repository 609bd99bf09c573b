package rollout

import (
	"errors"
	"fmt"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// Limits are wire.Limits with every value in place.
type Limits struct {
	MinRequests     int
	MinTime         time.Duration
	MaxErrorRate    float64
	MaxLatencyRatio float64
	MaxInvalidRate  float64
	MaxDisagreement float64
}

// Resolve puts the limits of a deployment over the server's. The error has a
// sentence for each member that is out of its range.
func Resolve(defaults Limits, override *wire.Limits) (Limits, error) {
	l := defaults
	if override == nil {
		return l, nil
	}
	return l, errors.Join(
		set(&l.MinRequests, override.MinRequests, "min_requests", 1, 1_000_000),
		setTime(&l.MinTime, override.MinTime),
		set(&l.MaxErrorRate, override.MaxErrorRate, "max_error_rate", 0, 1),
		set(&l.MaxLatencyRatio, override.MaxLatencyRatio, "max_latency_ratio", 1, 1000),
		set(&l.MaxInvalidRate, override.MaxInvalidRate, "max_invalid_rate", 0, 1),
		set(&l.MaxDisagreement, override.MaxDisagreement, "max_disagreement", 0, 1),
	)
}

func set[T int | float64](to, from *T, name string, least, most T) error {
	if from == nil {
		return nil
	}
	if !(*from >= least && *from <= most) { // so that NaN is refused
		return fmt.Errorf("limits.%s is %v: choose %v to %v", name, *from, least, most)
	}
	*to = *from
	return nil
}

func setTime(to *time.Duration, from *string) error {
	if from == nil {
		return nil
	}
	d, err := time.ParseDuration(*from)
	if err != nil {
		return fmt.Errorf("limits.min_time is %q: write a duration with its unit, such as 30s or 5m", *from)
	}
	if d < 0 || d > 7*24*time.Hour {
		return fmt.Errorf("limits.min_time is %s: choose 0s to 168h", *from)
	}
	*to = d
	return nil
}
