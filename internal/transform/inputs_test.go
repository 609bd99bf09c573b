package transform_test

import (
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/internal/transform"
)

// TestBareLayouts reads bodies by the plan of a model without a signature.
// What is fed, or the first finding, is what a user would see.
func TestBareLayouts(t *testing.T) {
	tests := []struct{ name, inputs, body, want string }{
		{"matrix, rows", "x float32[N,2]", `[[1,2],[3,4]]`, "x=float32[2,2]{1 2 3 4}"},
		{"matrix, columns", "x float32[N,2]", `{"x":[[1,2],[3,4]]}`, "x=float32[2,2]{1 2 3 4}"},
		{"matrix, NaN is null", "x float32[N,2]", `[[null,2]]`, "x=float32[1,2]{NaN 2}"},
		{"matrix of integers, null", "x int64[N,2]", `[[null,2]]`, "instances[0][0] missing"},
		{"vector", "x int64[N]", `[7,8]`, "x=int64[2]{7 8}"},
		{"vector, named rows", "x int64[?]", `[{"x":7},{"x":8}]`, "x=int64[2]{7 8}"},
		{"strings", "x string[N,1]", `[["a"],["b"]]`, "x=string[2,1]{a b}"},
		{"open inner dimension", "x float64[N,T]", `[[1,2,3],[4,5,6]]`, "x=float64[2,3]{1 2 3 4 5 6}"},
		{"open inner dimension, ragged", "x float64[N,T]", `[[1,2,3],[4,5]]`, "instances[1] shape"},
		{"cube", "x float32[N,2,1]", `[[[1],[2]]]`, "x=float32[1,2,1]{1 2}"},
		{"open rank, vector", "x float32", `[1,2]`, "x=float32[2]{1 2}"},
		{"open rank, matrix", "x float32", `[[1,2],[3,4]]`, "x=float32[2,2]{1 2 3 4}"},
		{"rank 0", "x float32[]", `{"x":5}`, "x=float32[]{5}"},
		{"rank 0 has no rows", "x float32[]", `[5]`, "instances type"},
		{"two inputs, rows", "a float32[N,1]; b string[N]", `[{"a":[1],"b":"p"},{"b":"q","a":[2]}]`, "a=float32[2,1]{1 2} b=string[2]{p q}"},
		{"two inputs need names", "a float32[N]; b float32[N]", `[[1,2]]`, "instances[0] type"},
		{"one name, one number of rows", "a float32[N]; b float32[N]", `{"a":[1,2],"b":[3]}`, "inputs.b shape"},
		{"other names, other numbers of rows", "a float32[N]; b float32[M]", `{"a":[1,2],"b":[3]}`, "a=float32[2]{1 2} b=float32[1]{3}"},
		{"fixed rows", "x float32[2,1]", `[[1],[2]]`, "x=float32[2,1]{1 2}"},
		{"fixed rows, one of them", "x float32[1,2]", `[[1,2]]`, "x=float32[1,2]{1 2}"},
		{"fixed rows, too few", "x float32[2,1]", `[[1]]`, "instances shape"},
		{"fixed rows, too many columns", "x float32[1,2]", `{"x":[[1,2],[3,4]]}`, "inputs shape"},
		{"fixed rows, agreed", "a float32[2]; b float32[2,1]", `[{"a":1,"b":[2]},{"a":3,"b":[4]}]`, "a=float32[2]{1 3} b=float32[2,1]{2 4}"},
		{"fixed, not agreed", "a float32[2]; b float32[3]", `{"a":[1,2],"b":[3,4,5]}`, "a=float32[2]{1 2} b=float32[3]{3 4 5}"},
		{"fixed, not agreed, has no rows", "a float32[2]; b float32[3]", `[{"a":1,"b":3}]`, "instances type"},
		{"fixed, not agreed, wrong length", "a float32[2]; b float32[3]", `{"a":[1,2],"b":[3,4]}`, "inputs.b shape"},
		{"open beside fixed", "a float32[N,1]; w float32[3]", `{"a":[[1],[2]],"w":[3,4,5]}`, "a=float32[2,1]{1 2} w=float32[3]{3 4 5}"},
		{"open beside rank 0", "a float32[N]; k int64[]", `{"a":[1,2],"k":3}`, "a=float32[2]{1 2} k=int64[]{3}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := decode(compile(t, nil, graph(test.inputs+" -> y float32[N]")), test.body)
			got := ""
			if err != nil {
				got = finding(err)
			} else {
				got = feeds(f)
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

const anyOutput = `{"name":"prediction","kind":"value","from":"y"}`

func TestSignatureLayouts(t *testing.T) {
	const (
		sex    = `{"name":"sex","type":"string","missing":"allowed","sentinel":"\ue000"}`
		mass   = `{"name":"body mass (kg)","type":"float64","missing":"allowed","feed":"in_1"}`
		stackB = `{"name":"b","type":"float64","feed":"X","column":1,"missing":"allowed"}`
		stackA = `{"name":"a","type":"int8","feed":"X","column":0}`
		stackC = `{"name":"c","type":"bool","feed":"X","column":2}`
		pixels = `{"name":"x","type":"float64","shape":[2,2]}`
		lone   = `{"name":"a","type":"float64","feed":"X","column":0}`
	)
	list := func(columns ...string) string { return strings.Join(columns, ",") }
	tests := []struct{ name, columns, inputs, body, want string }{
		{
			"one column per input", list(sex, mass), "sex string[N,1]; in_1 float64[N,1]",
			`[{"sex":"m","body mass (kg)":1.5},{"body mass (kg)":null,"sex":null}]`,
			"sex=string[2,1]{m \ue000} in_1=float64[2,1]{1.5 NaN}",
		},
		{
			"in another order than the graph's", list(mass, sex), "sex string[N,1]; in_1 float64[N,1]",
			`{"body mass (kg)":[1,2],"sex":["f","m"]}`, "sex=string[2,1]{f m} in_1=float64[2,1]{1 2}",
		},
		{"rank-1 inputs", list(sex, mass), "sex string[N]; in_1 float64[N]", `[{"sex":"m","body mass (kg)":1}]`, "sex=string[1]{m} in_1=float64[1]{1}"},
		{
			"stacked matrix", list(stackB, stackA, stackC), "X float32[N,3]",
			`[{"a":1,"b":0.5,"c":true},{"a":-2,"b":null,"c":false}]`, "X=float32[2,3]{1 0.5 1 -2 NaN 0}",
		},
		{"stacked matrix of open width", list(stackA, stackB, stackC), "X float64[N,?]", `{"a":[1],"b":[2],"c":[false]}`, "X=float64[1,3]{1 2 0}"},
		{"stacked matrix of open rank", list(stackA, stackB, stackC), "X float64", `{"a":[1],"b":[2],"c":[true]}`, "X=float64[1,3]{1 2 1}"},
		{"a matrix of one column", lone, "X float64[N,1]", `[{"a":1},{"a":2}]`, "X=float64[2,1]{1 2}"},
		{"an open rank and one column", lone, "X float64", `[1,2]`, "X=float64[2,1]{1 2}"},
		{"shaped column", pixels, "x float64[N,2,2]", `[[[1,2],[3,4]],[[5,6],[7,8]]]`, "x=float64[2,2,2]{1 2 3 4 5 6 7 8}"},
		{"shaped column of an open input", pixels, "x float64[N,H,W]", `{"x":[[[1,2],[3,4]]]}`, "x=float64[1,2,2]{1 2 3 4}"},
		{"shaped column, wrong shape", pixels, "x float64[N,2,2]", `[[[1,2],[3]]]`, "instances[0][1] shape"},
		{"open shape", `{"name":"x","type":"float32","shape":[-1]}`, "x float32[N,T]", `[[1,2,3],[4,5,6]]`, "x=float32[2,3]{1 2 3 4 5 6}"},
		{"shape of one into rank 1", `{"name":"x","type":"float32","shape":[1]}`, "x float32[N]", `[[1],[2]]`, "x=float32[2]{1 2}"},
		{
			"a float32 column in a double graph", `{"name":"x","type":"float32"}`, "x float64[N,1]",
			`[0.1]`, "x=float64[1,1]{0.10000000149011612}",
		},
		{"missing refused", `{"name":"x","type":"float64"}`, "x float64[N,1]", `[null]`, "instances[0] missing"},
		{"sentinel is reserved", sex, "sex string[N,1]", `["\ue000"]`, "instances[0] reserved"},
		{
			"domain of strings", `{"name":"x","type":"string","domain":["a"],"unknown":"refuse"}`, "x string[N,1]",
			`["a","b"]`, "instances[1] domain",
		},
		{
			"open domain", `{"name":"x","type":"string","domain":["a"],"unknown":"accept"}`, "x string[N,1]",
			`["b"]`, "x=string[1,1]{b}",
		},
		{
			"domain of integers", `{"name":"x","type":"int64","domain":[1,-2],"unknown":"refuse"}`, "x float64[N,1]",
			`[1,-2,2]`, "instances[2] domain",
		},
		{
			"domain of large integers", `{"name":"x","type":"uint64","domain":[18446744073709551615],"unknown":"refuse"}`, "x uint64[N,1]",
			`[18446744073709551615,18446744073709551614]`, "instances[1] domain",
		},
		{
			"domain of floats", `{"name":"x","type":"float64","domain":[1.5],"unknown":"refuse"}`, "x float64[N,1]",
			`[15e-1,1.25]`, "instances[1] domain",
		},
		{
			"domain of floats and infinity", `{"name":"x","type":"float64","domain":[1.5],"unknown":"refuse"}`, "x float64[N,1]",
			`["Infinity"]`, "instances[0] domain",
		},
		{
			"domain of bools", `{"name":"x","type":"bool","domain":[true],"unknown":"refuse"}`, "x bool[N,1]",
			`[true,false]`, "instances[1] domain",
		},
		{
			"missing is no value of the domain",
			`{"name":"x","type":"float64","missing":"allowed","domain":[1.5],"unknown":"refuse"}`, "x float64[N,1]",
			`[null]`, "x=float64[1,1]{NaN}",
		},
		{
			"beyond the graph's own type", `{"name":"x","type":"float64"}`, "x float32[N,1]",
			`[1e39]`, "instances[0] range",
		},
		{
			"an integer beyond the graph's float", `{"name":"x","type":"int64"}`, "x float16[N,1]",
			`[65504,70000]`, "instances[1] range",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := compile(t, signature(t, test.columns, anyOutput), graph(test.inputs+" -> y float32[N]"))
			fills(t, p, test.body, test.want)
		})
	}
}

// fills holds what a body's feeds are, or what is wrong with it.
func fills(t *testing.T, p *transform.Plan, body, want string) {
	t.Helper()
	f, err := decode(p, body)
	got := ""
	if err != nil {
		got = finding(err)
	} else {
		got = feeds(f)
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestColumnsFitGraphInputsOrAreRefused walks all pairs of types: what numpy
// casts without losing whole numbers or strings fits.
func TestColumnsFitGraphInputsOrAreRefused(t *testing.T) {
	fits := map[string]string{
		"bool":    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64",
		"int8":    "int8 int16 int32 int64 float16 float32 float64",
		"int16":   "int16 int32 int64 float16 float32 float64",
		"int32":   "int32 int64 float16 float32 float64",
		"int64":   "int64 float16 float32 float64",
		"uint8":   "uint8 uint16 uint32 uint64 int16 int32 int64 float16 float32 float64",
		"uint16":  "uint16 uint32 uint64 int32 int64 float16 float32 float64",
		"uint32":  "uint32 uint64 int64 float16 float32 float64",
		"uint64":  "uint64 float16 float32 float64",
		"float16": "float16 float32 float64", "float32": "float16 float32 float64", "float64": "float16 float32 float64",
		"string": "string",
	}
	for logical := tensor.Bool; logical <= tensor.String; logical++ {
		for fed := tensor.Bool; fed <= tensor.String; fed++ {
			sig := signature(t, `{"name":"x","type":"`+logical.String()+`"}`, anyOutput)
			_, err := transform.Compile(sig, graph("x "+fed.String()+"[N,1] -> y float32[N]"), nil)
			want := strings.Contains(" "+fits[logical.String()]+" ", " "+fed.String()+" ")
			if (err == nil) != want {
				t.Errorf("a column of %s into a graph input of %s: %v", logical, fed, err)
			}
		}
	}
}

func TestLayoutRefusals(t *testing.T) {
	column := func(name, feed, more string) string {
		return `{"name":"` + name + `","type":"float64","feed":"` + feed + `"` + more + `}`
	}
	tests := []struct{ name, columns, inputs, says string }{
		{"no such input", column("age", "in_7", ""), "in_0 float64[N,1]", `column "age" feeds the graph input "in_7", which the graph does not have`},
		{"an input without a column", column("a", "a", ""), "a float64[N,1]; b float64[N,1]", `no column of the signature feeds the graph input "b"`},
		{"another type", `{"name":"a","type":"int64"}`, "a int32[N,1]", `the column "a" of type int64 cannot feed the graph input "a" of type int32 without losing values`},
		{"missing in an integer", `{"name":"a","type":"int32","missing":"allowed"}`, "a int64[N,1]", `allows missing values, and its graph input "a" of type int64 has none`},
		{"missing in a bool", `{"name":"a","type":"bool","missing":"allowed"}`, "a bool[N,1]", "allows missing values"},
		{"no open first dimension", column("a", "a", ""), "a float64[5,1]", `the graph input a: float64[5,1] needs an open first dimension and then [1]`},
		{"rank 0", column("a", "a", ""), "a float64[]", "needs an open first dimension"},
		{"rank 1 for two columns", column("a", "X", `,"column":0`) + "," + column("b", "X", `,"column":1`), "X float64[N]", "needs an open first dimension and then [2]"},
		{"too wide", column("a", "X", `,"column":0`) + "," + column("b", "X", `,"column":1`), "X float64[N,3]", `the graph input X: float64[?,3] does not fit the signature, which feeds [2] to each row`},
		{"a scalar for a vector", column("a", "a", ""), "a float64[N,2]", "feeds [1] to each row"},
		{"a vector for a scalar", column("a", "a", `,"shape":[2]`), "a float64[N,1]", "feeds [2] to each row"},
		{"another rank", column("a", "a", `,"shape":[2,2]`), "a float64[N,4]", "needs an open first dimension and then [2,2]"},
		{"shape of two into rank 1", column("a", "a", `,"shape":[2]`), "a float64[N]", "needs an open first dimension and then [2]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := refused(t, signature(t, test.columns, anyOutput), graph(test.inputs+" -> y float32[N]"))
			if !strings.Contains(got, test.says) {
				t.Errorf("got  %q\nwant %q in it", got, test.says)
			}
		})
	}
}

// TestUncheckedSignaturesAreRefused: signatures made in code come by without
// the parser's checks, and must not reach a request either.
func TestUncheckedSignaturesAreRefused(t *testing.T) {
	place := func(n int) *int { return &n }
	tests := []struct {
		name   string
		inputs []bundle.Input
		says   string
	}{
		{
			"a place beyond the columns",
			[]bundle.Input{{Name: "a", Type: tensor.Float64, Feed: "X", Column: place(0)}, {Name: "b", Type: tensor.Float64, Feed: "X", Column: place(2)}},
			`column "b" is at place 2 of the graph input "X", which 2 columns share`,
		},
		{
			"a place beyond the only column",
			[]bundle.Input{{Name: "a", Type: tensor.Float64, Feed: "X", Column: place(1)}},
			`column "a" is at place 1`,
		},
		{
			"a shape among columns",
			[]bundle.Input{{Name: "a", Type: tensor.Float64, Feed: "X", Column: place(0)}, {Name: "b", Type: tensor.Float64, Feed: "X", Column: place(1), Shape: []int64{2}}},
			`column "b" is at place 1`,
		},
		{
			"an integer that is none",
			[]bundle.Input{{Name: "X", Type: tensor.Int64, Domain: []bundle.Scalar{bundle.Number("1.5")}, Unknown: bundle.UnknownRefuse}},
			`the domain of the column "X" holds 1.5, which is no whole number`,
		},
		{
			"a number that is none",
			[]bundle.Input{{Name: "X", Type: tensor.Float64, Domain: []bundle.Scalar{bundle.Number("1e999")}, Unknown: bundle.UnknownRefuse}},
			`the domain of the column "X" holds 1e999, which is no number`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sig := &bundle.Signature{Inputs: test.inputs, Outputs: []bundle.Output{{Name: "y", Kind: bundle.KindValue}}}
			if got := refused(t, sig, graph("X float64[N,?] -> y float32[N]")); !strings.Contains(got, test.says) {
				t.Errorf("got  %q\nwant %q in it", got, test.says)
			}
		})
	}
}

func TestUnusedColumnsAreNoFeeds(t *testing.T) {
	sig := signature(t, `{"name":"x","type":"float64"}`, anyOutput)
	sig.Unused = []string{"id"}
	p := compile(t, sig, graph("x float64[N,1] -> y float32[N]"))
	f, err := decode(p, `[{"x":1,"id":"any"},{"x":2}]`)
	if err != nil || feeds(f) != "x=float64[2,1]{1 2}" {
		t.Errorf("%s, %v", feeds(f), err)
	}
}

// TestNamesDefaultToTheirOwn: signatures made in code may leave feed and from
// empty.
func TestNamesDefaultToTheirOwn(t *testing.T) {
	sig := &bundle.Signature{
		Inputs:  []bundle.Input{{Name: "x", Type: tensor.Float64}},
		Outputs: []bundle.Output{{Name: "y", Kind: bundle.KindValue}},
	}
	p := compile(t, sig, graph("x float64[N,1] -> z float64[N]; y float64[N]"))
	if p.Outputs[0].Graph != 1 {
		t.Errorf("y is taken from graph output %d", p.Outputs[0].Graph)
	}
	sig.Inputs[0].Name = "w"
	if got := refused(t, sig, graph("x float64[N,1] -> y float64[N]")); !strings.Contains(got, `feeds the graph input "w"`) {
		t.Errorf("got %q", got)
	}
}
