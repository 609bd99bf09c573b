package divergence_test

import (
	"testing"

	"github.com/tenon-ml/tenon/internal/divergence"
	"github.com/tenon-ml/tenon/internal/tensor"
)

func TestInvalidRows(t *testing.T) {
	const classified = "label:label probabilities:probabilities=a,b"
	two := func(label string, p, q float64) []tensor.Output {
		return []tensor.Output{strings_("label", label), probabilities("a b", p, q)}
	}
	list := func(outs ...tensor.Output) []tensor.Output { return outs }
	tests := []struct {
		name, described string
		outs            []tensor.Output
		rows, want      int
	}{
		{"as it should be", classified, two("a", 1, 0), 1, 0},
		{"a label that is no class", classified, two("c", 1, 0), 1, 1},
		{"rounded", classified, two("a", 1.0000005, -0.0000005), 1, 0},
		{"above 1", classified, two("a", 1.000002, 0), 1, 1},
		{"below 0", classified, two("a", 1, -0.000002), 1, 1},
		{"both are wrong, of one row", classified, two("c", nan, 0), 1, 1},
		{"numbers", "y:value", list(floats("y", 1, nan, 3, inf, -inf, -7)), 6, 3},
		{"float32", "y:value", list(column("y", tensor.Float32, float32(1), float32(nan))), 2, 1},
		{"float16", "y:value", list(tensor.Output{
			Key: tensor.JSONKey("y"), Type: tensor.Float16, Stride: 1,
			Values: &tensor.Tensor{Type: tensor.Float16, Shape: []int64{2}, Data: []byte{0, 0x3c, 0, 0x7c}}, // 1, infinity
		}), 2, 1},
		{"vectors", "y:value", list(matrix("y", []int64{2}, 1, 2, nan, nan, 3, inf)), 3, 2},
		{"text and integers are no floats", "y:value z:value", list(strings_("y", "NaN"), column("z", tensor.Int64, int64(-1))), 1, 0},
		{"whole", "w:value y:value", list(whole("w", 1, nan), floats("y", 1, 2)), 2, 1},
		{
			"integers", "label:label probabilities:probabilities=0,18446744073709551615",
			list(column("label", tensor.Uint64, uint64(0), 1, 18446744073709551615), probabilities("a b", 1, 0, 1, 0, 1, 0)), 3, 1,
		},
		{"floats", "label:label probabilities:probabilities=0.0,1.0", list(floats("label", 0, 1, 2, nan), probabilities("a b", 1, 0, 1, 0, 1, 0, 1, 0)), 4, 2},
		{"bools", "label:label probabilities:probabilities=false", list(column("label", tensor.Bool, true, false), probabilities("a", 1, 1)), 2, 1},
		{
			"by the ending of the name",
			"label_0:label probabilities_0:probabilities=a,b label_1:label probabilities_1:probabilities=c,d",
			list(strings_("label_0", "a", "c"), probabilities("a b", 1, 0, 1, 0), strings_("label_1", "c", "d"), probabilities("c d", 1, 0, 1, 0)), 2, 1,
		},
		{"the only ones", "class:label scores:probabilities=a,b", list(strings_("class", "a", "c"), probabilities("a b", 1, 0, 1, 0)), 2, 1},
		{"not clear which", "x:label y:label p:probabilities=a,b", list(strings_("x", "c"), strings_("y", "d"), probabilities("a b", 1, 0)), 1, 0},
		{"no classes known", "cluster:label", list(column("cluster", tensor.Int64, int64(77))), 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check := divergence.NewCheck(described(test.described))
			if got := check.Invalid(test.outs, test.rows); got != test.want {
				t.Errorf("%d rows are invalid, want %d", got, test.want)
			}
		})
	}
}

func TestInvalidRowsAreTold(t *testing.T) {
	c := compare("y:value", "y:value")
	found := c.Add(request("r", 3, answer(floats("y", 1, 2, 3)), answer(floats("y", 1, nan, inf))))
	if found.InvalidFrom != 0 || found.InvalidTo != 2 {
		t.Errorf("%+v", found)
	}
	c.Add(request("r", 1, answer(floats("y", nan)), divergence.Answer{Err: errGone}))
	if d := c.Report(); d.From.InvalidRows != 1 || d.To.InvalidRows != 2 {
		t.Errorf("%+v", d)
	}
}
