package transform_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/internal/transform"
)

// changes writes a diff: a line each, those that break callers marked with !.
func changes(old, next *transform.Plan) string {
	var lines []string
	for _, c := range transform.Compatible(old, next) {
		mark := " "
		if c.Breaks {
			mark = "!"
		}
		lines = append(lines, mark+c.String())
	}
	return strings.Join(lines, "\n")
}

// version is a model of two columns, a label and its probabilities, parts of
// which a test puts others in place of.
type version struct{ age, sex, more, outputs, graph string }

func (v version) compile(t *testing.T) *transform.Plan {
	t.Helper()
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	columns := or(v.age, `{"name":"age","type":"float64","feed":"a"}`) + "," + or(v.sex, `{"name":"sex","type":"string","feed":"b"}`) + v.more
	outputs := or(v.outputs, `{"name":"label","kind":"label","from":"l","type":"string"},`+
		`{"name":"probabilities","kind":"probabilities","from":"p","type":"float64","classes":["x","y"]}`)
	return compile(t, signature(t, columns, outputs), graph(or(v.graph, "a float64[N,1]; b string[N,1]")+" -> l string[N]; p float64[N,2]; v float64[N]; w float64[N,3]; n int64[N]"))
}

func TestChangesOfSignatures(t *testing.T) {
	const (
		sexOpen   = `{"name":"sex","type":"string","feed":"b","domain":["f","m"],"unknown":"accept"}`
		sexClosed = `{"name":"sex","type":"string","feed":"b","domain":["f","m"],"unknown":"refuse"}`
		sexWider  = `{"name":"sex","type":"string","feed":"b","domain":["f","m","d"],"unknown":"refuse"}`
		sexGap    = `{"name":"sex","type":"string","feed":"b","missing":"allowed","sentinel":"\ue000"}`
		sexWord   = `{"name":"sex","type":"string","feed":"b","missing":"allowed","sentinel":"none"}`
		ageGap    = `{"name":"age","type":"float64","feed":"a","missing":"allowed"}`
		value     = `{"name":"label","kind":"value","from":"l","type":"string"}`
		score     = `{"name":"score","kind":"value","from":"v"}`
		whole     = `{"name":"score","kind":"value","from":"n"}`
		vector    = `{"name":"score","kind":"value","from":"w","shape":[3]}`
		open      = `{"name":"score","kind":"value","from":"w","shape":[-1]}`
		classes   = `{"name":"p","kind":"probabilities","from":"p","classes":["x","y"]}`
	)
	age := func(typ string) version {
		return version{age: `{"name":"age","type":"` + typ + `","feed":"a"}`, graph: "a " + typ + "[N,1]; b string[N,1]"}
	}
	ints := func(typ, more string) version {
		return version{age: `{"name":"age","type":"` + typ + `","feed":"a",` + more + `}`, graph: "a " + typ + "[N,1]; b string[N,1]"}
	}
	limited := func(more string) version { return ints("float64", more) }
	years := func(list string) string {
		return `{"name":"age","type":"float64","feed":"a","domain":[` + list + `],"unknown":"refuse"}`
	}
	tests := []struct {
		name      string
		old, next version
		want      string
	}{
		{"nothing", version{}, version{}, ""},
		{"other feeds and names inside", version{}, version{
			age: `{"name":"age","type":"float64","feed":"c","description":"in years"}`, graph: "c float64[N,1]; b string[N]",
		}, ""},
		{"a column is gone", version{}, version{
			sex: `{"name":"years (total)","type":"float64","feed":"b"}`, graph: "a float64[N,1]; b float64[N,1]",
		}, "!- inputs.sex: the column is gone, and requests that send it are refused\n" +
			`!+ inputs["years (total)"]: the column is new, and requests without it are refused`},
		{"a column that may be missing is new", version{}, version{
			more: `,{"name":"c","type":"float64","missing":"allowed"}`, graph: "a float64[N,1]; b string[N,1]; c float64[N,1]",
		}, "!+ inputs.c: the column is new, and requests without it are refused"},
		{"fractions are refused", age("float32"), age("int64"), "!~ inputs.age: is int64 now, was float32: numbers with a fraction are refused"},
		{"whole numbers widen", age("int32"), age("int64"), " ~ inputs.age: is int64 now, was int32"},
		{"whole numbers become floats", age("int64"), age("float64"), " ~ inputs.age: is float64 now, was int64"},
		{"fewer whole numbers", age("int64"), age("int32"), "!~ inputs.age: is int32 now, was int64: larger numbers are refused"},
		{"without a sign", age("int8"), age("uint64"), "!~ inputs.age: is uint64 now, was int8: larger numbers are refused"},
		{"rounded", age("float64"), age("float32"), " ~ inputs.age: is float32 now, was float64"},
		{"half a float", age("float32"), age("float16"), "!~ inputs.age: is float16 now, was float32: larger numbers are refused"},
		{"a bool", age("bool"), age("int8"), "!~ inputs.age: is int8 now, was bool: a request must send numbers"},
		{"text", version{}, version{
			age: `{"name":"age","type":"string","feed":"a"}`, graph: "a string[N,1]; b string[N,1]",
		}, "!~ inputs.age: is string now, was float64: a request must send strings"},
		{"gaps are refused", version{age: ageGap}, version{}, "!~ inputs.age: missing values are refused now"},
		{"gaps are allowed", version{}, version{age: ageGap}, " ~ inputs.age: missing values are allowed now"},
		{
			"another word for a gap",
			version{sex: sexGap},
			version{sex: sexWord},
			`!~ inputs.sex: the text "none" stands for a missing value now, and is refused`,
		},
		{"a gap that nobody writes", version{}, version{sex: sexGap}, " ~ inputs.sex: missing values are allowed now"},
		{"unknown values are refused", version{sex: sexOpen}, version{sex: sexClosed}, `!~ inputs.sex: takes only "f", "m" now`},
		{"fewer values", version{sex: sexWider}, version{sex: sexClosed}, `!~ inputs.sex: refuses "d" now`},
		{"more values", version{sex: sexClosed}, version{sex: sexWider}, ` ~ inputs.sex: takes "d", too`},
		{"any value", version{sex: sexClosed}, version{sex: sexOpen}, " ~ inputs.sex: takes any value now"},
		{"smaller numbers are refused", version{}, limited(`"minimum":0`), "!~ inputs.age: refuses numbers below 0 now"},
		{"larger ones, too", limited(`"minimum":0,"maximum":120`), limited(`"minimum":0.5,"maximum":119`), "!~ inputs.age: refuses numbers below 0.5 now\n!~ inputs.age: refuses numbers above 119 now"},
		{"more numbers", limited(`"minimum":0,"maximum":120`), limited(`"minimum":-1`), " ~ inputs.age: numbers below 0 are taken, too\n ~ inputs.age: numbers above 120 are taken, too"},
		{"the same range, written otherwise", limited(`"maximum":120`), limited(`"maximum":1.2e2`), ""},
		{"only what is no float32", version{}, limited(`"minimum":-3.4028235677973366e+38,"maximum":1e300`), " ~ inputs.age: infinities and numbers below -3.4028235677973366e+38 are refused now\n ~ inputs.age: infinities and numbers above 1e300 are refused now"},
		{"just within float32", version{}, limited(`"maximum":3.4e38`), "!~ inputs.age: refuses numbers above 3.4e38 now"},
		{"what squares overflow at in float32", age("float32"), ints("float32", `"minimum":-1.0000000150474662e30,"maximum":1e29`), " ~ inputs.age: infinities and numbers below -1.0000000150474662e30 are refused now\n!~ inputs.age: refuses numbers above 1e29 now"},
		{"a known value beyond the range", version{age: years("1,130")}, limited(`"domain":[1,130],"unknown":"refuse","maximum":120`), "!~ inputs.age: refuses 130 now"},
		{"whole numbers, all of them", age("uint8"), ints("uint8", `"minimum":0,"maximum":255`), ""},
		{"whole numbers, not all", age("int64"), ints("int64", `"minimum":-9223372036854775808,"maximum":9007199254740993`), "!~ inputs.age: refuses numbers above 9007199254740993 now"},
		{"a number a row", version{}, version{
			age: `{"name":"age","type":"float64","feed":"a","shape":[2]}`, graph: "a float64[N,2]; b string[N,1]",
		}, "!~ inputs.age: takes lists of the shape [2] now, took single values"},

		{"a number in every answer", version{outputs: score}, version{outputs: strings.Replace(score, "{", `{"finite":true,`, 1)}, " ~ outputs.score: rows for which it is no finite number are refused now"},
		{"no number in some", version{outputs: strings.Replace(score, "{", `{"finite":true,`, 1)}, version{outputs: score}, " ~ outputs.score: may be missing or infinite now"},
		{
			"an output is gone",
			version{},
			version{outputs: `{"name":"label","kind":"label","from":"l","type":"string"}`},
			"!- outputs.probabilities: the output is gone",
		},
		{"an output is new, in another order", version{outputs: score}, version{outputs: classes + "," + score}, " + outputs.p: the output is new"},
		{
			"another kind",
			version{outputs: value},
			version{outputs: strings.Replace(value, "value", "label", 1)},
			"!~ outputs.label: is of the kind label now, was value",
		},
		{
			"numbers in place of text",
			version{outputs: value},
			version{outputs: strings.NewReplacer(`"l"`, `"v"`, "string", "float64").Replace(value)},
			"!~ outputs.label: is float64 now, was string: an answer holds numbers",
		},
		{"fractions in answers", version{outputs: whole}, version{outputs: score}, "!~ outputs.score: is float64 now, was int64: a number may have a fraction"},
		{"whole numbers in answers", version{outputs: score}, version{outputs: whole}, " ~ outputs.score: is int64 now, was float64"},
		{
			"classes come and go",
			version{outputs: classes},
			version{outputs: strings.Replace(classes, `"y"`, `"z"`, 1)},
			"!~ outputs.p: has no class \"y\" any more\n ~ outputs.p: has the class \"z\", too",
		},
		{"classes in another order", version{outputs: classes}, version{outputs: strings.Replace(classes, `"x","y"`, `"y","x"`, 1)}, ""},
		{"a vector", version{outputs: score}, version{outputs: vector}, "!~ outputs.score: is [3] per row now, was one value per row"},
		{"an open vector of a fixed graph", version{outputs: vector}, version{outputs: open}, ""},
		{
			"probabilities become a vector",
			version{outputs: classes},
			version{outputs: `{"name":"p","kind":"value","from":"p","shape":[2]}`},
			"!~ outputs.p: is of the kind value now, was probabilities",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := changes(test.old.compile(t), test.next.compile(t)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestChangesOfBareModels(t *testing.T) {
	tests := []struct{ name, old, next, want string }{
		{"nothing", "x float32[N,4] -> y float32[N]", "x float32[M,4] -> y float32[?]", ""},
		{"more columns", "x float32[N,4] -> y float32[N]", "x float32[N,5] -> y float32[N]", "!~ inputs.x: takes lists of the shape [5] now, took lists of the shape [4]"},
		{"any number of columns", "x float32[N,4] -> y float32[N]", "x float32[N,?] -> y float32[N]", " ~ inputs.x: takes lists of the shape [?] now, took lists of the shape [4]"},
		{"only so many columns", "x float32[N,?] -> y float32[N]", "x float32[N,4] -> y float32[N]", "!~ inputs.x: takes lists of the shape [4] now, took lists of the shape [?]"},
		{"any rank", "x float32[N,4] -> y float32[N]", "x float32 -> y float32[N]", ""},
		{"any rank no longer", "x float32 -> y float32[N]", "x float32[N,4] -> y float32[N]", "!~ inputs.x: takes lists of the shape [4] now, took lists of any depth"},
		{"fixed rows", "x float32[N,4] -> y float32[N]", "x float32[1,4] -> y float32[1]", "!~ inputs: the graph takes exactly 1 rows at a time now"},
		{"open rows", "x float32[1,4] -> y float32[1]", "x float32[N,4] -> y float32[N]", ""},
		{"a whole tensor", "a float32[N]; k int64[N] -> y float32[N]", "a float32[N]; k int64[] -> y float32[N]", "!~ inputs.k: takes one whole tensor [] now, took one value per row"},
		{"rows together", "a float32[N]; b float32[M] -> y float32[N]", "a float32[N]; b float32[N] -> y float32[N]", "!~ inputs.b: needs as many rows as a now"},
		{"rows apart", "a float32[N]; b float32[N] -> y float32[N]", "a float32[N]; b float32[M] -> y float32[N]", ""},
		{"a longer answer", "x float32[N] -> y float32[N,2]", "x float32[N] -> y float32[N,3]", "!~ outputs.y: is [3] per row now, was [2] per row"},
		{"an open answer", "x float32[N] -> y float32[N,2]", "x float32[N] -> y float32[N,?]", "!~ outputs.y: is [?] per row now, was [2] per row"},
		{"an answer that is known better", "x float32[N] -> y float32[N,?]", "x float32[N] -> y float32[N,2]", " ~ outputs.y: is [2] per row now, was [?] per row"},
		{"an answer of any rank", "x float32[N] -> y float32[N,2]", "x float32[N] -> y float32", ""},
		{"an answer of a rank", "x float32[N] -> y float32", "x float32[N] -> y float32[N,2]", ""},
		{"one answer for all", "x float32[N] -> y float32[N]", "x float32[N] -> y float32[]", "!~ outputs.y: is one value [] per request now, was one value per row"},
		{"renamed", "x float32[N] -> y float32[N]", "x float32[N] -> z float32[N]", "!- outputs.y: the output is gone\n + outputs.z: the output is new"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := changes(compile(t, nil, graph(test.old)), compile(t, nil, graph(test.next))); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestUnusedColumnsMayBeSent: a column that is not read any more may be sent
// still; one that was not read may neither be refused nor asked for.
func TestUnusedColumnsMayBeSent(t *testing.T) {
	const a, b = `{"name":"a","type":"float64"}`, `{"name":"b","type":"float64"}`
	load := func(columns, unused, inputs string) *transform.Plan {
		sig := signature(t, columns, anyOutput)
		sig.Unused = strings.Fields(unused)
		return compile(t, sig, graph(inputs+" -> y float32[N]"))
	}
	one, both := "a float64[N,1]", "a float64[N,1]; b float64[N,1]"
	tests := []struct {
		name      string
		old, next *transform.Plan
		want      string
	}{
		{"no longer read", load(a+","+b, "", both), load(a, "b", one), " - inputs.b: the column is not read any more, and may be sent still"},
		{"read now", load(a, "b", one), load(a+","+b, "", both), "!+ inputs.b: the column is new, and requests without it are refused"},
		{"gone", load(a, "b", one), load(a, "", one), "!- inputs.b: the column was not read, and requests that send it are refused now"},
		{"new", load(a, "b", one), load(a, "c b", one), " + inputs.c: the column may be sent, and is not read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := changes(test.old, test.next); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestBareModelsAndSignaturesCompare: an export with the kit may follow a bare
// model of the same names.
func TestBareModelsAndSignaturesCompare(t *testing.T) {
	g := graph("x float32[N,2] -> y float32[N,2]")
	sig := signature(t, `{"name":"x","type":"float32","shape":[2],"missing":"allowed"}`, `{"name":"y","kind":"value","shape":[2]}`)
	if got := changes(compile(t, nil, g), compile(t, sig, g)); got != "" {
		t.Errorf("got\n%s", got)
	}
	z := onnx.ZipMap{Tensor: "y", Output: "y", Strings: []string{"a", "b"}}
	if got := changes(compile(t, nil, g, z), compile(t, sig, g)); got != "!~ outputs.y: is of the kind value now, was probabilities" {
		t.Errorf("got\n%s", got)
	}
}

// TestBreakingIsWhatADecoderRefuses: over all pairs of columns, a change is
// called breaking just where one of many values was read by the old column and
// is refused by the new one.
func TestBreakingIsWhatADecoderRefuses(t *testing.T) {
	type column struct {
		text string
		plan *transform.Plan
		read map[string]bool
	}
	values := []string{
		`null`, `"NaN"`, `"Infinity"`, `true`, `false`, `"a"`, `"b"`, `"\ue000"`, `"none"`, `[1,2]`, `[1,2,3]`, `[null,2]`, `[1,1e30]`, `[1e30,1,1]`,
		`0`, `1`, `2`, `-1`, `1.5`, `3e1`, `127`, `128`, `-128`, `-129`, `255`, `256`, `32767`, `32768`, `-32768`, `-32769`, `65535`, `65536`,
		`2147483647`, `2147483648`, `-2147483648`, `-2147483649`, `4294967295`, `4294967296`, `1e30`,
		`9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `18446744073709551615`,
	}
	var columns []column
	add := func(graphType, rest string) {
		c := column{text: rest + " into " + graphType, read: map[string]bool{}}
		dims := "1"
		if strings.Contains(rest, `"shape":`) {
			_, after, _ := strings.Cut(rest, `"shape":[`)
			dims, _, _ = strings.Cut(after, "]")
			dims = strings.ReplaceAll(dims, "-1", "?")
		}
		c.plan = compile(t, signature(t, `{"name":"x",`+rest+`}`, anyOutput), graph("x "+graphType+"[N,"+dims+"] -> y float32[N]"))
		for _, v := range values {
			_, err := decode(c.plan, `[{"x":`+v+`}]`)
			c.read[v] = err == nil
		}
		columns = append(columns, c)
	}
	for typ := tensor.Bool; typ < tensor.String; typ++ {
		name := typ.String()
		add(name, `"type":"`+name+`"`)
		add("float64", `"type":"`+name+`","missing":"allowed"`)
		if typ.IsFloat() {
			add("float16", `"type":"`+name+`"`)
			add(name, `"type":"`+name+`","domain":[0,1,1.5],"unknown":"refuse"`)
			add(name, `"type":"`+name+`","shape":[2]`)
			add(name, `"type":"`+name+`","shape":[-1]`)
		} else if typ != tensor.Bool {
			add("float16", `"type":"`+name+`"`)
			add(name, `"type":"`+name+`","domain":[0,1,2],"unknown":"refuse"`)
			add(name, `"type":"`+name+`","domain":[0,1],"unknown":"refuse"`)
		}
	}
	add("bool", `"type":"bool","domain":[true],"unknown":"refuse"`)
	add("bool", `"type":"bool","domain":[true,false],"unknown":"refuse"`)
	add("string", `"type":"string"`)
	add("string", `"type":"string","domain":["a"],"unknown":"refuse"`)
	add("string", `"type":"string","domain":["a","b"],"unknown":"refuse"`)
	add("string", `"type":"string","missing":"allowed","sentinel":"none"`)
	pairs := 0
	for _, old := range columns {
		for _, next := range columns {
			witness := ""
			for _, v := range values {
				if old.read[v] && !next.read[v] {
					witness = v
				}
			}
			breaking := false
			for _, c := range transform.Breaking(transform.Compatible(old.plan, next.plan)) {
				breaking = breaking || strings.HasPrefix(c.Path, "inputs.")
			}
			if breaking != (witness != "") {
				t.Errorf("%s → %s: breaking %t, and %q was read before and is refused now", old.text, next.text, breaking, witness)
			}
			pairs++
		}
	}
	if pairs < 3000 {
		t.Errorf("only %d pairs", pairs)
	}
}

// TestRealBundlesCompare: the export of a network, against itself and with a
// column and a class of other names.
func TestRealBundlesCompare(t *testing.T) {
	files := bundleFiles(t, "../../testdata/bundles/torch-iris.tenon")
	load := func(replace ...string) *transform.Plan {
		t.Helper()
		text := strings.NewReplacer(replace...).Replace(string(files[bundle.SignatureFile]))
		if len(replace) > 0 && text == string(files[bundle.SignatureFile]) {
			t.Fatalf("%v is not in %s", replace, text)
		}
		sig, err := bundle.ParseSignature([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		model := files[bundle.ModelFile]
		g, err := onnx.Inspect(bytes.NewReader(model), int64(len(model)), onnx.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return compile(t, sig, g)
	}
	if got := changes(load(), load()); got != "" {
		t.Errorf("it differs from itself:\n%s", got)
	}
	got := changes(load(), load("sepal width (cm)", "sepal width", `"virginica"`, `"Virginica"`, `"missing": "refused",
   "feed": "X",
   "column": 3`, `"missing": "allowed", "feed": "X", "column": 3`))
	want := `!- inputs["sepal width (cm)"]: the column is gone, and requests that send it are refused
 ~ inputs["petal width (cm)"]: missing values are allowed now
!+ inputs["sepal width"]: the column is new, and requests without it are refused
!~ outputs.probabilities: has no class "virginica" any more
 ~ outputs.probabilities: has the class "Virginica", too`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func bundleFiles(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err == nil {
			files[header.Name], err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
