package divergence

import (
	"fmt"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
)

// Report tells what was found so far. It shares nothing that later requests
// change.
func (c *Comparison) Report() wire.Divergence {
	d := wire.Divergence{
		Model: c.model, From: c.from.told(), To: c.to.told(), Since: c.since,
		Requests: c.requests, Rows: c.rows, DisagreeingRows: c.disagree, Disagreement: share(c.disagree, c.rows),
		Skipped: c.skipped, Outputs: make([]wire.DivergenceOutput, len(c.outputs)),
		OnlyFrom: c.onlyFrom, OnlyTo: c.onlyTo, Examples: c.examples.told(c.outputs),
	}
	for i, o := range c.outputs {
		d.Outputs[i] = o.told()
	}
	d.Summary = summary(&d)
	return d
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

func (o *output) told() wire.DivergenceOutput {
	out := wire.DivergenceOutput{
		Name: o.name, Kind: o.kind, Rows: o.rows, Agree: o.agree, Agreement: share(o.agree, o.rows),
		Incomparable: o.incomparable, Changes: o.changes.most(),
	}
	if o.measured {
		out.Scale = 1
		if o.classes == nil {
			out.Scale = o.spread.scale()
		}
		h := &o.distances
		out.Distance = &wire.DivergenceDistances{
			Mean: finite(h.sum / float64(h.n) / out.Scale), Max: finite(h.max / out.Scale), Quantiles: h.quantiles(out.Scale),
		}
	}
	return out
}

// summary is one sentence: "4 answers 3.1 % of 12,400 rows otherwise than 3:
// label 2.8 %, probabilities 1.2 %."
func summary(d *wire.Divergence) string {
	var text string
	switch {
	case len(d.Outputs) == 0:
		text = fmt.Sprintf("%d and %d have no output in common, so nothing was compared", d.From.Version, d.To.Version)
	case d.Rows == 0:
		text = fmt.Sprintf("No row was answered by both %d and %d", d.From.Version, d.To.Version)
	case d.DisagreeingRows == 0:
		text = fmt.Sprintf("%d answers %s as %d does", d.To.Version, plural(d.Rows, "row"), d.From.Version)
	default:
		text = fmt.Sprintf("%d answers %s of %s otherwise than %d",
			d.To.Version, percent(d.Disagreement), plural(d.Rows, "row"), d.From.Version)
		if parts := differing(d.Outputs); len(parts) > 0 {
			text += ": " + strings.Join(parts, ", ")
		}
	}
	for _, s := range []*wire.DivergenceSide{&d.From, &d.To} {
		if s.Failed > 0 {
			text += fmt.Sprintf("; %d failed at %s", s.Version, plural(s.Failed, "request"))
		}
	}
	return text + "."
}

// differing names the outputs that differ, at most three.
func differing(outputs []wire.DivergenceOutput) []string {
	const most = 3
	var parts []string
	for i := range outputs {
		o := &outputs[i]
		if o.Agree == o.Rows {
			continue
		}
		if len(parts) == most {
			return append(parts, "…")
		}
		parts = append(parts, o.Name+" "+percent(1-o.Agreement))
	}
	return parts
}

// percent writes a share with one decimal, and with its first digit where that
// would be 0.
func percent(share float64) string {
	if p := 100 * share; p > 0 && p < 0.05 {
		return fmt.Sprintf("%.1g %%", p)
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// plural writes 12,400 rows, 1 row.
func plural(n int, what string) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n == 1 {
		return digits + " " + what
	}
	return digits + " " + what + "s"
}
