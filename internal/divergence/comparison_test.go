package divergence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/divergence"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
)

var (
	began = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	nan   = math.NaN()
	inf   = math.Inf(1)

	errGone = errors.New("a path of ours")
)

func strings_(name string, values ...string) tensor.Output {
	return tensor.Output{Key: tensor.JSONKey(name), Type: tensor.String, Values: tensor.FromStrings(values, int64(len(values))), Stride: 1}
}

func column[T tensor.Fixed](name string, t tensor.Type, values ...T) tensor.Output {
	return tensor.Output{Key: tensor.JSONKey(name), Type: t, Values: tensor.From(t, values, int64(len(values))), Stride: 1}
}

func floats(name string, values ...float64) tensor.Output {
	return column(name, tensor.Float64, values...)
}

// matrix has rows of that shape.
func matrix(name string, shape []int64, values ...float64) tensor.Output {
	width := tensor.Count(shape)
	whole := append([]int64{int64(len(values)) / width}, shape...)
	return tensor.Output{
		Key: tensor.JSONKey(name), Type: tensor.Float64, Values: tensor.From(tensor.Float64, values, whole...),
		Stride: int(width), Shape: shape,
	}
}

func probabilities(classes string, values ...float64) tensor.Output {
	keys := strings.Fields(classes)
	o := matrix("probabilities", []int64{int64(len(keys))}, values...)
	o.Shape = nil
	for _, key := range keys {
		o.Classes = append(o.Classes, tensor.JSONKey(key))
	}
	return o
}

func whole(name string, values ...float64) tensor.Output {
	return tensor.Output{Key: tensor.JSONKey(name), Type: tensor.Float64, Values: tensor.From(tensor.Float64, values, int64(len(values))), Whole: true}
}

// described reads "label:label probabilities:probabilities=a,b score:value".
func described(text string) []divergence.Output {
	var outs []divergence.Output
	for word := range strings.FieldsSeq(text) {
		name, rest, _ := strings.Cut(word, ":")
		kind, classes, _ := strings.Cut(rest, "=")
		o := divergence.Output{Name: name, Kind: kind}
		if classes != "" {
			o.Classes = strings.Split(classes, ",")
		}
		outs = append(outs, o)
	}
	return outs
}

func compare(from, to string) *divergence.Comparison {
	return divergence.New("demo", divergence.Version{Number: 3, Outputs: described(from)},
		divergence.Version{Number: 4, Outputs: described(to)}, began)
}

func answer(outs ...tensor.Output) divergence.Answer {
	return divergence.Answer{Outputs: outs, Run: time.Millisecond}
}

func request(id string, rows int, from, to divergence.Answer) *divergence.Request {
	return &divergence.Request{
		ID: id, Time: began, Rows: rows, From: from, To: to,
		Row: func(row int) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"row":%d}`, row)) },
	}
}

// TestRowsAgreeOrNot holds what counts as a disagreement, output by output.
func TestRowsAgreeOrNot(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct {
		name     string
		kind     string
		from, to tensor.Output
		disagree int
		distance float64 // the largest; -1: none is told
		unlike   int
	}{
		{"labels", "label", strings_("y", "a", "b", "c"), strings_("y", "a", "c", "c"), 1, -1, 0},
		{"long labels", "label", strings_("y", long+"a"), strings_("y", long+"b"), 1, -1, 0},
		{"integers as labels", "label", column("y", tensor.Int64, int64(1), 2), column("y", tensor.Int64, int64(1), 3), 1, -1, 0},
		{"integers beyond floats", "label", column("y", tensor.Int64, int64(1<<53)), column("y", tensor.Int64, int64(1<<53+1)), 1, -1, 0},
		{"integers of two widths", "label", column("y", tensor.Int64, int64(-7)), column("y", tensor.Int8, int8(-7)), 0, -1, 0},
		{"the bits of a large integer", "label", column("y", tensor.Uint64, uint64(math.MaxUint64)), column("y", tensor.Int64, int64(-1)), 1, -1, 0},
		{"labels of floats", "label", floats("y", 1, nan), column("y", tensor.Int32, int32(1), 2), 1, -1, 0},
		{"a number and its text", "label", strings_("y", "1"), column("y", tensor.Int64, int64(1)), 1, -1, 0},
		{"bools", "value", column("y", tensor.Bool, true, false), column("y", tensor.Bool, true, true), 1, -1, 0},
		{"a bool is no number", "label", column("y", tensor.Bool, true), column("y", tensor.Int64, int64(1)), 1, -1, 0},
		{"text as a value", "value", strings_("y", "a", "b"), strings_("y", "a", "B"), 1, -1, 0},
		{"probabilities, just within", "probabilities", probabilities("a b", 0.5, 0.5), probabilities("a b", 0.40625, 0.59375), 0, 0.09375, 0},
		{"probabilities, beyond", "probabilities", probabilities("a b", 0.5, 0.5), probabilities("a b", 0.25, 0.75), 1, 0.25, 0},
		{"classes in another order", "probabilities", probabilities("a b", 0.25, 0.75), probabilities("b a", 0.75, 0.25), 0, 0, 0},
		{"a class on one side", "probabilities", probabilities("a b", 0.25, 0.75), probabilities("b c", 0.75, 0.25), 1, 0.25, 0},
		{"a probability is NaN", "probabilities", probabilities("a b", 0.25, 0.75), probabilities("a b", nan, 0.75), 1, -1, 1},
		// The scale of few values is their root mean square, here 10.
		{"values, just within", "value", floats("y", 10, -10), floats("y", 10.5, -10), 0, 0.05, 0},
		{"values, beyond", "value", floats("y", 10, -10), floats("y", 12.5, -10), 1, 0.25, 0},
		{"values of another type", "value", floats("y", 10, -10), column("y", tensor.Float32, float32(10), -10), 0, 0, 0},
		{"NaN is NaN", "value", floats("y", nan, 1), floats("y", nan, 1), 0, 0, 0},
		{"NaN is no number", "value", floats("y", nan, 1), floats("y", 0, 1), 1, 0, 1},
		{"infinity is infinity", "value", floats("y", inf, -inf), floats("y", inf, inf), 1, 0, 1},
		{"all of a kind", "value", floats("y", 0, 0), floats("y", 0, 0.5), 1, 0.5, 0}, // scale 1
		{"vectors", "value", matrix("y", []int64{2}, 1, -1, 1, -1), matrix("y", []int64{2}, 1, -1, 1, -1.25), 1, 0.25, 0},
		{"vectors of another length", "value", matrix("y", []int64{2}, 1, 2), matrix("y", []int64{3}, 1, 2, 3), 1, -1, 1},
		{"a whole tensor", "value", whole("y", 3, 4), whole("y", 3, 9), 1, 5 / math.Sqrt(12.5), 0},
		{"whole or not", "value", whole("y", 1), floats("y", 1), 1, -1, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows := test.from.Values.Rows()
			if test.from.Whole {
				rows = 1
			}
			description := "y:" + test.kind
			if test.kind == "probabilities" {
				description += "=a,b"
			}
			c := compare(description, description)
			found := c.Add(request("r", rows, answer(test.from), answer(test.to)))
			d := c.Report()
			if found.Rows != rows || found.Disagree != test.disagree || d.DisagreeingRows != test.disagree {
				t.Errorf("found %+v, want %d of %d rows that disagree", found, test.disagree, rows)
			}
			o := d.Outputs[0]
			if o.Agree != o.Rows-test.disagree || o.Incomparable != test.unlike {
				t.Errorf("%d of %d agree, %d incomparable", o.Agree, o.Rows, o.Incomparable)
			}
			got := -1.0
			if o.Distance != nil {
				got = o.Distance.Max
			}
			if math.Abs(got-test.distance) > 1e-12 {
				t.Errorf("the largest distance is %g, want %g", got, test.distance)
			}
			if _, err := json.Marshal(d); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestScaleIsTheSpreadOfTheAnswers: once there are enough of them, wherever
// they lie; and that of the training data where it is known.
func TestScaleIsTheSpreadOfTheAnswers(t *testing.T) {
	var from, to []float64
	for i := range 100 {
		from, to = append(from, 1000+float64(i%2)*2), append(to, 1000+float64(i%2)*2)
	}
	to[0] += 0.25 // a quarter of the deviation, which is 1
	c := compare("y:value", "y:value")
	if found := c.Add(request("r", 100, answer(floats("y", from...)), answer(floats("y", to...)))); found.Disagree != 1 {
		t.Errorf("found %+v", found)
	}
	if o := c.Report().Outputs[0]; math.Abs(o.Scale-1) > 1e-9 || math.Abs(o.Distance.Max-0.25) > 1e-9 {
		t.Errorf("scale %g, largest distance %g", o.Scale, o.Distance.Max)
	}
	outs := []divergence.Output{{Name: "y", Kind: "value", Scale: 5}}
	c = divergence.New("demo", divergence.Version{Number: 1, Outputs: outs}, divergence.Version{Number: 2, Outputs: outs}, began)
	if found := c.Add(request("r", 100, answer(floats("y", from...)), answer(floats("y", to...)))); found.Disagree != 0 {
		t.Errorf("found %+v", found)
	}
	if o := c.Report().Outputs[0]; o.Scale != 5 || math.Abs(o.Distance.Max-0.05) > 1e-9 {
		t.Errorf("scale %g, largest distance %g", o.Scale, o.Distance.Max)
	}
}

func TestOutputsOfOneSideAreNamed(t *testing.T) {
	c := compare("label:label score:value old:value", "new:value score:label label:label")
	c.Add(request("r", 1, answer(strings_("label", "a"), floats("score", 1), floats("old", 1)),
		answer(floats("new", 1), strings_("score", "x"), strings_("label", "b"))))
	d := c.Report()
	if len(d.Outputs) != 1 || d.Outputs[0].Name != "label" || d.Outputs[0].Agree != 0 ||
		!slices.Equal(d.OnlyFrom, []string{"score", "old"}) || !slices.Equal(d.OnlyTo, []string{"new", "score"}) {
		t.Errorf("%+v", d)
	}
}

// TestNothingInCommonIsNoAgreement: an output that was renamed is not compared.
func TestNothingInCommonIsNoAgreement(t *testing.T) {
	c := compare("old:value", "new:value")
	found := c.Add(request("r", 2, answer(floats("old", 1, 2)), answer(floats("new", 1, nan))))
	d := c.Report()
	if found.Rows != 0 || found.InvalidTo != 1 || d.Requests != 1 || d.Rows != 0 {
		t.Errorf("%+v, %+v", found, d)
	}
	if want := "3 and 4 have no output in common, so nothing was compared."; d.Summary != want {
		t.Errorf("summary %q, want %q", d.Summary, want)
	}
}

func TestFailuresAreCountedByCode(t *testing.T) {
	c := compare("y:value", "y:value")
	ok := answer(floats("y", 1))
	died := func(n int) divergence.Answer {
		return divergence.Answer{Err: fault.New(fault.Unavailable, fault.WorkerDied, "It died %d times.", n)}
	}
	c.Add(request("1", 1, ok, died(1)))
	c.Add(request("2", 1, ok, died(2)))
	c.Add(request("3", 1, died(1), divergence.Answer{Err: errGone}))
	refused := fault.New(fault.Invalid, fault.InvalidInput, "It does not fit.").At("instances[0].x", "type", "expected a string, got 3").At("inputs.y", "type", "the second")
	c.Add(request("4", 1, ok, divergence.Answer{Err: refused}))
	c.Add(request("5", 1, ok, ok))
	c.Skip()
	d := c.Report()
	want := []wire.DivergenceFailure{
		{Code: "internal", Count: 1, Last: "An internal error; the server's log has the reason."},
		{Code: "invalid-input", Count: 1, Last: "It does not fit. instances[0].x: expected a string, got 3"},
		{Code: "worker-died", Count: 2, Last: "It died 2 times."},
	}
	if d.Requests != 1 || d.Rows != 1 || d.Skipped != 1 || d.From.Failed != 1 || d.To.Failed != 4 || !slices.Equal(d.To.Failures, want) {
		t.Errorf("%+v", d)
	}
	if want := "4 answers 1 row as 3 does; 3 failed at 1 request; 4 failed at 4 requests."; d.Summary != want {
		t.Errorf("summary %q, want %q", d.Summary, want)
	}
}

func TestRunTimesAreTold(t *testing.T) {
	c := compare("y:value", "y:value")
	for i := range 1000 {
		from, to := answer(floats("y", 1)), answer(floats("y", 1))
		from.Run, to.Run = time.Duration(i+1)*time.Millisecond, 2*time.Second
		c.Add(request("r", 1, from, to))
	}
	d := c.Report()
	for _, q := range []struct{ got, want float64 }{
		{d.From.RunSeconds.P50, 0.5}, {d.From.RunSeconds.P99, 0.99}, {d.To.RunSeconds.P50, 2}, {d.To.RunSeconds.P99, 2},
	} {
		if math.Abs(q.got-q.want) > 0.02*q.want {
			t.Errorf("got %g s, want %g to 2 %%", q.got, q.want)
		}
	}
}

// TestExamplesAreTheWorstRows: numbers against none first, then labels that
// changed, those that both versions were sure of first, then the furthest.
func TestExamplesAreTheWorstRows(t *testing.T) {
	const outs = "label:label probabilities:probabilities=a,b score:value"
	c := compare(outs, outs)
	add := func(id, from, to string, p, q, x, y float64) {
		c.Add(request(id, 1, answer(strings_("label", from), probabilities("a b", p, 1-p), floats("score", x)),
			answer(strings_("label", to), probabilities("a b", q, 1-q), floats("score", y))))
	}
	add("same", "a", "a", 0.75, 0.75, 1, 1)
	add("near", "a", "a", 0.75, 0.6875, 1, 1)
	add("score", "a", "a", 0.75, 0.75, 1, 3)
	add("unsure", "a", "b", 0.5625, 0.4375, 1, 1)
	add("sure", "a", "b", 1, 0, 1, 1)
	add("nan", "b", "b", 0, 0, 1, nan)
	d := c.Report()
	var got []string
	for _, e := range d.Examples {
		got = append(got, fmt.Sprintf("%s:%s:%t", e.RequestID, e.Output, e.Disagrees))
	}
	want := []string{"nan:score:true", "sure:label:true", "unsure:label:true", "score:score:true", "near:probabilities:false"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	e := d.Examples[1]
	if string(e.Input) != `{"row":0}` || string(e.From) != `{"label":"a","probabilities":{"a":1,"b":0},"score":1}` ||
		string(e.To) != `{"label":"b","probabilities":{"a":0,"b":1},"score":1}` || *e.Distance != 1 || !e.Time.Equal(began) {
		t.Errorf("%+v: %s %s %s", e, e.Input, e.From, e.To)
	}
	if want := "4 answers 66.7 % of 6 rows otherwise than 3: label 33.3 %, probabilities 33.3 %, score 33.3 %."; d.Summary != want {
		t.Errorf("summary %q, want %q", d.Summary, want)
	}
}

func TestExamplesAreOfTheirRow(t *testing.T) {
	c := compare("y:value w:value", "y:value w:value")
	c.Add(request("r", 2, answer(matrix("y", []int64{2}, 1, 2, 3, 4), whole("w", 1, 2, 3)),
		answer(matrix("y", []int64{2}, 1, 2, 3, 9), whole("w", 1, 2, 3))))
	e := c.Report().Examples
	if len(e) != 1 || e[0].Row != 1 || string(e[0].Input) != `{"row":1}` ||
		string(e[0].From) != `{"y":[3,4],"w":[1,2,3]}` || string(e[0].To) != `{"y":[3,9],"w":[1,2,3]}` {
		t.Errorf("%+v %s %s", e, e[0].From, e[0].To)
	}
}

// TestInputIsWrittenOnlyForExamples, and what is too long is not kept.
func TestInputIsWrittenOnlyForExamples(t *testing.T) {
	c := compare("y:value", "y:value")
	written := 0
	for i := range 100 {
		r := request("r", 1, answer(floats("y", 1)), answer(floats("y", 101-float64(i))))
		r.Row = func(int) json.RawMessage {
			written++
			return json.RawMessage(`"` + strings.Repeat("x", 1<<16) + `"`)
		}
		c.Add(r)
	}
	e := c.Report().Examples
	if written != 10 || len(e) != 10 || string(e[0].Input) != `"(65538 bytes, left out)"` {
		t.Errorf("written %d times; %d examples, %s", written, len(e), e[0].Input)
	}
}

// TestReportDoesNotChangeAfterwards: it is read while the next request is added.
func TestReportDoesNotChangeAfterwards(t *testing.T) {
	c := compare("y:value label:label", "y:value label:label")
	add := func(v float64, label string) {
		c.Add(request("r", 1, answer(floats("y", 1), strings_("label", "a")), answer(floats("y", v), strings_("label", label))))
	}
	add(2, "b")
	d := c.Report()
	before, _ := json.Marshal(d)
	for i := range 20 {
		add(float64(3+i), "b")
	}
	if after, _ := json.Marshal(d); string(after) != string(before) {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

// random makes an answer with a label of few classes, probabilities and a
// value, now and then none.
func random(r *rand.Rand, rows int) divergence.Answer {
	labels := make([]string, rows)
	p, v := make([]float64, 2*rows), make([]float64, rows)
	for i := range rows {
		labels[i] = string('a' + rune(r.IntN(4)))
		p[2*i] = r.Float64()
		p[2*i+1] = 1 - p[2*i]
		v[i] = 1e3 * r.NormFloat64()
		if r.IntN(50) == 0 {
			v[i] = []float64{nan, inf, -inf}[r.IntN(3)]
		}
	}
	return answer(strings_("label", labels...), probabilities("a b", p...), floats("y", v...))
}

// TestSidesAreSymmetric: what two versions disagree on does not depend on
// which of them is which, and every version agrees with itself.
func TestSidesAreSymmetric(t *testing.T) {
	const outs = "label:label probabilities:probabilities=a,b y:value"
	scaled := described(outs)
	scaled[2].Scale = 1e3 // the spread of the answers would be that of either side
	version := func(n int) divergence.Version { return divergence.Version{Number: n, Outputs: scaled} }
	r := rand.New(rand.NewPCG(1, 2))
	there := divergence.New("demo", version(3), version(4), began)
	back := divergence.New("demo", version(4), version(3), began)
	self := compare(outs, outs)
	for i := range 300 {
		rows := 1 + r.IntN(20)
		a, b := random(r, rows), random(r, rows)
		id := fmt.Sprint(i)
		x, y := there.Add(request(id, rows, a, b)), back.Add(request(id, rows, b, a))
		if x.Rows != y.Rows || x.Disagree != y.Disagree || x.InvalidFrom != y.InvalidTo || x.InvalidTo != y.InvalidFrom {
			t.Fatalf("there %+v, back %+v", x, y)
		}
		self.Add(request(id, rows, a, a))
	}
	d, e := there.Report(), back.Report()
	for i := range d.Outputs {
		p, q := d.Outputs[i], e.Outputs[i]
		if p.Rows != q.Rows || p.Agree != q.Agree || p.Incomparable != q.Incomparable || (p.Distance != nil && *p.Distance != *q.Distance) {
			t.Errorf("there %+v\nback  %+v", p, q)
		}
		if p.Agree == 0 || p.Agree == p.Rows {
			t.Errorf("%s: nothing was told apart: %d of %d", p.Name, p.Agree, p.Rows)
		}
	}
	same := self.Report()
	if same.DisagreeingRows != 0 || len(same.Examples) != 0 || same.From.InvalidRows == 0 {
		t.Errorf("a version disagrees with itself: %+v", same)
	}
	for _, o := range same.Outputs {
		if o.Agreement != 1 || len(o.Changes) != 0 || o.Distance != nil && o.Distance.Max != 0 {
			t.Errorf("a version disagrees with itself: %+v", o)
		}
	}
}
