package rollout

import "time"

// A measure is one thing that is watched.
type measure uint8

const (
	failed    measure = iota // the server's fault
	refused                  // 4xx
	invalid                  // share of a request's rows
	tail                     // slower than max_latency_ratio × the stable version's p99
	slower                   // slower than max_latency_ratio × the stable version, half is the limit
	differing                // share of a request's rows
	measures
)

// relative reports whether a measure is compared with the stable version's own,
// which may fail, too. The others have it built in.
func (m measure) relative() bool { return m < slower }

// limit is how much more than the stable version's it may be, or how much in all.
func (m measure) limit(l Limits) float64 {
	switch m {
	case invalid:
		return l.MaxInvalidRate
	case tail:
		return 0.01 // that is what p99 says
	case slower:
		return 0.5 // and the median
	case differing:
		return l.MaxDisagreement
	default:
		return l.MaxErrorRate
	}
}

const (
	// noMatter is a difference in time that nobody minds, whatever its ratio is.
	noMatter = 2 * time.Millisecond
	// someTimes must be known before there is a median or a p99 to compare with.
	someTimes = 50
)

// tooSlow is the time above which a run is slow beside one that took reference.
func (l Limits) tooSlow(reference time.Duration) time.Duration {
	return max(time.Duration(l.MaxLatencyRatio*float64(reference)), reference+noMatter)
}

// counts are what was seen in a span of time.
type counts struct {
	clients  [measures]split
	copies   [measures]matched
	answered int // requests of clients that the canary answered
}

func (c *counts) add(d *counts) {
	for m := range measures {
		for side := range c.clients[m] {
			c.clients[m][side].n += d.clients[m][side].n
			c.clients[m][side].k += d.clients[m][side].k
		}
		c.copies[m].n += d.copies[m].n
		c.copies[m].canary += d.copies[m].canary
		c.copies[m].stable += d.copies[m].stable
		c.copies[m].both += d.copies[m].both
	}
	c.answered += d.answered
}

// copied is what copies tell of a measure.
func (c *counts) copied(m measure) evidence {
	if m.relative() {
		return c.copies[m].beside(c.clients[m][Stable])
	}
	return single{c.copies[m].n, c.copies[m].canary}
}

// client counts x, from 0 to 1, for one request.
func (c *counts) client(m measure, side Side, x float64) {
	c.clients[m][side].n++
	c.clients[m][side].k += x
}

// compared counts the difference of two runs on one body.
func (c *counts) compared(m measure, stable, canary float64) {
	c.copies[m].n++
	c.copies[m].canary += max(0, canary-stable)
	c.copies[m].stable += max(0, stable-canary)
	c.copies[m].both += min(stable, canary)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func share(part, all int) float64 { return min(1, float64(part)/float64(max(all, 1))) }
