package transform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// TestRanges reads values at the ends of a column's range and beyond them.
func TestRanges(t *testing.T) {
	const wide, cube = `,"shape":[2]`, `,"shape":[2,1]`
	tests := []struct{ name, column, graph, body, want string }{
		{"inside", `"float64","minimum":0,"maximum":9.5`, "float64[N]", `[0,9.5,5]`, "x=float64[3]{0 9.5 5}"},
		{"below", `"float64","minimum":0,"maximum":9.5`, "float64[N]", `[1,-5e-324]`, "instances[1] range"},
		{"above", `"float64","minimum":0,"maximum":9.5`, "float64[N]", `[{"x":9.500000000000002}]`, "instances[0].x range"},
		{"columns", `"float64","minimum":0`, "float64[N]", `{"x":[1,-1]}`, "inputs.x[1] range"},
		{"open below", `"float64","maximum":0`, "float64[N]", `["-Infinity",-1e308]`, "x=float64[2]{-Inf -1e+308}"},
		{"infinity beyond", `"float64","maximum":1.7976931348623157e308`, "float64[N]", `[1.7976931348623157e308,"Infinity"]`, "instances[1] range"},
		{"its negative", `"float64","minimum":-1.7976931348623157e308`, "float64[N]", `["-Infinity"]`, "instances[0] range"},
		{"no range", `"float64"`, "float64[N]", `["Infinity"]`, "x=float64[1]{+Inf}"},
		{"NaN is missing, not outside", `"float64","missing":"allowed","minimum":0,"maximum":1`, "float64[N]", `[null,"NaN"]`, "x=float64[2]{NaN NaN}"},
		{"tiny", `"float64","minimum":5e-324`, "float64[N]", `[5e-324,0]`, "instances[1] range"},
		{"a float32 rounds first", `"float32","maximum":0.1`, "float32[N]", `[0.1,0.1000000015,0.11]`, "instances[2] range"},
		{"a float32 in doubles", `"float32","maximum":0.1`, "float64[N]", `[0.1000000015]`, "x=float64[1]{0.10000000149011612}"},
		{"a float16 rounds first", `"float16","maximum":1`, "float64[N]", `[1.0001,1.001]`, "instances[1] range"},
		{"int64 beyond doubles", `"int64","maximum":9007199254740992`, "float64[N]", `[9007199254740992,9007199254740993]`, "instances[1] range"},
		{"int64 ends", `"int64","minimum":-9223372036854775807`, "int64[N]", `[9223372036854775807,-9223372036854775808]`, "instances[1] range"},
		{"uint64 ends", `"uint64","minimum":1,"maximum":18446744073709551614`, "uint64[N]", `[1,9223372036854775808,18446744073709551615]`, "instances[2] range"},
		{"int8", `"int8","minimum":-3,"maximum":-1`, "int64[N]", `[-3,-1,0]`, "instances[2] range"},
		{"one value", `"int64","minimum":7,"maximum":7.0`, "int64[N]", `[7,8]`, "instances[1] range"},
		{"elements", `"float64","maximum":1` + wide, "float64[N,2]", `[[0,1],[0,2]]`, "instances[1][1] range"},
		{"elements of a cube", `"float64","maximum":1` + cube, "float64[N,2,1]", `{"x":[[[0],[2]]]}`, "inputs.x[0][1][0] range"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sig := signature(t, `{"name":"x","type":`+test.column+`}`, `{"name":"y","kind":"value"}`)
			fills(t, compile(t, sig, graph("x "+test.graph+" -> y float64[N]")), test.body, test.want)
		})
	}
}

func TestRangesAreSaid(t *testing.T) {
	for column, want := range map[string]string{
		`"minimum":0,"maximum":3.4e38`: "expected a number from 0 to 3.4e38, got 1e39",
		`"minimum":1.5e39`:             "expected a number of at least 1.5e39, got 1e39",
		`"maximum":-0.5`:               "expected a number of at most -0.5, got 1e39",
	} {
		p := compile(t, signature(t, `{"name":"x","type":"float64",`+column+`}`, `{"name":"y","kind":"value"}`),
			graph("x float64[N] -> y float64[N]"))
		_, err := decode(p, `[1e39]`)
		e := fault.As(err)
		if e == nil || e.Kind != fault.Invalid || e.Code != fault.InvalidInput || len(e.Fields) != 1 || e.Fields[0].Detail != want {
			t.Errorf("%s: %v", column, err)
		}
	}
}

// TestHoldFinite refuses rows with NaN and infinities, each by its number, and
// only those, and only where the signature says so.
func TestHoldFinite(t *testing.T) {
	const zero, nan, inf = `0`, `"NaN"`, `"Infinity"`
	rows := func(values ...string) string { return `[` + strings.Join(values, ",") + `]` }
	finite := func(more string) string { return `{"name":"y","finite":true,` + more + `}` }
	value, proba := finite(`"kind":"value"`), finite(`"kind":"probabilities","classes":["a","b"]`)
	second := `{"name":"z","kind":"value","from":"y","column":0},` + finite(`"kind":"value","column":1`)
	var twenty strings.Builder
	for row := range 20 {
		fmt.Fprintf(&twenty, "instances[%d] ", row)
	}
	tests := []struct {
		name, outputs, shape string
		width                int
		values, want         string
	}{
		{"all numbers", value, "float64[N]", 1, rows(zero, `-1e308`), ""},
		{"NaN", value, "float64[N]", 1, rows(zero, nan, zero), "instances[1]"},
		{"infinity", value, "float32[N,1]", 1, rows(inf, zero, `"-Infinity"`), "instances[0] instances[2]"},
		{"half precision", value, "float16[N]", 1, rows(zero, inf, nan), "instances[1] instances[2]"},
		{"a probability", proba, "float64[N,2]", 2, rows(zero, zero, zero, nan), "instances[1]"},
		{"a vector", finite(`"kind":"value","shape":[2]`), "float64[N,2]", 2, rows(nan, zero, zero, zero), "instances[0]"},
		{"one column of two", second, "float64[N,2]", 2, rows(nan, zero, zero, nan), "instances[1]"},
		{"many", value, "float64[N]", 1, rows(slices.Repeat([]string{nan}, 25)...), strings.TrimSpace(twenty.String())},
		{"not declared", `{"name":"y","kind":"value"}`, "float64[N]", 1, rows(nan), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The graph's answers are made as its input is read: as one column.
			elem, _, _ := strings.Cut(test.shape, "[")
			in := compile(t, signature(t, `{"name":"x","type":"`+elem+`","missing":"allowed"}`, `{"name":"y","kind":"value"}`),
				graph("x "+elem+"[N] -> y "+elem+"[N]"))
			raw, err := decode(in, test.values)
			if err != nil {
				t.Fatal(err)
			}
			answers := raw.Feeds()[0]
			n := answers.Len() / test.width
			answers.Shape = []int64{int64(n), int64(test.width)}

			p := compile(t, signature(t, anyInput, test.outputs), graph("x float64[N] -> y "+test.shape))
			frame, err := decode(p, `[`+strings.Repeat("1,", n-1)+`1]`)
			if err != nil {
				t.Fatal(err)
			}
			outs, err := p.Results([]*tensor.Tensor{answers}, n)
			if err != nil {
				t.Fatal(err)
			}
			err = p.HoldFinite(outs, frame)
			if got := places(err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if many := n > 20; many && !strings.HasPrefix(fault.As(err).Detail, "The model lacks 25 answers; errors lists the first 20.") {
				t.Errorf("%v does not say how many", err)
			}
		})
	}
}

func places(err error) string {
	e := fault.As(err)
	if e == nil {
		return ""
	}
	var out []string
	for _, f := range e.Fields {
		out = append(out, f.Path)
	}
	return strings.Join(out, " ")
}

// TestHoldFiniteInColumns names the row in words, because no path leads to it,
// and at most twenty of them.
func TestHoldFiniteInColumns(t *testing.T) {
	p := compile(t, signature(t, anyInput, `{"name":"score","kind":"value","finite":true}`), graph("x float64[N] -> score float64[N]"))
	frame, err := decode(p, `{"x":[`+strings.Repeat(`0,`, 29)+`0]}`)
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]float64, 30)
	for i := range answers[1:] {
		answers[i+1] = answers[i] / answers[0]
	}
	outs, err := p.Results([]*tensor.Tensor{tensor.From(tensor.Float64, answers, 30)}, 30)
	if err != nil {
		t.Fatal(err)
	}
	e := fault.As(p.HoldFinite(outs, frame))
	if e == nil || e.Kind != fault.Invalid || e.Code != fault.InvalidInput || len(e.Fields) != 20 {
		t.Fatalf("got %v", e)
	}
	if f := e.Fields[0]; f.Path != "inputs" || f.Code != "no-answer" || !strings.Contains(f.Detail, `no number for row 1: its output "score"`) {
		t.Errorf("got %+v", f)
	}
}

func TestFiniteNeedsFloats(t *testing.T) {
	sig := signature(t, anyInput, `{"name":"y","kind":"value","finite":true}`)
	if says := refused(t, sig, graph("x float64[N] -> y int64[N]")); !strings.Contains(says, "holds no floats") {
		t.Error(says)
	}
}
