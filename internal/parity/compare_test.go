package parity_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
)

// The outputs of the tests, as a signature says them.
const (
	stringLabel   = `{"name":"y","kind":"label","type":"string"}`
	intLabel      = `{"name":"y","kind":"label","type":"int64"}`
	boolLabel     = `{"name":"y","kind":"label","type":"bool"}`
	floatLabel    = `{"name":"y","kind":"label","type":"float64"}`
	count         = `{"name":"y","kind":"value","type":"uint64"}`
	text          = `{"name":"y","kind":"value","type":"string"}`
	double        = `{"name":"y","kind":"value","type":"float64"}`
	single        = `{"name":"y","kind":"value","type":"float32"}`
	half          = `{"name":"y","kind":"value","type":"float16"}`
	doubles       = `{"name":"y","kind":"probabilities","type":"float64","classes":["a","b"]}`
	singles       = `{"name":"y","kind":"probabilities","type":"float32","classes":["a","b"]}`
	declaredBoth  = `{"name":"y","kind":"value","type":"float64","tolerance":{"rel":0.1,"abs":0.01}}`
	declaredNone  = `{"name":"y","kind":"value","type":"float64","tolerance":{"rel":0,"abs":0}}`
	declaredMost  = `{"name":"y","kind":"value","type":"float64","tolerance":{"rel":0.1,"abs":0.1}}`
	declaredLabel = `{"name":"y","kind":"label","type":"int64","tolerance":{"rel":0.1,"abs":0}}`
)

// TestOneRow has a line for every rule on one value. All of them are alone in
// their golden set, so the scale is the value itself.
func TestOneRow(t *testing.T) {
	const passes, fails = true, false
	for _, c := range []struct {
		output, expected, got string
		pass                  bool
	}{
		// Labels are equal, and of one type.
		{stringLabel, `"1"`, `"1"`, passes},
		{stringLabel, `"1"`, `1`, fails},
		{stringLabel, `"true"`, `true`, fails},
		{stringLabel, `"a"`, `"A"`, fails},
		{stringLabel, `"é"`, `"\u00e9"`, passes},
		{stringLabel, `"a"`, `null`, fails},
		{stringLabel, `null`, `null`, passes},
		{stringLabel, `null`, `""`, fails},
		{stringLabel, `"NaN"`, `null`, fails},
		{intLabel, `1`, `1`, passes},
		{intLabel, `1`, `"1"`, fails},
		{intLabel, `"1"`, `1`, fails},
		{intLabel, `1`, `true`, fails},
		{intLabel, `1`, `1.0`, passes}, // one number, as an integer
		{intLabel, `1e3`, `1000`, passes},
		{intLabel, `1`, `1.5`, fails},
		{intLabel, `1`, `-1`, fails},
		{intLabel, `9007199254740993`, `9007199254740992`, fails}, // equal as floats
		{intLabel, `9007199254740993.0`, `9007199254740993`, passes},
		{count, `18446744073709551615`, `18446744073709551615`, passes},
		{count, `18446744073709551615`, `18446744073709551614`, fails},
		{boolLabel, `true`, `true`, passes},
		{boolLabel, `true`, `false`, fails},
		{boolLabel, `true`, `1`, fails},
		{boolLabel, `true`, `"true"`, fails},
		{floatLabel, `1`, `1.0`, passes},
		{floatLabel, `1`, `1.0000000000000002`, fails},
		{floatLabel, `null`, `null`, passes},
		{floatLabel, `null`, `0`, fails},
		{text, `"a"`, `"a"`, passes},
		{text, `"a"`, `"b"`, fails},

		// float64: rel 1e-9 and abs 1e-12, twice of the value where it is alone.
		{double, `1`, `1.000000001`, passes},
		{double, `1`, `1.000000002`, fails},
		{double, `-1`, `-1.000000001`, passes},
		{double, `-1`, `1`, fails},
		{double, `1e300`, `1.000000001e300`, passes},
		{double, `0`, `1e-12`, passes}, // the scale is 1 where all is 0
		{double, `0`, `1.1e-12`, fails},
		{double, `0`, `-0.0`, passes},
		{double, `1`, `"1"`, fails},
		{double, `1`, `true`, fails},
		{double, `1e308`, `-1e308`, fails},

		// What is no number.
		{double, `null`, `null`, passes},
		{double, `"NaN"`, `null`, passes},
		{double, `null`, `0`, fails},
		{double, `0`, `null`, fails},
		{double, `"Infinity"`, `"Infinity"`, passes},
		{double, `"-Infinity"`, `"-Infinity"`, passes},
		{double, `"Infinity"`, `"-Infinity"`, fails},
		{double, `"Infinity"`, `1.7e308`, fails},
		{double, `1.7e308`, `"Infinity"`, fails},
		{double, `"Infinity"`, `null`, fails},
		{double, `null`, `"Infinity"`, fails},
		{double, `"Infinity"`, `5`, fails},
		{double, `"infinity"`, `"infinity"`, fails},
		{doubles, `{"a":"Infinity","b":0}`, `{"a":5,"b":0}`, fails},
		{singles, `{"a":"Infinity","b":0}`, `{"a":5,"b":0}`, fails}, // rel 0 times infinity
		{singles, `{"a":null,"b":0}`, `{"a":5,"b":0}`, fails},

		// float32: rel 1e-4 and abs 1e-5; read as float32 first.
		{single, `1`, `1.0001`, passes},
		{single, `1`, `1.0002`, fails},
		{single, `0.1`, `0.10000000149011612`, passes},
		{single, `0`, `1e-5`, passes},
		{single, `0`, `2e-5`, fails},
		{single, `"Infinity"`, `1e39`, passes}, // which is infinite as a float32
		{half, `1`, `1.0001`, passes},
		{half, `0.1`, `0.0999755859375`, passes}, // one number in half precision
		{half, `65504`, `70000`, fails},

		// Probabilities, by class.
		{singles, `{"a":0.25,"b":0.75}`, `{"b":0.75,"a":0.25}`, passes},
		{singles, `{"a":0.25,"b":0.75}`, `{"a":0.250007,"b":0.749993}`, passes}, // abs 1e-5 of 0.75
		{singles, `{"a":0.25,"b":0.75}`, `{"a":0.25001,"b":0.74999}`, fails},
		{singles, `{"a":0.25,"b":0.75}`, `{"a":0.75,"b":0.25}`, fails},
		{singles, `{"a":0.25,"b":0.75}`, `{"a":0.25}`, fails},
		{singles, `{"a":0.25,"b":0.75}`, `{"a":0.25,"b":0.75,"c":0}`, fails},
		{singles, `{"a":0.25,"b":0.75}`, `{"a":0.25,"c":0.75}`, fails},
		{singles, `{"a":0.25,"b":0.75}`, `[0.25,0.75]`, fails},
		{doubles, `{"a":0.25,"b":0.75}`, `{"a":0.2500000001,"b":0.75}`, passes},
		{doubles, `{"a":0.25,"b":0.75}`, `{"a":0.250000001,"b":0.75}`, fails},

		// Nested values.
		{double, `[[1,2],[3,4]]`, `[[1,2],[3,4]]`, passes},
		{double, `[[1,2],[3,4]]`, `[[1,2],[4,3]]`, fails},
		{double, `[[1,2],[3,4]]`, `[1,2,3,4]`, fails},
		{double, `[1,2]`, `[1,2,3]`, fails},
		{double, `[1,2]`, `[1]`, fails},
		{double, `[1,2]`, `1`, fails},
		{double, `1`, `[1]`, fails},
		{double, `[]`, `[]`, passes},
		{double, `[1,null]`, `[1,null]`, passes},
		{stringLabel, `["a","b"]`, `["a","b"]`, passes},
		{stringLabel, `["a","b"]`, `["b","a"]`, fails},

		// What the signature declares is held in place of the default.
		{declaredBoth, `1`, `1.1`, passes},
		{declaredBoth, `1`, `1.12`, fails},
		{declaredNone, `1`, `1`, passes},
		{declaredNone, `1`, `1.0000000000000002`, fails},
		{declaredNone, `"NaN"`, `null`, passes},
		{declaredNone, `"Infinity"`, `"Infinity"`, passes},
		{declaredLabel, `10`, `11`, passes},
		{declaredLabel, `10`, `12`, fails},
		{declaredMost, `1.7e308`, `1.4e308`, passes},
		{declaredMost, `1.7e308`, `1.3e308`, fails},
		{declaredMost, `1.7e308`, `"Infinity"`, fails},
	} {
		report := replay(t, c.output, row(c.expected, c.got))
		if report.Passed != c.pass || (report.FailedRows == 0) != c.pass || (report.Outputs[0].Failed == 0) != c.pass || (len(report.Worst) == 0) != c.pass {
			t.Errorf("%s\n%s and %s: %+v", c.output, c.expected, c.got, report)
		}
		if !c.pass && report.Worst[0].Detail == "" {
			t.Errorf("%s and %s: no words", c.expected, c.got)
		}
	}
}

// TestRuleIsShown: the report says which rule an output was held to.
func TestRuleIsShown(t *testing.T) {
	for output, want := range map[string]string{
		stringLabel:   "{Exact:true Rel:0 Abs:0 Declared:false}",
		count:         "{Exact:true Rel:0 Abs:0 Declared:false}",
		text:          "{Exact:true Rel:0 Abs:0 Declared:false}",
		double:        "{Exact:false Rel:1e-09 Abs:1e-12 Declared:false}",
		doubles:       "{Exact:false Rel:1e-09 Abs:1e-12 Declared:false}",
		single:        "{Exact:false Rel:0.0001 Abs:1e-05 Declared:false}",
		half:          "{Exact:false Rel:0.0001 Abs:1e-05 Declared:false}",
		singles:       "{Exact:false Rel:0 Abs:1e-05 Declared:false}",
		declaredBoth:  "{Exact:false Rel:0.1 Abs:0.01 Declared:true}",
		declaredNone:  "{Exact:true Rel:0 Abs:0 Declared:true}",
		declaredLabel: "{Exact:false Rel:0.1 Abs:0 Declared:true}",
	} {
		used := replay(t, output, row("1", "1")).Outputs[0].Tolerance
		got := fmt.Sprintf("{Exact:%v Rel:%v Abs:%v Declared:%v}", used.Exact, used.Rel, used.Abs, used.Declared)
		if got != want {
			t.Errorf("%s: %s, want %s", output, got, want)
		}
	}
}

// TestScale: what abs allows grows with the largest finite number of the
// output in all rows of the data, wherever that stands.
func TestScale(t *testing.T) {
	const output = `{"name":"y","kind":"value","type":"float64","tolerance":{"abs":0.01}}`
	off := row("1", "1.5")
	for name, c := range map[string]struct {
		cases []golden
		scale float64
		pass  bool
	}{
		"alone":        {[]golden{off}, 1, false},
		"behind":       {[]golden{off, row("-100", "-100")}, 100, true},
		"before":       {[]golden{row("100", "100"), off}, 100, true},
		"nested":       {[]golden{off, row(`[[0,-100]]`, `[[0,-100]]`)}, 100, true},
		"infinite":     {[]golden{off, row(`"-Infinity"`, `"-Infinity"`)}, 1, false},
		"missing":      {[]golden{off, row(`null`, `null`)}, 1, false},
		"got, not b":   {[]golden{off, row("2", "2.01"), row("1", "100")}, 2, false},
		"all are zero": {[]golden{row("0", "0.01")}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			report := replay(t, output, c.cases...)
			if o := report.Outputs[0]; report.Passed != c.pass || o.Scale != c.scale {
				t.Errorf("passed %v with the scale %v, want %v and %v", report.Passed, o.Scale, c.pass, c.scale)
			}
		})
	}
}

// TestScaleOfMadeUpRows: a made-up row is held by its own size where it is
// larger than the data, and never blunts the comparison of another row.
func TestScaleOfMadeUpRows(t *testing.T) {
	const output = `{"name":"y","kind":"value","type":"float64","tolerance":{"abs":0.01}}`
	made := func(expected, got string) golden {
		c := row(expected, got)
		c.why = "extreme"
		return c
	}
	huge := made("1e300", "1e300")
	for name, c := range map[string]struct {
		cases []golden
		scale float64
		pass  bool
	}{
		"a row of the data beside a huge one":     {[]golden{row("1", "1.5"), huge}, 1, false},
		"a made-up row beside a huge one":         {[]golden{row("1", "1"), made("1", "1.5"), huge}, 1, false},
		"a made-up row, of the data's size":       {[]golden{row("100", "100"), made("1", "1.5"), huge}, 100, true},
		"a larger one, by its own size":           {[]golden{row("1", "1"), made("100", "101")}, 1, true},
		"a larger one that is off":                {[]golden{row("1", "1"), made("100", "102")}, 1, false},
		"a row of several numbers, by its size":   {[]golden{row("[1,1]", "[1,1]"), made("[100,0]", "[100,1]")}, 1, true},
		"the data is zero":                        {[]golden{row("0", "0"), huge}, 1, true},
		"without any data the made-up ones count": {[]golden{made("1", "1.5"), made("100", "100")}, 100, true},
	} {
		t.Run(name, func(t *testing.T) {
			report := replay(t, output, c.cases...)
			if o := report.Outputs[0]; report.Passed != c.pass || o.Scale != c.scale {
				t.Errorf("passed %v with the scale %v, want %v and %v", report.Passed, o.Scale, c.pass, c.scale)
			}
		})
	}
}

// TestDistances: the largest distance is reported with what was allowed there,
// also where everything passes.
func TestDistances(t *testing.T) {
	report := replay(t, declaredBoth, row("10", "10.5"), row("100", "100.25"), row("1", "1"), row(`"Infinity"`, `"Infinity"`))
	if o := report.Outputs[0]; !report.Passed || o.Worst != 0.5 || o.Allowed != 0.01*100+0.1*10 || o.Values != 4 {
		t.Errorf("%+v", o)
	}
	report = replay(t, double, row("1", `"Infinity"`))
	if w := report.Worst[0]; w.Distance != math.MaxFloat64 || report.Outputs[0].Worst != 0 {
		t.Errorf("%+v, %+v", w, report.Outputs[0])
	}
}

// TestLoosened: what is looser than the rule of networks is said wherever the
// verdict is, and only where there is a verdict that it led to.
func TestLoosened(t *testing.T) {
	output := func(rule string) string {
		return `{"name":"y","kind":"value","type":"float64","tolerance":` + rule + `}`
	}
	for rule, want := range map[string]string{
		`{"rel":1e-4,"abs":1e-5}`: "",
		`{"rel":0,"abs":0}`:       "",
		`{"rel":1e-3}`:            "rel 0.001, abs 0",
		`{"abs":2e-5}`:            "rel 0, abs 2e-05",
		`{"agreement":0.99}`:      "agreement ≥ 99 %",
		`{"cosine":0.99999}`:      "",
		`{"cosine":0.999}`:        "cosine ≥ 0.999",
	} {
		report := replay(t, output(rule), row("1", "1"), row("2", "2"))
		if !report.Passed || report.Loosened != want || strings.Contains(report.Summary, "loosened") != (want != "") {
			t.Errorf("%s: %q, %s", rule, report.Loosened, report.Summary)
		}
	}
	if report := replay(t, output(`{"rel":1e-3}`), row("1", "2")); report.Passed || report.Loosened != "" {
		t.Errorf("a failed one: %q", report.Loosened)
	}
	var many, said []string
	for i, rel := range []float64{1e-9, 0.01, 0.01, 0.02, 0.03, 0.04, 0.05} {
		many = append(many, fmt.Sprintf(`{"name":"y%d","kind":"value","type":"float64","tolerance":{"rel":%g}}`, i, rel))
		said = append(said, fmt.Sprintf(`"y%d":1`, i))
	}
	answer := `"predictions":[{` + strings.Join(said, ",") + `}]`
	report := replay(t, strings.Join(many, ","), golden{why: "hold-out", body: `{"instances":[{"x":1}]}`, expected: answer, got: `{` + answer + `}`})
	if report.Loosened != "rel 0.01, abs 0; rel 0.02, abs 0; rel 0.03, abs 0; 2 more" {
		t.Error(report.Loosened)
	}
}

func TestAgreement(t *testing.T) {
	const labels = `{"name":"y","kind":"label","type":"int64","tolerance":{"agreement":0.75}}`
	const classes = `{"name":"y","kind":"probabilities","type":"float32","classes":["a","b"],"tolerance":{"agreement":0.75}}`
	right, wrong := row("1", "1.0"), row("1", "2")
	alike, flipped := row(`{"a":0.4,"b":0.6}`, `{"b":0.9,"a":0.1}`), row(`{"a":0.4,"b":0.6}`, `{"a":0.6,"b":0.4}`)
	unlike := row(`{"a":0.4,"b":0.6}`, `{"b":0.6}`)
	refused := golden{why: "hold-out", body: right.body, expected: right.expected, status: 400}
	for name, c := range map[string]struct {
		output string
		cases  []golden
		share  float64
		pass   bool
	}{
		"all":              {labels, []golden{right, right}, 1, true},
		"just enough":      {labels, []golden{right, wrong, right, right}, 0.75, true},
		"too few":          {labels, []golden{right, wrong, right, wrong}, 0.5, false},
		"none":             {labels, []golden{wrong}, 0, false},
		"likeliest":        {classes, []golden{alike, alike}, 1, true},
		"likeliest, few":   {classes, []golden{alike, flipped}, 0.5, false},
		"other classes":    {classes, []golden{alike, unlike}, 0.5, false},
		"refused are rows": {labels, []golden{right, refused}, 0.5, false},
		"no number at all": {classes, []golden{row(`{"a":null,"b":null}`, `{"a":0,"b":1}`)}, 0, false},
		"another type":     {labels, []golden{row("1", `"1"`)}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			report := replay(t, c.output, c.cases...)
			o := report.Outputs[0]
			if report.Passed != c.pass || o.Agreement == nil || *o.Agreement != c.share {
				t.Errorf("%+v", report)
			}
			if (len(report.Worst) > 0) == c.pass {
				t.Errorf("the rows that differ are %+v", report.Worst)
			}
			if said := strings.Contains(report.Summary, "All "); c.pass && said != (c.share == 1) {
				t.Errorf("%q", report.Summary)
			}
			if c.pass != (o.Failed == 0) {
				t.Errorf("%d rows failed", o.Failed)
			}
		})
	}
	edge := golden{why: "boundary", body: wrong.body, expected: wrong.expected, got: wrong.got}
	told := replay(t, labels, right, wrong, right, right, edge, edge)
	if o := told.Outputs[0]; !told.Passed || *o.Agreement != 0.75 || *o.MadeUp != (wire.MadeUp{Rows: 2}) ||
		told.Summary != "Within the agreement asked for: y agrees on 75.00% of 4 rows, and 75.00% are asked for; of 2 rows made up to sit on edges, which do not count, 0 agree." {
		t.Errorf("made-up rows are told beside the share: %+v", told)
	}
	if told = replay(t, labels, edge, edge); told.Passed || told.Outputs[0].MadeUp != nil {
		t.Errorf("made-up rows alone are what there is to count: %+v", told)
	}
	report := replay(t, labels, wrong, right)
	if w := report.Worst[0]; w.Detail != "expected 1, got 2" || string(w.Input) != `{"x":1}` || !strings.Contains(report.Summary, "50.00%") {
		t.Errorf("%q: %+v", report.Summary, w)
	}
}

func TestCosine(t *testing.T) {
	const output = `{"name":"y","kind":"value","type":"float64","tolerance":{"cosine":0.99}}`
	for _, c := range []struct {
		expected, got string
		pass          bool
	}{
		{`[1,0]`, `[2,0]`, true}, // only the direction counts
		{`[1,0]`, `[10,1]`, true},
		{`[1,0]`, `[1,1]`, false},
		{`[1,0]`, `[-1,0]`, false},
		{`[0,0]`, `[0,0]`, true},
		{`[0,0]`, `[0,1e-300]`, false},
		{`[1,0]`, `[0,0]`, false},
		{`[1,0]`, `[1,null]`, false},
		{`[1,null]`, `[1,null]`, false},
		{`[1,0]`, `["Infinity",0]`, false},
		{`[1e200,0]`, `[1e200,0]`, true}, // whose squares are infinite
		{`[1e-200,0]`, `[-1e-200,0]`, false},
		{`[1e-200,0]`, `[1e-200,0]`, true},
		{`[1,0]`, `[1,0,0]`, false},
		{`[1,0]`, `[1]`, false},
		{`[1,0]`, `["1",0]`, false},
		{`[[1],[0]]`, `[[2],[0]]`, true},
		{`[[1],[0]]`, `[2,0]`, false},
	} {
		report := replay(t, output, row(c.expected, c.got))
		if report.Passed != c.pass {
			t.Errorf("%s and %s: %+v", c.expected, c.got, report)
		}
	}
	report := replay(t, output, row(`[1,0]`, `[1,1]`), row(`[1,0]`, `[1,null]`), row(`[1,0]`, `[20,1]`))
	if o := report.Outputs[0]; math.Abs(o.Worst-(1-1/math.Sqrt2)) > 1e-12 || math.Abs(o.Allowed-0.01) > 1e-12 || o.Failed != 2 {
		t.Errorf("%+v", o)
	}
}
