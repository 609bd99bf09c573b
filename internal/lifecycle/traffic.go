package lifecycle

import (
	"encoding/json"
	"fmt"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
)

// checkTraffic refuses what no deployment can say, whatever versions there are.
func (m *Manager) checkTraffic(t *wire.Traffic) error {
	if t.Shadow < 0 {
		return badTraffic("shadow", "expected the number of a version, from 1")
	}
	if t.Shadow != 0 && t.Shadow == t.Stable {
		return badTraffic("shadow", "version %d is the stable one, and would be compared with itself", t.Shadow)
	}
	if err := checkCapture(t.Capture); err != nil {
		return err
	}
	if t.Canary == nil {
		if t.Limits != nil {
			return badTraffic("limits", "there is no canary that they could be of")
		}
		return nil
	}
	if _, err := rollout.Resolve(m.canaries, t.Limits); err != nil {
		return badTraffic("limits", "%s", err)
	}
	return checkCanary(t)
}

func checkCanary(t *wire.Traffic) error {
	c := t.Canary
	switch {
	case c.Version < 1:
		return badTraffic("canary.version", "expected the number of a version, from 1")
	case c.Version == t.Stable:
		return badTraffic("canary.version", "version %d is the stable one already", c.Version)
	case c.Version == t.Shadow:
		return badTraffic("canary.version", "version %d is the shadow, and can be one of the two", c.Version)
	case len(c.Steps) == 0:
		return badTraffic("canary.steps", "expected at least one share in percent, as in [1,5,25,50]")
	}
	if c.Step < 0 || c.Step >= len(c.Steps) {
		return badTraffic("canary.step", "there is no step %d of %d; they count from 0", c.Step, len(c.Steps))
	}
	before := 0
	for i, share := range c.Steps {
		if share <= before || share > 99 {
			return badTraffic(fmt.Sprintf("canary.steps[%d]", i), "expected shares in percent that rise, each from 1 to 99; got %d", share)
		}
		before = share
	}
	return nil
}

// mostRedact is how large the names of redacted columns are as JSON. They go from
// one deployment to the next, and each must have room for its reason in a record.
const mostRedact = 32 << 10

func checkCapture(c *wire.Capture) error {
	if c == nil {
		return nil
	}
	if !(c.Share > 0 && c.Share <= 1) {
		return badTraffic("capture.share", "expected the share of requests that are kept, above 0 and up to 1")
	}
	if names, err := json.Marshal(c.Redact); err != nil || len(names) > mostRedact {
		return badTraffic("capture.redact", "the names take %d bytes as JSON, and may take %d", len(names), mostRedact)
	}
	return nil
}

func badTraffic(path, format string, args ...any) error {
	e := fault.New(fault.Invalid, fault.InvalidRequest, "The deployment does not go together; errors says where.")
	return e.At(path, "request", format, args...)
}
