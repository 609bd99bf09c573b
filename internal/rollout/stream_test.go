package rollout

import (
	"testing"
	"time"
)

var defaults = Limits{
	MinRequests: 100, MinTime: 30 * time.Second,
	MaxErrorRate: 0.01, MaxLatencyRatio: 2, MaxInvalidRate: 0.01, MaxDisagreement: 0.1,
}

func TestBadCanariesAreRolledBack(t *testing.T) {
	for _, sc := range badOnes {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				s := newSim(sc, defaults, seed)
				s.run()
				after := s.ended - s.starts - s.grace
				share := float64(s.hurt) / float64(s.requests)
				if s.last.Action != RollBack || s.ended < s.starts || after > 30 || share > 0.01 {
					t.Errorf("seed %d: %s, %.1f s after it went bad at %.1f s; %d of %d requests hurt (%.2f %%)",
						seed, s.last, after, s.starts, s.hurt, s.requests, 100*share)
				}
				t.Logf("seed %d: after %.0f s in step %d, %d of %d hurt, %s", seed, after, s.traffic.Step, s.hurt, s.requests, s.last)
			}
		})
	}
}

func TestGoodCanariesArePromoted(t *testing.T) {
	for _, sc := range goodOnes {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				s := newSim(sc, defaults, seed)
				s.run()
				if s.last.Action != Promote {
					t.Errorf("seed %d: %s", seed, s.last)
				}
			}
		})
	}
}
