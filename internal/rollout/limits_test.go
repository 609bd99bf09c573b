package rollout

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

func TestResolve(t *testing.T) {
	if got, err := Resolve(defaults, nil); got != defaults || err != nil {
		t.Errorf("without limits: %+v, %v", got, err)
	}
	requests, zero, ratio, minute := 500, 0.0, 3.5, "1m"
	got, err := Resolve(defaults, &wire.Limits{MinRequests: &requests, MinTime: &minute, MaxErrorRate: &zero, MaxLatencyRatio: &ratio})
	want := defaults
	want.MinRequests, want.MinTime, want.MaxErrorRate, want.MaxLatencyRatio = 500, time.Minute, 0, 3.5
	if got != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestResolveRefuses(t *testing.T) {
	number := func(x float64) *float64 { return &x }
	text := func(s string) *string { return &s }
	none := 0
	tests := []struct {
		limits wire.Limits
		want   string
	}{
		{wire.Limits{MinRequests: &none}, "limits.min_requests is 0: choose 1 to 1000000"},
		{wire.Limits{MinTime: text("30")}, `limits.min_time is "30": write a duration with its unit`},
		{wire.Limits{MinTime: text("-1s")}, "limits.min_time is -1s: choose 0s to 168h"},
		{wire.Limits{MaxErrorRate: number(1.01)}, "limits.max_error_rate is 1.01: choose 0 to 1"},
		{wire.Limits{MaxErrorRate: number(math.NaN())}, "limits.max_error_rate is NaN"},
		{wire.Limits{MaxLatencyRatio: number(0.5)}, "limits.max_latency_ratio is 0.5: choose 1 to 1000"},
		{wire.Limits{MaxInvalidRate: number(-1)}, "limits.max_invalid_rate is -1"},
		{wire.Limits{MaxDisagreement: number(10)}, "limits.max_disagreement is 10: choose 0 to 1"},
		{wire.Limits{MinRequests: &none, MaxDisagreement: number(10)}, "limits.max_disagreement"},
	}
	for _, tt := range tests {
		if _, err := Resolve(defaults, &tt.limits); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}
