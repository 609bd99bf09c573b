package reportpage

import (
	"fmt"

	"github.com/tenon-ml/tenon/api/wire"
)

// columnPlot is one input column: bars by its values, and the same as a table.
type columnPlot struct {
	ID, Name, Type, Title, Desc string
	Failing                     bool // there is a strip of rows beyond tolerance
	Bars                        []bar
	Labels                      []tick // below the bars
	Rows                        []binRow
	Width, Height               float64
	FailTop, FailBase           float64 // of the strip of rows beyond tolerance
	DistTop, DistBase           float64 // of the strip of distances
	DistMost                    string  // what a full bar of it stands for
}

// bar is one bin, as wide as all others: ranges hold about as many rows.
type bar struct {
	X, Width          float64
	FailY, FailHeight float64
	DistY, DistHeight float64
	Missing           bool
	Tip               string
}

// binRow is a bin in the table.
type binRow struct {
	Value, Failed, Mean, Worst string
	Rows                       int
}

// The size of a column's plot.
const (
	columnWidth             = 420.0
	stripHeight, stripSpace = 60.0, 20.0
	labelHeight             = 20.0
	columnLeft              = 4.0
)

func plotColumns(r *wire.Report) []columnPlot {
	most := 0.0
	for _, c := range r.Columns {
		for _, b := range c.Bins {
			most = max(most, b.Mean)
		}
	}
	if most == 0 && r.FailedRows == 0 {
		return nil // nothing is apart
	}
	var list []columnPlot
	for i, c := range r.Columns {
		if len(c.Bins) > 0 {
			list = append(list, plotColumn(i, c, r.FailedRows > 0, most))
		}
	}
	return list
}

func plotColumn(i int, c wire.ColumnReport, failing bool, most float64) columnPlot {
	p := columnPlot{
		ID: fmt.Sprintf("column%d", i), Name: c.Name, Type: c.Type, Title: "By the values of " + c.Name,
		Failing: failing, Width: columnWidth, DistMost: num(most),
	}
	y := stripSpace
	if failing {
		p.FailTop, p.FailBase = y, y+stripHeight
		y = p.FailBase + stripSpace
	}
	if most > 0 {
		p.DistTop, p.DistBase = y, y+stripHeight
		y = p.DistBase
	}
	p.Height = y + labelHeight
	step := (columnWidth - 2*columnLeft) / float64(max(len(c.Bins), 8))
	for j, b := range c.Bins {
		p.Rows = append(p.Rows, rowOf(b))
		p.Bars = append(p.Bars, p.bar(columnLeft+step*float64(j), step, b, most))
	}
	p.label(c.Bins, step)
	p.Desc = describe(c.Bins)
	return p
}

func (p *columnPlot) bar(x, step float64, b wire.Bin, most float64) bar {
	out := bar{X: round(x + 1), Width: round(step - 2), Missing: string(b.Value) == "null", Tip: tipOf(b)}
	if p.FailBase > 0 {
		out.FailHeight = visible(share(b.Failed, b.Rows))
		out.FailY = round(p.FailBase - out.FailHeight)
	}
	if p.DistBase > 0 {
		out.DistHeight = visible(b.Mean / most)
		out.DistY = round(p.DistBase - out.DistHeight)
	}
	return out
}

// visible is a bar's height: what is not nothing can be seen.
func visible(part float64) float64 {
	if part <= 0 {
		return 0
	}
	return round(max(part*stripHeight, 1.5))
}

// label names the bars as far as there is room: missing values, the ends of
// the numbers, and then the others that touch none before them.
func (p *columnPlot) label(bins []wire.Bin, step float64) {
	const letter, gap = 6.2, 5.0 // pixels, at the size of labels
	type span struct{ from, to float64 }
	var taken []span
	put := func(at float64, name string, align float64) {
		width := float64(len([]rune(name))) * letter
		from := min(max(at-align*width, 0), columnWidth-width)
		for _, t := range taken {
			if from < t.to+gap && t.from < from+width+gap {
				return
			}
		}
		taken = append(taken, span{from, from + width})
		p.Labels = append(p.Labels, tick{round(from + width/2), name})
	}
	numbers := 0
	for j, b := range bins {
		switch {
		case b.From != nil:
			numbers++
		case string(b.Value) == "null":
			put(p.Bars[j].X+p.Bars[j].Width/2, "∅", 0.5)
		}
	}
	if numbers > 1 {
		put(p.Bars[0].X, num(*bins[0].From), 0)
		put(p.Bars[numbers-1].X+p.Bars[numbers-1].Width, num(*bins[numbers-1].To), 1)
	}
	room := max(int((step-gap)/letter), 4)
	for j, b := range bins {
		switch {
		case b.From != nil && b.To != nil && *b.From == *b.To:
			put(p.Bars[j].X+p.Bars[j].Width/2, num(*b.From), 0.5)
		case b.From != nil:
			put(p.Bars[j].X, num(*b.From), 0)
		case string(b.Value) != "null":
			put(p.Bars[j].X+p.Bars[j].Width/2, short(valueOf(b), room), 0.5)
		}
	}
}

func short(name string, room int) string {
	runes := []rune(name)
	if len(runes) <= room {
		return name
	}
	return string(runes[:max(room-1, 0)]) + "…"
}

// valueOf words a bin: "39.1", "39.1 – 41", a category, or missing.
func valueOf(b wire.Bin) string {
	switch {
	case b.From != nil && b.To != nil && *b.From == *b.To:
		return num(*b.From)
	case b.From != nil && b.To != nil:
		return num(*b.From) + " – " + num(*b.To)
	case string(b.Value) == "null":
		return "missing"
	case b.Others > 0:
		return fmt.Sprintf("%d others", b.Others)
	default:
		return text(b.Value)
	}
}

func tipOf(b wire.Bin) string {
	return fmt.Sprintf("%s: %d of %d rows beyond tolerance, mean distance %s, at most %s",
		valueOf(b), b.Failed, b.Rows, num(b.Mean), num(b.Worst))
}

func rowOf(b wire.Bin) binRow {
	return binRow{
		Value: valueOf(b), Rows: b.Rows, Failed: fmt.Sprintf("%d (%.3g %%)", b.Failed, 100*share(b.Failed, b.Rows)),
		Mean: num(b.Mean), Worst: num(b.Worst),
	}
}

// describe says what the bars show, for those who do not see them: where most
// and where fewest rows are beyond tolerance, else the distances.
func describe(bins []wire.Bin) string {
	high, low := bins[0], bins[0]
	far, near := bins[0], bins[0]
	for _, b := range bins[1:] {
		if share(b.Failed, b.Rows) > share(high.Failed, high.Rows) {
			high = b
		}
		if share(b.Failed, b.Rows) < share(low.Failed, low.Rows) {
			low = b
		}
		if b.Mean > far.Mean {
			far = b
		}
		if b.Mean < near.Mean {
			near = b
		}
	}
	if most, least := share(high.Failed, high.Rows), share(low.Failed, low.Rows); most > least {
		return fmt.Sprintf("Most rows beyond tolerance: %.3g %% at %s; fewest: %.3g %% at %s.",
			100*most, valueOf(high), 100*least, valueOf(low))
	}
	return fmt.Sprintf("%.3g %% of rows are beyond tolerance for every value; the mean distance goes from %s at %s to %s at %s.",
		100*share(high.Failed, high.Rows), num(near.Mean), valueOf(near), num(far.Mean), valueOf(far))
}
