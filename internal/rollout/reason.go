package rollout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// sentence tells what was counted, and the limit.
func (t *Tally) sentence(f finding) string {
	when := ""
	if f.last > 0 {
		when = " in the last " + short(f.last)
	}
	limit := percent(f.limit)
	if _, alone := f.evidence.(single); !alone {
		limit += " more"
	}
	return t.seen(f, when) + "; the limit is " + limit
}

func (t *Tally) seen(f finding, when string) string {
	switch g := f.evidence.(type) {
	case split:
		return t.ofClients(g, f.measure, when)
	case known:
		return t.ofCopies(g.matched, f.measure, when)
	}
	what := "were answered otherwise than by the stable version"
	of := "the rows of "
	if f.measure == slower {
		what, of = fmt.Sprintf("took over %s times as long as on the stable version", number(t.limits.MaxLatencyRatio)), ""
	}
	return fmt.Sprintf("%s of %s%s requests%s %s", percent(f.excess()), of, number(f.evidence.(single).n), when, what)
}

// ofClients compares the requests of clients.
func (t *Tally) ofClients(g split, m measure, when string) string {
	c, s := g[Canary], g[Stable]
	switch m {
	case invalid:
		return fmt.Sprintf("%s of the rows of %s requests%s had an invalid answer, the stable version's %s",
			percent(c.rate()), number(c.n), when, percent(s.rate()))
	case tail:
		return fmt.Sprintf("%s of %s requests%s took over %s, the stable version %s of %s (its p99 is %s)",
			number(c.k), number(c.n), when, short(t.limits.tooSlow(t.waited.p99)), number(s.k), number(s.n), short(t.waited.p99))
	case slower:
		return fmt.Sprintf("%s of %s requests%s took over %s, the stable version %s of %s (its median is %s)",
			number(c.k), number(c.n), when, short(t.limits.tooSlow(t.waited.p50)), number(s.k), number(s.n), short(t.waited.p50))
	case refused:
		return fmt.Sprintf("%s of %s requests%s were refused%s, the stable version refused %s of %s",
			number(c.k), number(c.n), when, t.called(refused), number(s.k), number(s.n))
	}
	return fmt.Sprintf("%s of %s requests%s failed%s, the stable version failed %s of %s",
		number(c.k), number(c.n), when, t.called(failed), number(s.k), number(s.n))
}

// ofCopies compares runs on the same bodies.
func (t *Tally) ofCopies(g matched, m measure, when string) string {
	n := number(g.n)
	switch m {
	case invalid:
		return fmt.Sprintf("%s of the rows of %s requests%s had an invalid answer where the stable version's is valid, %s the other way round",
			percent(g.canary/g.n), n, when, percent(g.stable/g.n))
	case tail:
		return fmt.Sprintf("%s of %s requests%s took over %s only on the canary, %s only on the stable version (its p99 is %s)",
			number(g.canary), n, when, short(t.limits.tooSlow(t.ran.p99)), number(g.stable), short(t.ran.p99))
	case refused:
		return fmt.Sprintf("%s of %s requests%s were refused%s that the stable version takes, %s the other way round",
			number(g.canary), n, when, t.called(refused), number(g.stable))
	}
	return fmt.Sprintf("%s of %s requests%s failed%s that the stable version answers, %s the other way round",
		number(g.canary), n, when, t.called(failed), number(g.stable))
}

// called is what the canary's last error of a kind is called, and how many of its
// requests hung, in brackets.
func (t *Tally) called(m measure) string {
	var words []string
	if t.codes[m] != "" {
		words = append(words, t.codes[m])
	}
	if m == failed && t.hung[Canary] > 0 {
		words = append(words, fmt.Sprintf("%d had no answer within %s", t.hung[Canary], short(t.Patience())))
	}
	if words == nil {
		return ""
	}
	return " (" + strings.Join(words, "; ") + ")"
}

func number(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) }

func percent(x float64) string { return number(100*x) + " %" }

// short is a duration with two or three figures.
func short(d time.Duration) string {
	unit := time.Duration(1)
	for d >= 1000*unit {
		unit *= 10
	}
	return d.Round(max(unit, time.Microsecond)).String()
}
