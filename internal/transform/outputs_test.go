package transform_test

import (
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/onnx"
	"github.com/tenon-ml/tenon/internal/tensor"
)

const anyInput = `{"name":"x","type":"float64"}`

// TestResults shows raw outputs as answers in both forms.
func TestResults(t *testing.T) {
	ints := func(v []int64, shape ...int64) *tensor.Tensor { return tensor.From(tensor.Int64, v, shape...) }
	floats := func(v []float64, shape ...int64) *tensor.Tensor { return tensor.From(tensor.Float64, v, shape...) }
	const probabilities = `{"name":"p","kind":"probabilities","type":"float64","from":"y","classes":["a","b"]}`
	tests := []struct {
		name, outputs, graph string
		raw                  []*tensor.Tensor
		rows                 int
		want, columns        string
	}{
		{
			"labels of rank 1", `{"name":"label","kind":"label","from":"y","type":"string"}`, "y string[N]",
			[]*tensor.Tensor{tensor.FromStrings([]string{"a", "b"}, 2)},
			2,
			`[{"label":"a"},{"label":"b"}]`, `{"label":["a","b"]}`,
		},
		{
			"labels in a column", `{"name":"label","kind":"label","from":"y","type":"string"}`, "y string[N,1]",
			[]*tensor.Tensor{tensor.FromStrings([]string{"a", "b"}, 2, 1)},
			2,
			`[{"label":"a"},{"label":"b"}]`, `{"label":["a","b"]}`,
		},
		{
			"values of one row", `{"name":"v","kind":"value","from":"y"}`, "y float64[N,1]",
			[]*tensor.Tensor{floats([]float64{1.5}, 1, 1)},
			1, `[{"v":1.5}]`, `{"v":[1.5]}`,
		},
		{
			"values of undeclared rank", `{"name":"v","kind":"value","from":"y"}`, "y float64",
			[]*tensor.Tensor{floats([]float64{1.5, 2}, 2)},
			2, `[{"v":1.5},{"v":2}]`, `{"v":[1.5,2]}`,
		},
		{
			"bool labels from integers", `{"name":"outlier","kind":"label","from":"y","type":"bool"}`, "y int64[N]",
			[]*tensor.Tensor{ints([]int64{1, 0}, 2)},
			2, `[{"outlier":true},{"outlier":false}]`, `{"outlier":[true,false]}`,
		},
		{
			"bool labels from unsigned integers", `{"name":"outlier","kind":"label","from":"y","type":"bool"}`, "y uint64[N]",
			[]*tensor.Tensor{tensor.From(tensor.Uint64, []uint64{1, 0}, 2)},
			2,
			`[{"outlier":true},{"outlier":false}]`, `{"outlier":[true,false]}`,
		},
		{
			"probabilities", probabilities, "y float64[N,2]",
			[]*tensor.Tensor{floats([]float64{0.25, 0.75, 1, 0}, 2, 2)},
			2,
			`[{"p":{"a":0.25,"b":0.75}},{"p":{"a":1,"b":0}}]`, `{"p":{"a":[0.25,1],"b":[0.75,0]}}`,
		},
		{
			"probabilities by other classes",
			`{"name":"i","kind":"probabilities","from":"y","classes":[10,2]},{"name":"b","kind":"probabilities","from":"z","classes":[false,true]}`,
			"y float64[N,2]; z float64[N,2]",
			[]*tensor.Tensor{floats([]float64{1, 0}, 1, 2), floats([]float64{0, 1}, 1, 2)},
			1,
			`[{"i":{"10":1,"2":0},"b":{"false":0,"true":1}}]`, `{"i":{"10":[1],"2":[0]},"b":{"false":[0],"true":[1]}}`,
		},
		{
			"columns of a matrix",
			`{"name":"two","kind":"value","from":"y","column":1},{"name":"one","kind":"value","from":"y","column":0}`, "y float64[N,2]",
			[]*tensor.Tensor{floats([]float64{1, 2, 10, 20}, 2, 2)},
			2,
			`[{"two":2,"one":1},{"two":20,"one":10}]`, `{"two":[2,20],"one":[1,10]}`,
		},
		{
			"vectors", `{"name":"e","kind":"value","from":"y","shape":[2]}`, "y float64[N,2]",
			[]*tensor.Tensor{floats([]float64{1, 2, 3, 4}, 2, 2)},
			2, `[{"e":[1,2]},{"e":[3,4]}]`, `{"e":[[1,2],[3,4]]}`,
		},
		{
			"vectors of one", `{"name":"e","kind":"value","from":"y","shape":[1]}`, "y float64[N,1]",
			[]*tensor.Tensor{floats([]float64{1, 2}, 2, 1)},
			2, `[{"e":[1]},{"e":[2]}]`, `{"e":[[1],[2]]}`,
		},
		{
			"open vectors", `{"name":"e","kind":"value","from":"y","shape":[-1]}`, "y float64[N,T]",
			[]*tensor.Tensor{floats([]float64{1, 2, 3}, 1, 3)},
			1, `[{"e":[1,2,3]}]`, `{"e":[[1,2,3]]}`,
		},
		{
			"in the signature's order", `{"name":"b","kind":"value","from":"z"},{"name":"a","kind":"value","from":"y"}`, "y float64[N]; z float64[N]",
			[]*tensor.Tensor{floats([]float64{1}, 1), floats([]float64{2}, 1)},
			1, `[{"b":2,"a":1}]`, `{"b":[2],"a":[1]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := compile(t, signature(t, anyInput, test.outputs), graph("x float64[N,1] -> "+test.graph))
			outs, err := p.Results(test.raw, test.rows)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(tensor.AppendRows(nil, outs, test.rows)); got != test.want {
				t.Errorf("rows:\ngot  %s\nwant %s", got, test.want)
			}
			if got := string(tensor.AppendColumns(nil, outs, test.rows)); got != test.columns {
				t.Errorf("columns:\ngot  %s\nwant %s", got, test.columns)
			}
		})
	}
}

func TestBareResults(t *testing.T) {
	p := compile(t, nil, graph("x float32[N] -> a float32[N]; b int64[N,2]; whole float32[3]"))
	outs, err := p.Results([]*tensor.Tensor{
		tensor.From(tensor.Float32, []float32{0.1, 2}, 2), tensor.From(tensor.Int64, []int64{1, 2, 3, 4}, 2, 2),
		tensor.From(tensor.Float32, []float32{7, 8, 9}, 3),
	}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !outs[2].Whole || outs[0].Whole || outs[1].Whole {
		t.Errorf("whole is %v, %v, %v", outs[0].Whole, outs[1].Whole, outs[2].Whole)
	}
	const want = `{"a":[0.1,2],"b":[[1,2],[3,4]],"whole":[7,8,9]}`
	if got := string(tensor.AppendColumns(nil, outs, 2)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestZipMapsGiveClasses: what a ZipMap made is shown as it would have been,
// under the name that the converter gave it.
func TestZipMapsGiveClasses(t *testing.T) {
	g := graph("x float32[N,4] -> label int64[N]; scores float32[?,2]; texts float32[?,2]")
	zipmaps := []onnx.ZipMap{
		{Output: "probability", Tensor: "scores", Ints: []int64{-1, 1}},
		{Output: "by name", Tensor: "texts", Strings: []string{"no", "yes"}},
	}
	raw := []*tensor.Tensor{
		tensor.From(tensor.Int64, []int64{1}, 1), tensor.From(tensor.Float32, []float32{0.25, 0.75}, 1, 2),
		tensor.From(tensor.Float32, []float32{0.5, 0.5}, 1, 2),
	}
	const want = `[{"label":1,"probability":{"-1":0.25,"1":0.75},"by name":{"no":0.5,"yes":0.5}}]`
	p := compile(t, nil, g, zipmaps...)
	outs, err := p.Results(raw, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tensor.AppendRows(nil, outs, 1)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if p.Outputs[1].Kind != bundle.KindProbabilities || p.Outputs[0].Kind != bundle.KindValue {
		t.Errorf("the kinds are %s and %s", p.Outputs[0].Kind, p.Outputs[1].Kind)
	}
	t.Run("in a signature by the converter's name", func(t *testing.T) {
		sig := signature(t, `{"name":"x","type":"float32","shape":[4]}`,
			`{"name":"p","kind":"probabilities","from":"probability","classes":[-1,1]}`)
		outs, err := compile(t, sig, g, zipmaps...).Results(raw, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(tensor.AppendRows(nil, outs, 1)), `[{"p":{"-1":0.25,"1":0.75}}]`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// TestAnswersThatContradictTheSignature: the graph left its shape open and
// answers with another; nobody must get a part of that as an answer.
func TestAnswersThatContradictTheSignature(t *testing.T) {
	tests := []struct {
		name, output string
		shape        []int64
	}{
		{"fewer rows", `{"name":"o","kind":"value","from":"y"}`, []int64{2}},
		{"more rows", `{"name":"o","kind":"value","from":"y"}`, []int64{4}},
		{"rank 0", `{"name":"o","kind":"value","from":"y"}`, nil},
		{"a vector for a scalar", `{"name":"o","kind":"value","from":"y"}`, []int64{3, 2}},
		{"no value for a scalar", `{"name":"o","kind":"value","from":"y"}`, []int64{3, 0}},
		{"fewer classes", `{"name":"o","kind":"probabilities","from":"y","classes":["a","b"]}`, []int64{3, 1}},
		{"more classes", `{"name":"o","kind":"probabilities","from":"y","classes":["a","b"]}`, []int64{3, 3}},
		{"classes, fewer rows", `{"name":"o","kind":"probabilities","from":"y","classes":["a","b"]}`, []int64{2, 2}},
		{"no such column", `{"name":"o","kind":"value","from":"y","column":2}`, []int64{3, 2}},
		{"column, fewer rows", `{"name":"o","kind":"value","from":"y","column":0}`, []int64{2, 2}},
		{"another length", `{"name":"o","kind":"value","from":"y","shape":[2]}`, []int64{3, 3}},
		{"another rank", `{"name":"o","kind":"value","from":"y","shape":[4]}`, []int64{3, 2, 2}},
		{"shape, fewer rows", `{"name":"o","kind":"value","from":"y","shape":[2]}`, []int64{2, 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := compile(t, signature(t, anyInput, test.output), graph("x float64[N,1] -> y float32"))
			outs, err := p.Results([]*tensor.Tensor{tensor.New(tensor.Float32, test.shape...)}, 3)
			if err == nil {
				t.Fatalf("%s for 3 rows is shown as %+v", tensor.FormatShape(test.shape), outs)
			}
			for _, part := range []string{`"o"`, tensor.FormatShape(test.shape)} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %s", err, part)
				}
			}
		})
	}
}

func TestOutputRefusals(t *testing.T) {
	tests := []struct{ name, output, graph, says string }{
		{"no such output", `{"name":"o","kind":"value","from":"z"}`, "y float32[N]", `output "o" comes from the graph output "z", which the graph does not have`},
		{"text for numbers", `{"name":"y","kind":"label","type":"string"}`, "y int64[N]", `the output "y" is of type string, and the graph output y: int64[?] cannot be shown as that`},
		{"numbers for text", `{"name":"y","kind":"label","type":"int64"}`, "y string[N]", "cannot be shown as that"},
		{"bools for floats", `{"name":"y","kind":"label","type":"bool"}`, "y float32[N]", "cannot be shown as that"},
		{"numbers for bools", `{"name":"y","kind":"label","type":"int64"}`, "y bool[N]", "cannot be shown as that"},
		{"floats for whole numbers", `{"name":"y","kind":"value","type":"float64"}`, "y int64[N]", "cannot be shown as that"},
		{"whole numbers for floats", `{"name":"y","kind":"value","type":"int64"}`, "y float64[N]", "cannot be shown as that"},
		{"a scalar of a vector", `{"name":"y","kind":"value"}`, "y float32[N,3]", `the output "y" is one value per row, and the graph output is y: float32[?,3]`},
		{"a scalar of a whole tensor", `{"name":"y","kind":"value"}`, "y float32[]", "y: float32[]"},
		{"another number of classes", `{"name":"y","kind":"probabilities","classes":["a","b"]}`, "y float32[N,3]", `the output "y" has 2 classes, and the graph output is y: float32[?,3]`},
		{"no such column", `{"name":"y","kind":"value","column":3}`, "y float32[N,3]", `the output "y" is column 3, and the graph output is y: float32[?,3]`},
		{"another shape", `{"name":"y","kind":"value","shape":[2]}`, "y float32[N,3]", `the output "y" is [2] per row, and the graph output is y: float32[?,3]`},
		{"another rank", `{"name":"y","kind":"value","shape":[2]}`, "y float32[N,2,1]", "y: float32[?,2,1]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := refused(t, signature(t, anyInput, test.output), graph("x float64[N,1] -> "+test.graph))
			if !strings.Contains(got, test.says) {
				t.Errorf("got  %q\nwant %q in it", got, test.says)
			}
		})
	}
}
