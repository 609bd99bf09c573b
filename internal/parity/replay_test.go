package parity_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/parity"
)

const two = `{"name":"label","kind":"label","type":"string"},` +
	`{"name":"p","kind":"probabilities","type":"float64","classes":["a","b"]}`

const (
	rowsBody    = `{"instances":[{"x":1},{"x":2}]}`
	columnsBody = `{"inputs":{"x":[1,2]}}`
	saidRows    = `"predictions":[{"label":"a","p":{"a":1,"b":0}},{"label":"b","p":{"a":0,"b":1}}]`
	saidColumns = `"outputs":{"label":["a","b"],"p":{"a":[1,0],"b":[0,1]}}`
)

// TestForms compares an answer by rows and one by columns with either.
func TestForms(t *testing.T) {
	for _, body := range []string{rowsBody, columnsBody} {
		for _, expected := range []string{saidRows, saidColumns} {
			for _, got := range []string{saidRows, saidColumns} {
				report := replay(t, two, golden{"hold-out", body, expected, `{"model":"iris","version":1,` + got + `}`, 0})
				if !report.Passed || report.Rows != 2 || report.Outputs[0].Values != 2 || report.Outputs[1].Values != 4 {
					t.Errorf("%s\n%s\n%s: %+v", body, expected, got, report)
				}
				swapped := strings.Replace(got, `"label":"a"`, `"label":"b"`, 1)
				swapped = strings.Replace(swapped, `["a","b"]`, `["b","b"]`, 1)
				report = replay(t, two, golden{"hold-out", body, expected, "{" + swapped + "}", 0})
				if report.Passed || report.FailedRows != 1 || report.Worst[0].Row != 0 || string(report.Worst[0].Input) != `{"x":1}` {
					t.Errorf("%s\n%s\n%s: %+v", body, expected, swapped, report)
				}
			}
		}
	}
}

// TestAnswersOfAnotherSize: no row may be left out, and none be added.
func TestAnswersOfAnotherSize(t *testing.T) {
	one := `{"predictions":[{"label":"a","p":{"a":1,"b":0}}]}`
	three := "{" + strings.Replace(saidRows, `[{`, `[{"label":"a","p":{"a":1,"b":0}},{`, 1) + "}"
	for name, c := range map[string]struct {
		expected, got string
		failed        int
	}{
		"a row too few":      {saidRows, one, 2},
		"a row too many":     {saidRows, three, 2},
		"no rows":            {saidRows, `{"predictions":[]}`, 2},
		"a short column":     {saidColumns, `{"outputs":{"label":["a"],"p":{"a":[1,0],"b":[0,1]}}}`, 1},
		"an absent output":   {saidColumns, `{"outputs":{"label":["a","b"]}}`, 2},
		"an absent class":    {saidColumns, `{"outputs":{"label":["a","b"],"p":{"a":[1,0]}}}`, 2},
		"rows out of none":   {`"predictions":[]`, one, 1},
		"not an answer":      {saidRows, `{"model":"iris"}`, 2},
		"no JSON":            {saidRows, `<html>`, 2},
		"nothing":            {saidRows, ``, 2},
		"rows of no objects": {saidRows, `{"predictions":[1,2]}`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			report := replay(t, two,
				golden{"hold-out", rowsBody, saidRows, "{" + saidRows + "}", 0}, golden{"hold-out", rowsBody, c.expected, c.got, 0})
			if report.Passed || report.FailedRows != c.failed || report.Worst[0].Request != "1" || report.Worst[0].Detail == "" {
				t.Errorf("%+v", report)
			}
		})
	}
}

// TestRefusedRequests: a request that gets no answer fails all its rows, and
// the report has the server's words.
func TestRefusedRequests(t *testing.T) {
	problem, err := json.Marshal(wire.Problem{
		Status: 400, Code: "invalid-input", Detail: "It does not fit.",
		Errors: []wire.Finding{{Path: "instances[1].x", Code: "missing", Detail: "a value must be there"}},
	})
	must(t, err)
	report := replay(t, two,
		golden{"hold-out", rowsBody, saidRows, "{" + saidRows + "}", 0},
		golden{"missing", columnsBody, saidColumns, string(problem), 400},
		golden{"missing", rowsBody, saidRows, "<html>", 502})
	if report.Passed || report.Rows != 6 || report.FailedRows != 4 || report.Outputs[0].Failed != 4 || len(report.Worst) != 4 {
		t.Fatalf("%+v", report)
	}
	want := "the server refused the request (400 invalid-input): It does not fit. instances[1].x: a value must be there"
	if w := report.Worst[1]; w.Detail != want || w.Request != "1" || w.Row != 1 || w.Why != "missing" || string(w.Input) != `{"x":2}` {
		t.Errorf("%+v", w)
	}
	if w := report.Worst[3]; w.Detail != "the server answered 502" || w.Request != "2" || w.Row != 1 {
		t.Errorf("%+v", w)
	}
	if !reflect.DeepEqual(report.Why, map[string]int{"hold-out": 2, "missing": 4}) {
		t.Errorf("%v", report.Why)
	}
}

// TestWorst: the rows that are furthest beyond what is allowed come first, at
// most 20, those that are as bad in the golden set's order; each has its input.
func TestWorst(t *testing.T) {
	var cases []golden
	for i := range 30 { // off by 1, 8, 15, … of a tolerance of about 1e-9
		off := row("1", fmt.Sprintf("%.9f", 1+0.01*float64(1+(7*i)%30)))
		off.body = fmt.Sprintf(`{"instances":[{"x":%d}]}`, i)
		cases = append(cases, off)
	}
	report := replay(t, double, cases...)
	if report.FailedRows != 30 || len(report.Worst) != 20 || report.Outputs[0].Failed != 30 {
		t.Fatalf("%d failed, %d worst", report.FailedRows, len(report.Worst))
	}
	for i, w := range report.Worst {
		if want := 0.01 * float64(30-i); math.Abs(w.Distance-want) > 1e-9 || string(w.Expected) != "1" ||
			string(w.Input) != `{"x":`+w.Request+`}` || !strings.Contains(w.Detail, "apart") {
			t.Errorf("%d: %+v, want the distance %v", i, w, want)
		}
	}
	for i := range cases { // all as bad
		cases[i].got = `{"predictions":[{"y":null}]}`
	}
	for i, w := range replay(t, double, cases...).Worst {
		if w.Request != fmt.Sprint(i) || string(w.Got) != "null" || w.Distance != math.MaxFloat64 {
			t.Errorf("%d: %+v", i, w)
		}
	}
}

// TestWorstOfOneValue: of a vector the worst number is shown, with its place.
func TestWorstOfOneValue(t *testing.T) {
	w := replay(t, doubles, row(`{"a":1,"b":1}`, `{"a":1.1,"b":1.5}`)).Worst
	if len(w) != 1 || w[0].Output != "y" || w[0].Distance != 0.5 || !strings.HasPrefix(w[0].Detail, ".b: expected 1, got 1.5: 0.5 apart") {
		t.Errorf("%+v", w)
	}
}

// TestWhatIsShown: sentences quote values as they are and not at any length,
// and no report grows with an image.
func TestWhatIsShown(t *testing.T) {
	w := replay(t, stringLabel, row(`"<=50K"`, `">50K & more"`)).Worst[0]
	if w.Detail != `expected "<=50K", got ">50K & more"` {
		t.Errorf("%q", w.Detail)
	}
	w = replay(t, stringLabel, row(`"`+strings.Repeat("ä", 100)+`"`, `"b"`)).Worst[0]
	if len(w.Detail) > 120 || strings.ContainsRune(w.Detail, '\uFFFD') {
		t.Errorf("%q", w.Detail)
	}
	large := row(`[`+strings.Repeat("1,", 50_000)+`1]`, `0`)
	large.body = `{"instances":[{"x":[` + strings.Repeat("1,", 50_000) + `1]}]}`
	w = replay(t, double, large).Worst[0]
	if string(w.Expected) != `"(left out: 100003 bytes)"` || string(w.Got) != "0" || string(w.Input) != `"(left out: 100009 bytes)"` {
		t.Errorf("%.200s", fmt.Sprint(string(w.Expected), string(w.Got), string(w.Input)))
	}
}

// TestNothingCompared: what was not compared is not proven.
func TestNothingCompared(t *testing.T) {
	for name, cases := range map[string][]golden{
		"no requests": nil,
		"no rows":     {{"hold-out", `{"instances":[]}`, `"predictions":[]`, `{"predictions":[]}`, 0}},
		"no outputs":  {{"hold-out", rowsBody, `"predictions":[{},{}]`, "{" + saidRows + "}", 0}},
		"one output":  {{"hold-out", rowsBody, `"outputs":{"label":["a","b"]}`, "{" + saidRows + "}", 0}},
		"no columns":  {{"hold-out", columnsBody, `"outputs":{}`, `{"outputs":{}}`, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if report := replay(t, two, cases...); report.Passed || report.FailedRows > 0 {
				t.Errorf("%+v", report)
			}
		})
	}
	report := replay(t, two, golden{"hold-out", rowsBody, `"outputs":{"label":["a","b"]}`, "{" + saidRows + "}", 0})
	if !strings.Contains(report.Summary, `"p"`) {
		t.Errorf("%q", report.Summary)
	}
}

// TestBadGolden: a golden set that cannot be read is the bundle's fault, and is
// found before anything is sent.
func TestBadGolden(t *testing.T) {
	for name, expected := range map[string]string{
		"a number":             `"predictions":5`,
		"rows that are no row": `"predictions":[1]`,
		"null":                 `"predictions":null`,
		"outputs are a list":   `"outputs":[1]`,
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, double, []golden{{"hold-out", rowsBody, expected, "", 0}})
			_, err := parity.Replay(t.Context(), nowhere{t}, "/here", b, parity.All, func(int, int) {})
			if !fault.Is(err, fault.InvalidBundle) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	cases := []golden{row("1", "1"), row("2", "2"), row("3", "3")}
	for most, want := range map[int]string{parity.All: "1/3 2/3 3/3 ", 2: "1/2 2/2 ", 3: "1/3 2/3 3/3 "} {
		told := ""
		s := &server{t: t, cases: cases}
		report, err := parity.Replay(t.Context(), s, "/here", open(t, double, cases), most, func(done, total int) {
			told += fmt.Sprintf("%d/%d ", done, total)
			if done != s.seen {
				t.Errorf("%d are done, and %d were sent", done, s.seen)
			}
		})
		must(t, err)
		if told != want || !report.Passed || report.Requests != s.seen {
			t.Errorf("%d: told %q, want %q; %+v", most, told, want, report)
		}
	}
}

// TestInputsInTheOrderOfTheSignature: a record reads the same whatever the
// order of a request's keys, in both forms.
func TestInputsInTheOrderOfTheSignature(t *testing.T) {
	const inputs = `{"name":"b","type":"float64"},{"name":"a \"1\"","type":"float64"},{"name":"c","type":"float64"}`
	const want = `{"b":2,"a \"1\"":null,"c":3,"more":[1, 2],"other":"x"}`
	wrong := golden{why: "hold-out", expected: `"predictions":[{"y":1}]`, got: `{"predictions":[{"y":2}]}`}
	rows, columns := wrong, wrong
	rows.body = `{"instances":[{"other":"x","c":3,"a \"1\"":null,"more":[1, 2],"b":2}]}`
	columns.body = `{"inputs":{"other":["x"],"c":[3],"more":[[1, 2]],"a \"1\"":[null],"b":[2]}}`
	cases := []golden{rows, columns}
	report, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", openInputs(t, inputs, double, cases), parity.All, func(int, int) {})
	must(t, err)
	if len(report.Worst) != 2 {
		t.Fatalf("%+v", report.Worst)
	}
	for _, w := range report.Worst {
		if string(w.Input) != want {
			t.Errorf("%s, want %s", w.Input, want)
		}
	}
}

// TestRowsThatAreNotThere: a coverage of more rows than the golden set has is
// refused.
func TestRowsThatAreNotThere(t *testing.T) {
	for rows, refused := range map[string]bool{"2": false, "3": true} {
		cases := []golden{row("1", "1"), row("1", "1")}
		b := open(t, double, cases)
		b.Coverage = []byte(`{"rows":` + rows + `}`)
		_, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", b, parity.All, func(int, int) {})
		if fault.Is(err, fault.InvalidBundle) != refused {
			t.Errorf("%s rows: %v", rows, err)
		}
	}
}

// TestPart: of a few requests, no more may differ than may of the whole set,
// and the scale is that of the whole set.
func TestPart(t *testing.T) {
	const agreement = `{"name":"y","kind":"label","type":"int64","tolerance":{"agreement":0.5}}`
	right, wrong := row("1", "1"), row("1", "2")
	for _, c := range []struct {
		output string
		cases  []golden
		pass   bool
	}{
		{agreement, []golden{wrong, wrong, right, right}, true},
		{agreement, []golden{wrong, wrong, right}, false},
		{`{"name":"y","kind":"value","type":"float64","tolerance":{"abs":0.01}}`, []golden{row("1", "1.5"), right, row("100", "100")}, true},
		{`{"name":"y","kind":"value","type":"float64","tolerance":{"abs":0.01}}`, []golden{row("1", "1.5"), right, row("10", "10")}, false},
		{double, []golden{right, right, wrong}, true}, // which is not asked
	} {
		report, err := parity.Replay(t.Context(), &server{t: t, cases: c.cases}, "/here", open(t, c.output, c.cases), 2, func(int, int) {})
		must(t, err)
		if report.Passed != c.pass || report.Requests != 2 {
			t.Errorf("%s %+v: %+v", c.output, c.cases, report)
		}
		travels(t, report)
	}
}

// TestEndOfContext: nothing is sent any more, and the answer of the request
// that was on its way is no finding.
func TestEndOfContext(t *testing.T) {
	cases := []golden{row("1", "1"), row("2", "2"), row("3", "3")}
	b := open(t, double, cases)
	if _, err := parity.Replay(canceled(), nowhere{t}, "/here", b, parity.All, func(int, int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("before: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := 0
	_, err := parity.Replay(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent++; sent == 2 {
			cancel()
			<-r.Context().Done() // the request's context ends with the replay's
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, cases[0].got)
	}), "/here", b, parity.All, func(int, int) {})
	if !errors.Is(err, context.Canceled) || sent != 2 {
		t.Errorf("%d were sent, %v", sent, err)
	}
}

// TestSummaryCountsDifferentRows: rows are sent alone and together, and the kit
// counts each once.
func TestSummaryCountsDifferentRows(t *testing.T) {
	alone := func(x, said string) golden {
		return golden{why: "hold-out", body: `{"instances":[{"x":` + x + `}]}`, expected: `"predictions":[{"y":` + x + `}]`, got: `{"predictions":[{"y":` + said + `}]}`}
	}
	both := golden{why: "hold-out", body: `{"instances":[{"x":1},{"x":2}]}`, expected: `"predictions":[{"y":1},{"y":2}]`, got: `{"predictions":[{"y":1},{"y":2}]}`}
	for said, want := range map[string]string{
		"1": "All 4 rows are what the pipeline answered. These are 2 different rows, sent alone and in bodies of up to 2.",
		"9": "1 of 4 rows are not what the pipeline answered. These are 2 different rows, sent alone and in bodies of up to 2.",
	} {
		cases := []golden{alone("1", said), alone("2", "2"), both}
		b := open(t, double, cases)
		b.Coverage = json.RawMessage(`{"rows":2}`)
		report, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", b, parity.All, func(int, int) {})
		must(t, err)
		if report.Summary != want {
			t.Errorf("got %q", report.Summary)
		}
	}
}

func TestReplayRepeatsTheCoverage(t *testing.T) {
	b := open(t, double, []golden{{why: "hold-out", body: `{"instances":[{"x":1}]}`, expected: `"predictions":[{"p":1}]`, got: `{"predictions":[{"p":1}]}`}})
	b.Coverage = json.RawMessage(`{"rows":1}`)
	cases := []golden{{body: `{"instances":[{"x":1}]}`, got: `{"predictions":[{"p":1}]}`}}
	report, err := parity.Replay(t.Context(), &server{t: t, cases: cases}, "/here", b, parity.All, func(int, int) {})
	must(t, err)
	if string(report.Coverage) != `{"rows":1}` {
		t.Errorf("the report's coverage is %s", report.Coverage)
	}
	travels(t, report)
}
