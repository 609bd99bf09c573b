package host

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/tenon-ml/tenon/internal/ref"
)

// Role is why a version answers a request.
type Role uint8

// The roles.
const (
	Named    Role = iota // the request names it, by number or alias, or is a probe
	Stable               // the deployment's traffic
	Canary               // the deployment's traffic, on trial
	Mirrored             // a copy of a request, whose answer no caller sees
)

// onTrial reports whether the version's runs are kept apart from those that
// callers wait for: one that hangs must not hold up what is known to be well.
func (r Role) onTrial() bool { return r == Canary || r == Mirrored }

func roleOf(r ref.Reference) Role {
	if r.Version == 0 && r.Alias == "" {
		return Stable
	}
	return Named
}

// trial is the canary where it is this caller's turn, and else nil. A canary
// that is not loaded takes no traffic.
func (r *Routes) trial(want ref.Reference, caller string) *Version {
	if r == nil || r.Fault != nil || r.Canary == nil || roleOf(want) != Stable {
		return nil
	}
	if draw(r.Model, r.Canary.Version, caller) >= uint64(r.Canary.Share()) {
		return nil
	}
	return r.Loaded[r.Canary.Version]
}

// draw is a number from 0 to 99: by chance, or the same one for a caller as long
// as a canary is on, on every server. So a caller stays on one side, and those
// that a small share has reached are in every larger one. Another version draws
// anew, so that it is not always the same callers who go first.
func draw(model string, version int, caller string) uint64 {
	if caller == "" {
		return rand.Uint64N(100)
	}
	hash := fnv.New64a()
	for _, word := range []string{model, strconv.Itoa(version), caller} {
		_, _ = hash.Write([]byte(word))
		_, _ = hash.Write([]byte{0})
	}
	// FNV's last steps hardly mix short words into the low bits.
	sum := hash.Sum64()
	sum ^= sum >> 32
	sum *= 0xd6e8feb86659fd93
	sum ^= sum >> 32
	return sum % 100
}

// blindPatience is how long a canary's caller waits while nobody has said.
const blindPatience = 10 * time.Second

// Patience is how long a caller waits for a version on trial before the stable
// one is asked in its place.
func (v *Version) Patience() time.Duration {
	if d := v.patience.Load(); d > 0 {
		return time.Duration(d)
	}
	return blindPatience
}

// SetPatience sets it. Whoever watches the trial does, by what is known of the
// stable version.
func (v *Version) SetPatience(d time.Duration) { v.patience.Store(int64(d)) }
