package divergence_test

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/tenon-ml/tenon/internal/divergence"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// TestMemoryIsBounded: a million rows, every one with labels of its own and
// another distance, and one change among them that comes often.
func TestMemoryIsBounded(t *testing.T) {
	const rows, requests = 1000, 1000
	c := compare("label:label y:value", "label:label y:value")
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	a, b := make([]string, rows), make([]string, rows)
	x, y := make([]float64, rows), make([]float64, rows)
	for i := range requests {
		for k := range rows {
			n := i*rows + k
			a[k], b[k] = fmt.Sprintf("from-%d", n), fmt.Sprintf("to-%d", n)
			if n%50 == 0 {
				a[k], b[k] = "cat", "dog"
			}
			x[k], y[k] = 0, math.Exp2(float64(n%1000)-500)*(1+float64(n)/1e6)
		}
		c.Add(request("r", rows, answer(strings_("label", a...), floats("y", x...)), answer(strings_("label", b...), floats("y", y...))))
	}
	if grown := int64(live()) - int64(before); grown > 2<<20 {
		t.Errorf("a million rows left %d bytes", grown)
	}
	d := c.Report()
	changes := d.Outputs[0].Changes
	if d.Rows != rows*requests || len(changes) != 20 || changes[0].From != "cat" || changes[0].To != "dog" {
		t.Fatalf("%d rows, %d changes, the first %+v", d.Rows, len(changes), changes[0])
	}
	if n := changes[0].Count; n > 20_000 || n < 15_000 {
		t.Errorf("told %d times, and it was 20,000", n)
	}
	for _, rare := range changes[1:] {
		if rare.Count != 1 {
			t.Errorf("%+v came once", rare)
		}
	}
	if data, err := json.Marshal(d); err != nil || len(data) > 64<<10 {
		t.Errorf("the report has %d bytes (%v)", len(data), err)
	}
}

// TestFewChangesAreCountedExactly, the most frequent first.
func TestFewChangesAreCountedExactly(t *testing.T) {
	c := compare("y:label", "y:label")
	var a, b []int64
	for i := range int64(30) {
		for range i + 1 {
			a, b = append(a, i), append(b, i+100)
		}
	}
	c.Add(request("r", len(a), answer(column("y", tensor.Int64, a...)), answer(column("y", tensor.Int64, b...))))
	got := c.Report().Outputs[0].Changes
	for i, change := range got {
		if n := 29 - i; change.Count != n+1 || change.From != fmt.Sprint(n) || change.To != fmt.Sprint(n+100) {
			t.Errorf("number %d is %+v", i, change)
		}
	}
	if len(got) != 20 {
		t.Errorf("%d changes are told", len(got))
	}
}

// FuzzTwoNumbers: whatever two numbers are, the counts add up, the report can
// be written, and neither side is preferred.
func FuzzTwoNumbers(f *testing.F) {
	for _, pair := range [][2]float64{{0, 0}, {1, -1}, {nan, 1}, {inf, -inf}, {1e308, -1e308}, {5e-324, 1e-300}, {nan, nan}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b float64) {
		outs := []divergence.Output{{Name: "y", Kind: "value", Scale: 1}}
		c := divergence.New("demo", divergence.Version{Outputs: outs}, divergence.Version{Outputs: outs}, began)
		own := compare("y:value", "y:value")
		x, y := answer(floats("y", a)), answer(floats("y", b))
		there, back := c.Add(request("r", 1, x, y)), c.Add(request("r", 1, y, x))
		if there.Disagree != back.Disagree || there.InvalidFrom != back.InvalidTo {
			t.Errorf("there %+v, back %+v", there, back)
		}
		if same := a == b || a != a && b != b; same && there.Disagree != 0 {
			t.Errorf("%g disagrees with itself", a)
		}
		own.Add(request("r", 1, x, y))
		for _, d := range []*divergence.Comparison{c, own} {
			r := d.Report()
			if o := r.Outputs[0]; o.Rows != r.Rows || o.Agree+r.DisagreeingRows != o.Rows {
				t.Errorf("%+v", o)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("%g and %g: %v", a, b, err)
			}
		}
	})
}

// BenchmarkOneRow is a pair of answers of one row: a label, two probabilities
// and a value.
func BenchmarkOneRow(b *testing.B) {
	const outs = "label:label probabilities:probabilities=a,b y:value"
	one := func(p, v float64) divergence.Answer {
		return answer(strings_("label", "a"), probabilities("a b", p, 1-p), floats("y", v))
	}
	c := compare(outs, outs)
	r := request("r", 1, one(0.75, 12), one(0.71875, 12.5))
	b.ReportAllocs()
	for b.Loop() {
		c.Add(r)
	}
}

// BenchmarkOtherLabels is the same with a label that differs every time.
func BenchmarkOtherLabels(b *testing.B) {
	c := compare("label:label", "label:label")
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		c.Add(request("r", 1, answer(column("label", tensor.Int64, int64(i))), answer(column("label", tensor.Int64, int64(-i)))))
	}
}
