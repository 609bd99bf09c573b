package reportpage

import (
	"fmt"
	"math"
	"strings"

	"github.com/tenon-ml/tenon/api/wire"
)

// outputPlot is what is drawn of one output.
type outputPlot struct {
	Name    string
	Notes   []string
	Panels  []scatter
	Labels  *labelTable
	Differs int // rows
	// Within and Beyond are what the points of both colours are.
	Within, Beyond string
}

// The size of a panel and the room for its axes, in pixels.
const (
	panelWidth, panelHeight = 420.0, 320.0
	left, right             = 62.0, 12.0
	top, bottom             = 26.0, 40.0
)

// scatter is one panel of points.
type scatter struct {
	ID, Title, Desc string
	XLabel, YLabel  string
	XTicks, YTicks  []tick
	Line, LineName  string // where agreement is, or what is allowed
	Marks           []mark
	Width, Height   float64
	Left, Top       float64
	Right, Bottom   float64 // the ends of the axes
}

// mark is a point on the page.
type mark struct {
	X, Y   float64
	Failed bool
	Edge   bool // it lies beyond the axes
	Tip    string
}

func plotOutput(i int, o *wire.OutputReport) *outputPlot {
	if o.Plot == nil {
		return nil
	}
	p := &outputPlot{Name: o.Name, Differs: o.Plot.DifferOf, Within: "within tolerance", Beyond: "beyond it"}
	if o.Tolerance.Agreement != nil { // a row alone is neither
		p.Within, p.Beyond = "that agree", "that do not agree"
	}
	if o.Plot.Labels != nil {
		p.Labels = tableOf(o.Plot.Labels)
	}
	if n := len(o.Plot.Points); n > 0 {
		p.Panels = append(p.Panels, agreement(i, o))
		if d, ok := distances(i, o); ok {
			p.Panels = append(p.Panels, d)
		} else {
			p.Notes = append(p.Notes, "Every answer shown is the expected one to the last digit.")
		}
		p.Notes = append(p.Notes, p.sampled(o.Plot))
	}
	if beyond := edges(p.Panels); beyond > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%d points lie beyond the axes and stand at their edge.", beyond))
	}
	if o.Plot.Beside > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%d rows are not in the plot: NaN, an infinity, another shape or no answer.", o.Plot.Beside))
	}
	return p
}

// sampled says how many rows the points stand for.
func (o *outputPlot) sampled(p *wire.Plot) string {
	differ := len(p.Points) - p.Agree
	var said []string
	if p.AgreeOf > 0 {
		said = append(said, fmt.Sprintf("%d of %d rows %s", p.Agree, p.AgreeOf, o.Within))
	}
	if p.DifferOf > 0 {
		said = append(said, fmt.Sprintf("%d of %d rows %s", differ, p.DifferOf, o.Beyond))
	}
	return "Points are shown for " + strings.Join(said, " and ") + ", taken evenly."
}

func edges(panels []scatter) int {
	n := 0
	if len(panels) > 0 {
		for _, m := range panels[0].Marks {
			if m.Edge {
				n++
			}
		}
	}
	return n
}

func panel(id, title, desc, xLabel, yLabel string) scatter {
	return scatter{
		ID: id, Title: title, Desc: desc, XLabel: xLabel, YLabel: yLabel,
		Width: panelWidth, Height: panelHeight, Left: left, Top: top, Right: panelWidth - right, Bottom: panelHeight - bottom,
	}
}

// agreement draws what came against what was expected: right answers lie on
// the line.
func agreement(i int, o *wire.OutputReport) scatter {
	points, beyond := o.Plot.Points, "lie beyond the tolerance"
	if o.Tolerance.Agreement != nil {
		beyond = "are of rows that do not agree"
	}
	s := panel(fmt.Sprintf("agreement%d", i), "Expected against got: "+o.Name,
		fmt.Sprintf("%d points; those on the diagonal are the pipeline's answers, %d %s.", len(points), len(points)-o.Plot.Agree, beyond),
		"the pipeline’s answer", "the server’s answer")
	var values []float64
	for _, p := range points {
		values = append(values, p.Expected, p.Got)
	}
	x, y := linear(values, s.Left, s.Right), linear(values, s.Bottom, s.Top)
	s.XTicks, s.YTicks = x.ticks(), y.ticks()
	s.Line, s.LineName = fmt.Sprintf("%g,%g %g,%g", s.Left, s.Bottom, s.Right, s.Top), "where both are equal"
	for _, p := range points {
		px, offX := x.at(p.Expected)
		py, offY := y.at(p.Got)
		s.Marks = append(s.Marks, mark{px, py, p.Failed, offX || offY, tip(p)})
	}
	return s
}

func tip(p wire.Point) string {
	of := ""
	if p.Of != "" {
		of = strings.TrimPrefix(p.Of, ".") + ": "
	}
	return fmt.Sprintf("%sexpected %.6g, got %.6g, %.3g apart", of, p.Expected, p.Got, p.Distance)
}

// distances draws how far apart they are, on a scale of powers of ten, under
// the line of what is allowed; false where nothing is apart.
func distances(i int, o *wire.OutputReport) (scatter, bool) {
	desc := "How far each answer is from the expected one, by powers of ten."
	if bounded(o.Tolerance) {
		desc += fmt.Sprintf(" The largest distance of all rows is %s.", far(o.Worst))
	}
	s := panel(fmt.Sprintf("distance%d", i), "Distance: "+o.Name, desc,
		"the pipeline’s answer", "distance")
	var expected, apart []float64
	some := false
	for _, p := range o.Plot.Points {
		expected, apart = append(expected, p.Expected), append(apart, p.Distance)
		some = some || p.Distance > 0
	}
	if !some {
		return s, false
	}
	t := o.Tolerance
	allowed := func(v float64) float64 { return t.Abs*o.Scale + t.Rel*math.Abs(v) }
	const zeroRow = 16
	x := linear(expected, s.Left, s.Right)
	if bounded(t) {
		apart = append(apart, allowed(x.low), allowed(x.high))
	}
	y := logarithmic(apart, s.Bottom-zeroRow, s.Top, s.Bottom-4)
	s.XTicks, s.YTicks = x.ticks(), y.ticks()
	if bounded(t) {
		s.Line, s.LineName = curve(x, y, allowed), "what is allowed"
	}
	for _, p := range o.Plot.Points {
		px, off := x.at(p.Expected)
		py, _ := y.at(p.Distance)
		s.Marks = append(s.Marks, mark{px, py, p.Failed, off, tip(p)})
	}
	return s, true
}

// curve is a function's line over an axis.
func curve(x, y axis, f func(float64) float64) string {
	const pieces = 48
	var points []string
	for i := range pieces + 1 {
		v := x.low + (x.high-x.low)*float64(i)/pieces
		at := f(v)
		if at <= 0 {
			continue // where nothing is allowed there is no place on the axis
		}
		px, _ := x.at(v)
		py, _ := y.at(at)
		points = append(points, fmt.Sprintf("%g,%g", px, py))
	}
	return strings.Join(points, " ")
}

// labelTable is a table of labels, the right ones on its diagonal.
type labelTable struct {
	Head []string
	Rows []labelRow
	Note string
}

type labelRow struct {
	Label string
	Cells []labelCell
}

// labelCell is a count; Heat, 0 to 9, is its part of the largest count.
type labelCell struct {
	Count, Heat int
	Right       bool
}

func tableOf(c *wire.Confusion) *labelTable {
	most := 1
	for _, row := range c.Counts {
		for _, n := range row {
			most = max(most, n)
		}
	}
	t := &labelTable{}
	for i, label := range c.Labels {
		if i >= len(c.Counts) {
			break
		}
		row := labelRow{Label: text([]byte(label))}
		t.Head = append(t.Head, row.Label)
		for j, n := range c.Counts[i] {
			cell := labelCell{Count: n, Right: i == j}
			if n > 0 {
				cell.Heat = 1 + int(8*math.Sqrt(float64(n)/float64(most)))
			}
			row.Cells = append(row.Cells, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	if c.Others > 0 {
		t.Note = fmt.Sprintf("The %d other labels are counted together as …", c.Others)
	}
	return t
}
