package parity_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/parity"
)

// record is one row of a request; a missing value is nil.
type record map[string]any

func (r record) x(name string) float64 {
	v, ok := r[name].(float64)
	if !ok {
		return math.NaN()
	}
	return v
}

func (r record) text(name string) string {
	v, _ := r[name].(string)
	return v
}

// model answers one row: numbers, text, or numbers by class.
type model func(record) record

// fake is a server of a model, which may be wrong about the order of rows.
type fake struct {
	t       *testing.T
	answer  model
	mix     bool // answers the rows of a request in reverse
	refuses func(record) bool
	rows    int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Instances []record }
	data, err := io.ReadAll(r.Body)
	must(f.t, err)
	must(f.t, json.Unmarshal(data, &body))
	f.rows += len(body.Instances)
	said := make([]record, len(body.Instances))
	for i, row := range body.Instances {
		if f.refuses != nil && f.refuses(row) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		said[i] = f.answer(row)
	}
	if f.mix {
		slices.Reverse(said)
	}
	must(f.t, json.NewEncoder(w).Encode(map[string]any{"predictions": said}))
}

const (
	numbers = `{"name":"a","type":"float64","missing":"allowed"},{"name":"b","type":"float64"},{"name":"c","type":"float64"}`
	town    = `{"name":"town","type":"string","domain":["Bonn","Celle","Emden","Kiel"],"unknown":"accept","missing":"refused"}`
	value   = `{"name":"y","kind":"value","type":"float64","tolerance":{"rel":1e-9,"abs":1e-12}}`
	label   = `{"name":"label","kind":"label","type":"string"}`
	chances = `{"name":"p","kind":"probabilities","type":"float64","classes":["no","yes"],"tolerance":{"rel":1e-9,"abs":1e-12}}`
)

var towns = []string{"Bonn", "Celle", "Emden", "Kiel"}

// rows are 160 rows of data and 40 on edges: missing a, unseen town, and b at
// or next to 10.
func sampleRows() (rows []record, why []string) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		r := record{
			"a": math.Round(random.NormFloat64()*400+2000) / 100, "b": math.Round(random.Float64()*200) / 10,
			"c": random.ExpFloat64()*3 + 1, "town": towns[random.IntN(len(towns))],
		}
		kind := "hold-out"
		if i >= 160 { // as an export makes them: a row of the data with one value changed
			r = maps.Clone(rows[i-160])
		}
		switch {
		case i >= 190:
			r["town"], kind = fmt.Sprintf("other %d", i), "unseen"
		case i >= 175:
			r["b"], kind = []float64{math.Nextafter(10, 0), 10, math.Nextafter(10, 20)}[i%3], "boundary"
		case i >= 160:
			r["a"], kind = nil, "missing"
		}
		rows, why = append(rows, r), append(why, kind)
	}
	return rows, why
}

// diagnosed replays what truth answers against a server of another model.
func diagnosed(t *testing.T, inputs, outputs string, truth model, server *fake, rows []record, why []string) *wire.Report {
	t.Helper()
	var cases []golden
	for start := 0; start < len(rows); start += 5 {
		end := min(start+5, len(rows))
		var said []record
		for _, r := range rows[start:end] {
			said = append(said, truth(r))
		}
		body, err := json.Marshal(map[string]any{"instances": rows[start:end]})
		must(t, err)
		expected, err := json.Marshal(said)
		must(t, err)
		cases = append(cases, golden{why: why[start], body: string(body), expected: `"predictions":` + string(expected)})
	}
	server.t = t
	var early *wire.Report
	report, err := parity.ExamineWithin(t.Context(), server, "/here", openInputs(t, inputs, outputs, cases), func(int, int) {}, func(r *wire.Report) { early = r }, time.Minute)
	must(t, err)
	travels(t, report)
	if report.Passed != (early == nil) {
		t.Errorf("passed %v, and told early of %v", report.Passed, early)
	}
	for _, c := range report.Causes {
		if c.Explains > c.Of || float64(c.Explains) < 0.9*float64(c.Of) || c.Detail == "" {
			t.Errorf("%+v", c)
		}
	}
	return report
}

// The formulas: a smooth one, a tree, and the chances of two classes.

func worth(name string) float64 {
	return map[string]float64{"Bonn": 10, "Celle": -4, "Emden": 25, "Kiel": 1}[name] // 0 for unseen ones
}

func impute(v, by float64) float64 {
	if v != v {
		return by
	}
	return v
}

func smooth(r record) float64 {
	return 3*impute(r.x("a"), 21) + 0.1*r.x("b")*r.x("b") - 5*r.x("c") + worth(r.text("town"))
}

func leafOf(r record) float64 {
	leaf := 0.0
	for i, turn := range []float64{10, 3, 14, 7, 17} {
		if r.x("b") <= turn {
			leaf += []float64{1, 20, 300, 5, 70}[i] * float64(int(impute(r.x("a"), 21))%7+1)
		}
		if r.x("c") <= turn/3 {
			leaf += 0.3 * float64(i+1)
		}
	}
	return leaf
}

// rarely needs the town in about half of the rows only, as a tree does.
func rarely(r record) float64 {
	if r.x("b") > 9 {
		return leafOf(r) + worth(r.text("town"))
	}
	return leafOf(r)
}

func y(f func(record) float64) model {
	return func(r record) record { return record{"y": number(f(r))} }
}

// number is a number as JSON has it.
func number(v float64) any {
	if v != v || math.IsInf(v, 0) {
		return nil
	}
	return v
}

func score(r record) float64 {
	return 0.3*(impute(r.x("a"), 21)-20) - 0.2*(r.x("b")-10) + 0.05*worth(r.text("town"))
}

func logistic(s float64) float64 { return 1 / (1 + math.Exp(-s)) }

// chance answers both classes, and the label by the score.
func chance(f func(record) float64) model {
	return func(r record) record {
		p := logistic(f(r))
		said := "no"
		if p > 0.5 {
			said = "yes"
		}
		return record{"label": said, "p": record{"no": 1 - p, "yes": p}}
	}
}

// edited is a model behind a mistake that changes its inputs.
func edited(m model, change func(record)) model {
	return func(r record) record {
		wrong := record{}
		maps.Copy(wrong, r)
		change(wrong)
		return m(wrong)
	}
}

// then is a model before a mistake that changes its answers.
func then(m model, change func(record) record) model {
	return func(r record) record { return change(m(r)) }
}

func set(name string, f func(float64) float64) func(record) {
	return func(r record) {
		if v, ok := r[name].(float64); ok {
			r[name] = f(v)
		}
	}
}

func swap(a, b string) func(record) { return func(r record) { r[a], r[b] = r[b], r[a] } }

func towned(change map[string]string, otherwise string) func(record) {
	return func(r record) {
		if to, ok := change[r.text("town")]; ok {
			r["town"] = to
		} else if otherwise != "" && !slices.Contains(towns, r.text("town")) {
			r["town"] = otherwise
		}
	}
}

func changed(f func(float64) float64) func(record) record {
	return func(said record) record { return record{"y": number(f(said["y"].(float64)))} }
}

func probabilities(f func(no, yes float64) (float64, float64)) func(record) record {
	return func(said record) record {
		p := said["p"].(record)
		no, yes := f(p["no"].(float64), p["yes"].(float64))
		return record{"label": said["label"], "p": record{"no": number(no), "yes": number(yes)}}
	}
}

var diagnoses = []struct {
	name, code, columns string
	truth, wrong        model
	mix                 bool
}{
	{name: "swapped", code: "columns-swapped", columns: "a b", truth: y(smooth), wrong: edited(y(smooth), func(r record) {
		if r["a"] != nil {
			swap("a", "b")(r)
		}
	})},
	{name: "first-and-last-swapped", code: "columns-swapped", columns: "a c", truth: y(leafOf), wrong: edited(y(leafOf), swap("a", "c"))},
	{name: "rotated", code: "columns-reordered", columns: "a b c", truth: y(leafOf), wrong: edited(y(leafOf), func(r record) {
		r["a"], r["b"], r["c"] = r["b"], r["c"], r["a"]
	})},
	{name: "unit", code: "column-unit", columns: "b", truth: y(leafOf), wrong: edited(y(leafOf), set("b", func(x float64) float64 { return x * 100 }))},
	{name: "unit-of-no-table", code: "column-unit", columns: "c", truth: y(smooth), wrong: edited(y(smooth), set("c", func(x float64) float64 { return x * 7.77 }))},
	{name: "fahrenheit", code: "column-unit", columns: "a", truth: chance(score), wrong: edited(chance(score), set("a", func(x float64) float64 { return x*1.8 + 32 }))},
	{name: "logarithm", code: "column-unit", columns: "c", truth: y(smooth), wrong: edited(y(smooth), set("c", math.Log))},
	{name: "twice", code: "column-scaled-twice", columns: "a", truth: y(smooth), wrong: edited(y(smooth), set("a", func(x float64) float64 { return (x - 20) / 4 }))},
	{name: "not-scaled", code: "column-not-scaled", columns: "a", truth: y(smooth), wrong: edited(y(smooth), set("a", func(x float64) float64 { return x*4 + 20 }))},
	{name: "shifted", code: "column-shifted", columns: "b", truth: y(smooth), wrong: edited(y(smooth), set("b", func(x float64) float64 { return x + 0.7 }))},
	{name: "scaled", code: "column-scaled", columns: "b", truth: y(smooth), wrong: edited(y(smooth), set("b", func(x float64) float64 { return 1.05*x + 0.7 }))},
	{name: "other-fold", code: "scaled-otherwise", columns: "a c", truth: y(smooth), wrong: edited(y(smooth), func(r record) {
		set("a", func(x float64) float64 { return x * 1.03 })(r)
		set("c", func(x float64) float64 { return x*0.97 + 0.1 })(r)
	})},
	{name: "ignored", code: "input-ignored", columns: "b", truth: y(leafOf), wrong: edited(y(leafOf), set("b", func(float64) float64 { return 5 }))},
	{name: "imputer-dropped", code: "imputer-dropped", columns: "a", truth: y(smooth), wrong: func(r record) record {
		if r["a"] == nil {
			return record{"y": nil}
		}
		return y(smooth)(r)
	}},
	{name: "imputer-of-another-fold", code: "imputed-otherwise", columns: "a", truth: y(smooth), wrong: func(r record) record {
		return edited(y(smooth), func(r record) { r["a"] = impute(r.x("a"), 19.37) })(r)
	}},
	{name: "missing-goes-elsewhere", code: "missing-differs", columns: "a", truth: func(r record) record {
		if r["a"] == nil {
			return record{"y": r.x("c") * r.x("c")}
		}
		return y(smooth)(r)
	}, wrong: y(smooth)},
	{name: "categories-exchanged", code: "categories-permuted", columns: "town", truth: y(smooth), wrong: edited(y(smooth), towned(map[string]string{"Bonn": "Emden", "Emden": "Bonn"}, ""))},
	{name: "categories-rolled", code: "categories-permuted", columns: "town", truth: y(smooth), wrong: edited(y(smooth), towned(map[string]string{"Bonn": "Celle", "Celle": "Emden", "Emden": "Kiel", "Kiel": "Bonn"}, ""))},
	{name: "category-lost", code: "category-lost", columns: "town", truth: y(smooth), wrong: edited(y(smooth), towned(map[string]string{"Emden": "?"}, ""))},
	{name: "category-lost-where-few-rows-tell", code: "category-lost", columns: "town", truth: y(rarely), wrong: edited(y(rarely), towned(map[string]string{"Emden": "?"}, ""))},
	{name: "unseen-known", code: "unseen-as-category", columns: "town", truth: y(smooth), wrong: edited(y(smooth), towned(nil, "Bonn"))},
	{name: "category-differs", code: "category-differs", columns: "town", truth: y(smooth), wrong: func(r record) record {
		if r.text("town") == "Kiel" {
			return record{"y": r.x("c") * r.x("b")}
		}
		return y(smooth)(r)
	}},
	{name: "towns-are-all-one", code: "input-ignored", columns: "town", truth: func(r record) record {
		if r.text("town") == "Kiel" && r.x("c") > 2 {
			return record{"y": r.x("c") * r.x("b")}
		}
		return y(leafOf)(r)
	}, wrong: y(leafOf)},
	{name: "less", code: "less-or-equal", truth: y(leafOf), wrong: edited(y(leafOf), set("b", func(x float64) float64 { return math.Nextafter(x, 99) }))},
	{name: "float32", code: "rounded-to-float32", truth: y(leafOf), wrong: edited(y(leafOf), set("b", func(x float64) float64 { return float64(float32((x-3.3)/7.7))*7.7 + 3.3 }))},
	{name: "labels", code: "labels-permuted", truth: chance(score), wrong: then(chance(score), func(said record) record {
		return record{"label": map[string]string{"no": "yes", "yes": "no"}[said["label"].(string)], "p": said["p"]}
	})},
	{name: "label-by-another-threshold", code: "label-not-likeliest", truth: chance(score), wrong: then(chance(score), func(said record) record {
		if said["p"].(record)["yes"].(float64) > 0.2 {
			return record{"label": "yes", "p": said["p"]}
		}
		return said
	})},
	{name: "complement", code: "classes-permuted", truth: chance(score), wrong: then(chance(score), probabilities(func(no, yes float64) (float64, float64) { return yes, no }))},
	{name: "logits", code: "link-missing", truth: chance(score), wrong: then(chance(score), probabilities(func(no, yes float64) (float64, float64) {
		s := math.Log(yes / no)
		return 1 - s, s
	}))},
	{name: "softmax-twice", code: "link-twice", truth: chance(score), wrong: then(chance(score), probabilities(func(no, yes float64) (float64, float64) {
		return logistic(no - yes), logistic(yes - no)
	}))},
	{name: "log-target", code: "target-not-inverted", truth: y(func(r record) float64 { return math.Exp(smooth(r) / 50) }), wrong: y(func(r record) float64 { return smooth(r) / 50 })},
	{name: "intercept", code: "output-shifted", truth: y(smooth), wrong: then(y(smooth), changed(func(v float64) float64 { return v - 12 }))},
	{name: "intercept-of-log-odds", code: "output-shifted", truth: chance(score), wrong: chance(func(r record) float64 { return score(r) - 1.5 })},
	{name: "standardised-target", code: "output-scaled", truth: y(smooth), wrong: then(y(smooth), changed(func(v float64) float64 { return (v - 60) / 12 }))},
	{name: "temperature", code: "output-scaled", truth: chance(score), wrong: chance(func(r record) float64 { return 2 * score(r) })},
	{name: "rounded", code: "output-rounded", truth: y(smooth), wrong: then(y(smooth), changed(func(v float64) float64 { return math.RoundToEven(v*100) / 100 }))},
	{name: "single", code: "output-rounded", truth: y(smooth), wrong: then(y(smooth), changed(func(v float64) float64 { return float64(float32(v)) }))},
	{name: "tree", code: "tree-lost", truth: y(smooth), wrong: y(func(r record) float64 {
		return smooth(r) + []float64{3, -1, 0.7, 9}[uint(math.Abs(r.x("b")*7.3+r.x("c")*13))%4]
	})},
	{name: "mixed", code: "rows-mixed", truth: y(smooth), wrong: y(smooth), mix: true},
}

func TestAMistakeIsNamed(t *testing.T) {
	rows, why := sampleRows()
	for _, d := range diagnoses {
		t.Run(d.name, func(t *testing.T) {
			outputs := value
			if _, ok := d.truth(rows[0])["label"]; ok {
				outputs = label + "," + chances
			}
			server := &fake{answer: d.wrong, mix: d.mix}
			report := diagnosed(t, numbers+","+town, outputs, d.truth, server, rows, why)
			if report.Passed || len(report.Causes) == 0 {
				t.Fatalf("%s No cause.", report.Summary)
			}
			best := report.Causes[0]
			if best.Code != d.code || d.columns != "" && strings.Join(best.Columns, " ") != d.columns {
				t.Errorf("%+v", report.Causes)
			}
			if d.code == "columns-swapped" && len(report.Causes) > 1 {
				t.Errorf("of three columns in reverse two are swapped, which is told once: %+v", report.Causes)
			}
			if asked := server.rows - len(rows); asked > 13_000 {
				t.Errorf("%d rows were asked for", asked)
			}
		})
	}
}

// The page of codes is closed: each of it is found by a test, and no other.
func TestTheListOfCodesIsClosed(t *testing.T) {
	page, err := os.ReadFile("../../docs/parity.md")
	must(t, err)
	documented, found := map[string]bool{}, map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented[match[1]] = true
	}
	for _, d := range diagnoses {
		found[d.code] = true
	}
	if !maps.Equal(documented, found) {
		t.Errorf("docs/parity.md has %v, the tests have %v", documented, found)
	}
}

// A wrong answer without a pattern has no name, however many rows differ.
func TestNoFalseCause(t *testing.T) {
	rows, why := sampleRows()
	rare := func(r record) float64 { // 0 for nine rows of ten
		h := math.Sin(math.Round(r.x("c")*5)) * 1e4
		return max(h-math.Floor(h)-0.9, 0)
	}
	noise := func(r record) float64 { // another number for each row, the same for the same
		h := math.Sin(r.x("b")*1000+r.x("c")*777+float64(len(r.text("town")))) * 1e4
		return h - math.Floor(h) - 0.5
	}
	for name, d := range map[string]struct {
		outputs      string
		truth, wrong model
	}{
		"noise":            {value, y(smooth), y(func(r record) float64 { return smooth(r) + noise(r) })},
		"a-little-noise":   {value, y(smooth), y(func(r record) float64 { return smooth(r) * (1 + 1e-6*noise(r)) })},
		"one-row-in-ten":   {value, y(smooth), y(func(r record) float64 { return smooth(r) + rare(r)*r.x("a")*r.x("b") })},
		"another-model":    {value, y(smooth), y(func(r record) float64 { return leafOf(r) * smooth(r) })},
		"leaves-at-random": {value, y(leafOf), y(func(r record) float64 { return leafOf(r) + noise(r) })},
		"random-chances":   {label + "," + chances, chance(score), chance(func(r record) float64 { return score(r) + 3*noise(r) })},
		"random-labels": {
			label, func(r record) record { return record{"label": chance(score)(r)["label"]} },
			func(r record) record { return record{"label": chance(noise)(r)["label"]} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			report := diagnosed(t, numbers+","+town, d.outputs, d.truth, &fake{answer: d.wrong}, rows, why)
			if report.Passed || len(report.Causes) > 0 {
				t.Errorf("passed %v: %+v", report.Passed, report.Causes)
			}
		})
	}
}

func TestRightAnswersHaveNoCauses(t *testing.T) {
	rows, why := sampleRows()
	server := &fake{answer: y(smooth)}
	report := diagnosed(t, numbers+","+town, value, y(smooth), server, rows, why)
	if !report.Passed || report.Causes != nil || server.rows != len(rows) {
		t.Errorf("%+v, %d rows were asked for", report, server.rows)
	}
}

// Neighbours are tried first, so that a wide frame's are found within the bounds.
func TestWideFramesAreSearchedWithinBounds(t *testing.T) {
	const width = 150
	wide := func(list []any) (sum float64) {
		for i, v := range list {
			sum += math.Sin(float64(i)) * v.(float64)
		}
		return sum
	}
	random := rand.New(rand.NewPCG(3, 4))
	var rows []record
	var why []string
	for range 60 {
		x := make([]any, width)
		for i := range x {
			x[i] = random.NormFloat64()
		}
		rows, why = append(rows, record{"x": x}), append(why, "hold-out")
	}
	truth := func(r record) record { return record{"y": wide(r["x"].([]any))} }
	wrong := func(r record) record {
		x := slices.Clone(r["x"].([]any))
		x[100], x[101] = x[101], x[100]
		return record{"y": wide(x)}
	}
	server := &fake{answer: wrong}
	report := diagnosed(t, fmt.Sprintf(`{"name":"x","type":"float64","shape":[%d]}`, width), value, truth, server, rows, why)
	if len(report.Causes) == 0 || report.Causes[0].Code != "columns-swapped" || !slices.Equal(report.Causes[0].Columns, []string{"x[100]", "x[101]"}) {
		t.Errorf("%+v", report.Causes)
	}
	if asked := server.rows - len(rows); asked > 13_000 {
		t.Errorf("%d rows were asked for", asked)
	}
}

// A server that refuses some edited rows is asked for the others.
func TestRefusedEditsAreLeftOut(t *testing.T) {
	rows, why := sampleRows()
	wrong := edited(y(smooth), set("b", func(x float64) float64 { return x / 1000 }))
	server := &fake{answer: wrong, refuses: func(r record) bool { return r.x("a") < 0 || !slices.Contains(towns, r.text("town")) }}
	report := diagnosed(t, numbers+","+town, value, y(smooth), server, rows[:160], why[:160])
	if len(report.Causes) == 0 || report.Causes[0].Code != "column-unit" {
		t.Errorf("%+v", report.Causes)
	}
}
