package parity

import (
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
)

// Bounds of a diagnosis: it must not make a refusal much slower, nor a list of
// causes so long that nobody reads it.
const (
	maxAsked   = 12_000           // rows sent again
	maxValues  = 2_000_000        // in them, so of wide rows fewer
	maxTime    = 10 * time.Second // on top of the replay
	maxCauses  = 5
	leastShare = 0.9 // of the rows tried, for a hypothesis to be a cause
	tried      = 60  // rows that differ, for each hypothesis
	spoiled    = 30  // rows that are right, for each hypothesis
)

// Examine is Replay of the whole golden set, and says of answers that differ
// what that probably is: the report's causes. failed is told of the report
// before they are sought, because edited rows may bring down a model that the
// golden ones did not.
func Examine(ctx context.Context, h http.Handler, path string, b *bundle.Bundle, progress Progress, failed func(*wire.Report)) (*wire.Report, error) {
	return examine(ctx, h, path, b, progress, failed, maxTime)
}

// examine is Examine, with the time that the search for causes may take.
func examine(
	ctx context.Context, h http.Handler, path string, b *bundle.Bundle,
	progress Progress, failed func(*wire.Report), within time.Duration,
) (*wire.Report, error) {
	seen := &evidence{}
	report, outputs, err := run(ctx, h, path, b, All, seen, progress)
	if err != nil || report.Passed || seen.failed == 0 {
		return report, err
	}
	failed(report)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	l := newLab(b, outputs, seen, ask(ctx, h, path))
	l.spent = func() bool { return ctx.Err() != nil || l.asked >= l.room }
	report.Causes = l.causes()
	return report, nil
}

// hypothesis is something that may be wrong. One with an edit is tried by
// sending edited rows again; one without was tried on the answers when it was
// made, and says how many rows it explains.
type hypothesis struct {
	code     string
	columns  []string
	says     string // what it looks like, and with what done: the sentence up to the count
	ends     string // the rest of the sentence, where it is not "… rows answer as the pipeline did"
	explains int
	of       int

	// edit makes of a row's input the one for which this server should answer
	// as the pipeline did; false where it changes nothing.
	edit func(input map[string]any) (map[string]any, bool)
	// rough marks an edit by rounded or estimated numbers: rows at thresholds
	// say nothing about it.
	rough bool
	// over are the columns of a rough edit: rows that lack one say little, since
	// what stands there for a missing value may come before or after.
	over []*feature
	// left is how much of a row's distance may be left for it to be explained;
	// 0 for a hundredth.
	left float64
}

// finder makes the hypotheses of one kind.
type finder func(*lab) []hypothesis

// finders, in tiers: the next is asked only where the one before found
// nothing, because its statements are weaker. Within a tier what is listed
// first is preferred where two explain as much.
var finders = [][]finder{
	{
		labelsPermuted, classesPermuted, labelNotLikeliest, linkMissing, linkTwice, targetNotInverted,
		outputRounded, rowsMixed, outputShifted, outputScaled,
		swapped, reordered, filled, categoriesMapped, unseenKnown, categoryLost, nudged, unit,
	},
	{inputIgnored, columnAffine},
	{scaledOtherwise, treeLost},
	{whereMissing, whereCategory},
}

// lab tries hypotheses on rows that differ, and on some that do not.
type lab struct {
	outputs  []*output
	rows     []row // all that were kept
	failing  []row // spread over those that differ, complete rows first
	typical  []row // the same without those made to sit on thresholds
	right    []row
	features []*feature
	chance   float64 // how often a wrong row is right by accident
	send     func([]map[string]any) []map[string]any
	room     int // rows that may be sent again
	asked    int
	spent    func() bool // whether time or room is over
}

func newLab(b *bundle.Bundle, outputs []*output, e *evidence, send func([]map[string]any, []*output) []map[string]any) *lab {
	l := &lab{outputs: outputs, rows: e.rows, features: featuresOf(b.Signature, e.rows)}
	l.send = func(inputs []map[string]any) []map[string]any { return send(inputs, outputs) }
	measure(l.features, b, e.rows)
	l.room = min(maxAsked, maxValues/max(len(l.features), 1))
	l.alone()
	for i := range l.rows {
		l.rows[i].lacks = l.missing(l.rows[i])
	}
	var failing, right []row
	for _, r := range l.rows {
		if r.failed {
			failing = append(failing, r)
		} else {
			right = append(right, r)
		}
	}
	l.failing, l.right = l.plainFirst(spread(failing, tried)), spread(right, spoiled)
	l.typical = l.plainFirst(spread(slices.DeleteFunc(failing, row.onThreshold), tried))
	l.chance = l.likeliest()
	return l
}

// alone asks once more for rows that were refused together with others: a row
// without an answer takes all of its request with it, and only that one differs.
// Where each is right alone, the request is what is wrong, and all stay.
func (l *lab) alone() {
	var again []int
	var inputs []map[string]any
	left := 0
	for i, r := range l.rows {
		if r.failed && r.got == nil && r.size > 1 {
			again, inputs = append(again, i), append(inputs, r.input)
		} else if r.failed {
			left++
		}
	}
	rows := slices.Clone(l.rows)
	for k, got := range l.ask(inputs) {
		r := &rows[again[k]]
		if r.got = got; got != nil {
			r.failed = l.gap(*r, got) > 0
		}
		if r.failed {
			left++
		}
	}
	if left > 0 {
		l.rows = rows
	}
}

func (l *lab) plainFirst(rows []row) []row {
	slices.SortStableFunc(rows, func(a, b row) int { return l.plainness(b) - l.plainness(a) })
	return rows
}

// plainness orders rows for a first look: whole rows of the data first.
func (l *lab) plainness(r row) int {
	plain := 0
	if r.natural() {
		plain++
	}
	if len(r.lacks) == 0 {
		plain++
	}
	return plain
}

// spread picks at most so many values, evenly.
func spread[T any](values []T, most int) []T {
	if len(values) <= most {
		return slices.Clone(values)
	}
	out := make([]T, most)
	for i := range out {
		out[i] = values[i*len(values)/most]
	}
	return out
}

// likeliest is the share of the most frequent answer: a hypothesis that makes
// answers at random is right that often.
func (l *lab) likeliest() float64 {
	counts, most := map[string]int{}, 0
	for _, r := range l.rows {
		key := string(raw(r.want))
		counts[key]++
		most = max(most, counts[key])
	}
	return min(float64(most)/float64(len(l.rows)), 0.99)
}

// beatsChance is whether so many rows are not explained by accident, at one
// in a million for a single hypothesis, where each row had so many tries.
func (l *lab) beatsChance(explains, tries int) bool {
	once := 1 - math.Pow(1-l.chance, float64(tries))
	return float64(explains)*math.Log(once) < math.Log(1e-6)
}

// causes asks the finders and keeps what holds.
func (l *lab) causes() []wire.Cause {
	for _, tier := range finders {
		var found []hypothesis
		var toTry []hypothesis
		for _, find := range tier {
			if l.spent() {
				break
			}
			for _, h := range find(l) {
				if h.edit == nil {
					found = append(found, h)
				} else {
					toTry = append(toTry, h)
				}
			}
		}
		for _, h := range l.screen(toTry) {
			if h, ok := l.try(h); ok {
				found = append(found, h)
			}
		}
		if len(found) > 0 {
			return listed(found)
		}
	}
	return nil
}

// listed are causes, best first. Of one code and the same columns the best is
// told: what is a thousand times too large is nearly 1024 times too large.
func listed(found []hypothesis) []wire.Cause {
	slices.SortStableFunc(found, func(a, b hypothesis) int { return share(b) - share(a) })
	var out []wire.Cause
	for _, h := range found {
		told := slices.ContainsFunc(out, func(c wire.Cause) bool { return c.Code == h.code && slices.Equal(c.Columns, h.columns) })
		if len(out) < maxCauses && !told {
			out = append(out, wire.Cause{Code: h.code, Columns: h.columns, Explains: h.explains, Of: h.of, Detail: sentence(h)})
		}
	}
	return out
}

// share in whole percents, so that a row more or less does not turn the order.
func share(h hypothesis) int { return 100 * h.explains / max(h.of, 1) }

// screen tries every edit on two rows that it changes, all in few requests,
// and keeps those that explain one of them.
func (l *lab) screen(all []hypothesis) []hypothesis {
	var inputs []map[string]any
	var of []row
	var whose []int
	for i, h := range all {
		if l.spent() {
			break
		}
		taken := 0
		for _, r := range l.subjects(h) {
			if taken == 2 {
				break
			}
			if input, ok := h.edit(r.input); ok {
				inputs, of, whose = append(inputs, input), append(of, r), append(whose, i)
				taken++
			}
		}
	}
	good := map[int]bool{}
	for i, got := range l.ask(inputs) {
		if l.explainedBut(of[i], got, all[whose[i]].left) {
			good[whose[i]] = true
		}
	}
	var kept []hypothesis
	for i, h := range all {
		if good[i] {
			kept = append(kept, h)
		}
	}
	return kept
}

// subjects are the differing rows that a hypothesis speaks of.
func (l *lab) subjects(h hypothesis) []row {
	if !h.rough {
		return l.failing
	}
	whole := slices.DeleteFunc(slices.Clone(l.typical), func(r row) bool {
		return slices.ContainsFunc(h.over, func(f *feature) bool { return f.of(r.input) == nil })
	})
	if 2*len(whole) < len(l.typical) {
		return l.typical
	}
	return whole
}

// try sends the differing rows as edited, and those rows that are right: they
// must stay right, because the pipeline answered for them, too.
func (l *lab) try(h hypothesis) (hypothesis, bool) {
	rows := l.subjects(h)
	var inputs []map[string]any
	var of []row
	for _, r := range rows {
		if input, ok := h.edit(r.input); ok {
			inputs, of = append(inputs, input), append(of, r)
		}
	}
	for i, got := range l.ask(inputs) {
		if l.explainedBut(of[i], got, h.left) {
			h.explains++
		}
	}
	h.of = len(rows)
	return h, l.convinces(h) && l.harmless(h)
}

func (l *lab) convinces(h hypothesis) bool { return l.convincesIn(h, 1) }

// convincesIn is convinces for one of several edits of each row.
func (l *lab) convincesIn(h hypothesis, tries int) bool {
	return float64(h.explains) >= leastShare*float64(h.of) && l.beatsChance(h.explains, tries)
}

// harmless is whether an edit leaves right rows right.
func (l *lab) harmless(h hypothesis) bool {
	var inputs []map[string]any
	var of []row
	for _, r := range l.right {
		if h.rough && r.onThreshold() {
			continue
		}
		if input, ok := h.edit(r.input); ok {
			inputs, of = append(inputs, input), append(of, r)
		}
	}
	stay := 0
	for i, got := range l.ask(inputs) {
		if h.rough && l.gap(of[i], got) <= max(1e-3, h.left) || l.explained(of[i], got) {
			stay++
		}
	}
	return float64(stay) >= leastShare*float64(len(of))
}

// ask sends rows and returns their answers by output, nil for a row that is
// refused, and for all once the budget is spent.
func (l *lab) ask(inputs []map[string]any) []map[string]any {
	const most = 500 // rows in a request
	var out []map[string]any
	for part := range slices.Chunk(inputs, most) {
		if l.asked += len(part); l.asked > l.room {
			out = append(out, make([]map[string]any, len(part))...)
			continue
		}
		out = append(out, l.answered(part)...)
	}
	return out
}

// answered halves a request that is refused until only the row to blame is.
func (l *lab) answered(inputs []map[string]any) []map[string]any {
	got := l.send(inputs)
	if got != nil || len(inputs) == 1 {
		return append(got, make([]map[string]any, len(inputs)-len(got))...)
	}
	middle := len(inputs) / 2
	return append(l.answered(inputs[:middle]), l.answered(inputs[middle:])...)
}
