package bundle_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// penguinSignature is the example of the format's description, with a matrix.
const penguinSignature = `{"inputs":[
  {"name":"sex","type":"string","missing":"allowed","sentinel":"\ue000","domain":["female","male"],"unknown":"refuse","feed":"sex"},
  {"name":"bill","type":"float64","missing":"allowed","feed":"X","column":1},
  {"name":"mass","type":"int64","feed":"X","column":0,"domain":[1,2,-3]},
  {"name":"image","description":"grey","type":"uint8","shape":[-1,8,8]},
  {"name":"old","type":"bool","domain":[true,false]},
  {"name":"rate","type":"float32","minimum":5e-324,"maximum":3.4e38},
  {"name":"count","type":"uint64","maximum":18446744073709551615}],
 "unused":["seen on","id"],
 "outputs":[
  {"name":"label","kind":"label","from":"l","type":"string"},
  {"name":"probabilities","kind":"probabilities","from":"p","type":"float64","classes":["Adelie","Gentoo"],
   "tolerance":{"rel":1e-9,"abs":1e-12}},
  {"name":"rain","kind":"label","from":"m","type":"bool","column":0,"tolerance":{"agreement":0.99}},
  {"name":"snow","kind":"label","from":"m","type":"bool","column":1},
  {"name":"embedding","kind":"value","shape":[4],"tolerance":{"cosine":0.99999},"finite":true}]}`

func TestParseSignature(t *testing.T) {
	s, err := bundle.ParseSignature([]byte(penguinSignature))
	if err != nil {
		t.Fatal(err)
	}
	sex, image := s.Inputs[0], s.Inputs[3]
	if sex.Type != tensor.String || sex.Missing != bundle.MissingAllowed || sex.Sentinel != "\ue000" ||
		sex.Unknown != bundle.UnknownRefuse || !reflect.DeepEqual(sex.Domain, []bundle.Scalar{bundle.Text("female"), bundle.Text("male")}) {
		t.Errorf("sex: %+v", sex)
	}
	if s.Inputs[1].Feed != "X" || *s.Inputs[1].Column != 1 || *s.Inputs[2].Column != 0 {
		t.Errorf("matrix: %+v", s.Inputs[1:3])
	}
	if rate, count := s.Inputs[5], s.Inputs[6]; rate.Minimum != bundle.Number("5e-324") || !count.Bounded() || image.Bounded() ||
		count.Maximum != bundle.Number("18446744073709551615") || count.Minimum != (bundle.Scalar{}) {
		t.Errorf("ranges: %+v, %+v", rate, count)
	}
	if image.Feed != "image" || image.Missing != bundle.MissingRefused || image.Unknown != bundle.UnknownAccept ||
		image.Column != nil || !reflect.DeepEqual(image.Shape, []int64{-1, 8, 8}) {
		t.Errorf("defaults: %+v", image)
	}
	if got := s.Outputs[1].ClassKeys(); !reflect.DeepEqual(got, []string{"Adelie", "Gentoo"}) {
		t.Errorf("class keys: %q", got)
	}
	if last := s.Outputs[4]; last.From != "embedding" || last.Type != tensor.Invalid || !last.Finite || *last.Tolerance.Cosine != 0.99999 {
		t.Errorf("embedding: %+v", last)
	}
	if !reflect.DeepEqual(s.Unused, []string{"seen on", "id"}) {
		t.Errorf("unused: %q", s.Unused)
	}
	if err := s.Check(); err != nil {
		t.Errorf("what was read does not pass its own check: %v", err)
	}
}

func TestSignatureRoundTrip(t *testing.T) {
	s, err := bundle.ParseSignature([]byte(penguinSignature))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := bundle.ParseSignature(text)
	if err != nil || !reflect.DeepEqual(s, again) {
		t.Errorf("%s\n%v", text, err)
	}
}

func TestClassKeysAreJSONText(t *testing.T) {
	for classes, want := range map[string][]string{
		`["Adelie","Bär"]`:       {"Adelie", "Bär"},
		`[0,1,9007199254740993]`: {"0", "1", "9007199254740993"},
		`[0.0,1.5,-1e16]`:        {"0.0", "1.5", "-1e16"},
		`[false,true]`:           {"false", "true"},
	} {
		s, err := bundle.ParseSignature([]byte(`{"inputs":[{"name":"x","type":"bool"}],"outputs":[` +
			`{"name":"p","kind":"probabilities","classes":` + classes + `}]}`))
		if err != nil {
			t.Errorf("%s: %v", classes, err)
			continue
		}
		if got := s.Outputs[0].ClassKeys(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: keys %q", classes, got)
		}
		if text, err := json.Marshal(s.Outputs[0].Classes); err != nil || string(text) != classes {
			t.Errorf("%s is written as %s, %v", classes, text, err)
		}
	}
}

func TestParseSignatureRefusesInputs(t *testing.T) {
	for input, says := range map[string]string{
		`3`:                                   "inputs[0]: expected an object",
		`{"type":"bool"}`:                     "inputs[0].name: name is missing",
		`{"name":"","type":"bool"}`:           "inputs[0].name: the name is empty",
		`{"name":7}`:                          "inputs[0].name: expected a string",
		`{"name":"a\u0000b","type":"bool"}`:   "control characters",
		`{"name":"a\u001b[1m","type":"bool"}`: "control characters",
		`{"name":"` + strings.Repeat("n", 1025) + `","type":"bool"}`: "1024 bytes",
		`{"name":"x"}`:                                                                                      "inputs[0].type: type is missing",
		`{"name":"x","type":"double"}`:                                                                      `inputs[0].type: unknown type "double"`,
		`{"name":"x","type":"bool","nullable":true}`:                                                        `inputs[0].nullable: this server does not know "nullable"`,
		`{"name":"x","type":"bool","missing":"yes"}`:                                                        "inputs[0].missing",
		`{"name":"x","type":"bool","unknown":"maybe"}`:                                                      "inputs[0].unknown",
		`{"name":"x","type":"bool","unknown":"refuse"}`:                                                     "needs a domain",
		`{"name":"x","type":"bool","sentinel":"?"}`:                                                         "only string columns have a sentinel",
		`{"name":"x","type":"string","missing":"allowed"}`:                                                  "needs a sentinel",
		`{"name":"x","type":"string","sentinel":"a\u0000"}`:                                                 "U+0000",
		`{"name":"x","type":"string","sentinel":"a","domain":["a"]}`:                                        "the sentinel is a value of the domain",
		`{"name":"x","type":"string","domain":["a","a"]}`:                                                   "inputs[0].domain[1]: the value",
		`{"name":"x","type":"string","domain":["a",1]}`:                                                     "inputs[0].domain[1]: expected a string",
		`{"name":"x","type":"string","domain":["a",null]}`:                                                  "inputs[0].domain[1]: expected a string, a number or a bool, got null",
		`{"name":"x","type":"string","domain":"a"}`:                                                         "inputs[0].domain: expected a list",
		`{"name":"x","type":"int8","domain":[128]}`:                                                         "an integer in range",
		`{"name":"x","type":"int64","domain":[1.5]}`:                                                        "an integer in range",
		`{"name":"x","type":"uint64","domain":[-1]}`:                                                        "an integer in range",
		`{"name":"x","type":"bool","domain":[0]}`:                                                           "true or false",
		`{"name":"x","type":"float32","domain":["1"]}`:                                                      "a number",
		`{"name":"x","type":"float32","domain":[1e999]}`:                                                    "a number",
		`{"name":"x","type":"bool","minimum":0}`:                                                            "a column of bool has no range",
		`{"name":"x","type":"string","maximum":9}`:                                                          "inputs[0].maximum: a column of string has no range",
		`{"name":"x","type":"float64","minimum":"0"}`:                                                       "inputs[0].minimum: expected a number, got the string",
		`{"name":"x","type":"float64","minimum":[0]}`:                                                       "inputs[0].minimum: expected a number, got a list",
		`{"name":"x","type":"float64","maximum":1e309}`:                                                     "1e309 is no value of float64",
		`{"name":"x","type":"float32","maximum":1e39}`:                                                      "1e39 is no value of float32",
		`{"name":"x","type":"float16","maximum":1e5}`:                                                       "1e5 is no value of float16",
		`{"name":"x","type":"int64","minimum":0.5}`:                                                         "0.5 is no value of int64",
		`{"name":"x","type":"int64","maximum":9223372036854775808}`:                                         "9223372036854775808 is no value of int64",
		`{"name":"x","type":"uint8","minimum":-1}`:                                                          "-1 is no value of uint8",
		`{"name":"x","type":"float64","minimum":2,"maximum":1}`:                                             "inputs[0].minimum: the minimum 2 is above the maximum 1",
		`{"name":"x","type":"int64","minimum":9007199254740993,"maximum":9007199254740992}`:                 "is above the maximum 9007199254740992",
		`{"name":"x","type":"bool","shape":[0]}`:                                                            "inputs[0].shape[0]: a dimension is positive",
		`{"name":"x","type":"bool","shape":[-2]}`:                                                           "a dimension is positive",
		`{"name":"x","type":"bool","shape":[1.5]}`:                                                          "inputs[0].shape[0]: expected an integer",
		`{"name":"x","type":"bool","shape":[65536,65536]}`:                                                  "one row would hold more",
		`{"name":"x","type":"bool","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}`:                            "17 dimensions",
		`{"name":"x","type":"bool","column":0,"shape":[2]}`:                                                 "leave the shape out",
		`{"name":"x","type":"bool","column":1}`:                                                             `the feed "x" has 1 columns`,
		`{"name":"x","type":"bool","column":-1}`:                                                            "counted from 0",
		`{"name":"x","type":"bool","column":"a"}`:                                                           "inputs[0].column: expected an integer",
		`{"name":"x","type":"bool"},{"name":"x","type":"bool"}`:                                             `inputs[1].name: "x" is already the name of number 0`,
		`{"name":"x","type":"bool","feed":"f"},{"name":"y","type":"bool","feed":"f"}`:                       "2 inputs share the feed",
		`{"name":"x","type":"bool","feed":"f","column":0},{"name":"y","type":"bool","feed":"f","column":0}`: "taken twice",
		`{"name":"x","type":"bool","feed":"f","column":0},{"name":"y","type":"bool","feed":"f","column":2}`: `has 2 columns, counted from 0, and this says 2`,
		`{"name":"x","type":"bool","feed":"f","column":0},{"name":"y","type":"bool","feed":"f"}`:            "each needs its column",
	} {
		t.Run(says, func(t *testing.T) {
			_, err := bundle.ParseSignature([]byte(`{"inputs":[` + input + `],"outputs":[{"name":"p","kind":"value"}]}`))
			refused(t, err, says)
		})
	}
}

func TestParseSignatureRefusesOutputs(t *testing.T) {
	for output, says := range map[string]string{
		`null`:                                "outputs[0]: expected an object, got null",
		`{"name":"p"}`:                        "outputs[0].kind: kind is missing",
		`{"name":"p","kind":"text"}`:          `expected "label", "probabilities" or "value"`,
		`{"name":"p","kind":"probabilities"}`: "need their classes",
		`{"name":"p","kind":"probabilities","classes":[]}`:                                                    "need their classes",
		`{"name":"p","kind":"probabilities","type":"string","classes":["a"]}`:                                 "probabilities are floats",
		`{"name":"p","kind":"probabilities","classes":["a","a"]}`:                                             "occurs twice",
		`{"name":"p","kind":"probabilities","classes":["0",0]}`:                                               "a number among classes that are strings",
		`{"name":"p","kind":"label","classes":["a"]}`:                                                         "only probabilities have classes",
		`{"name":"p","kind":"value","type":"float"}`:                                                          "outputs[0].type: unknown type",
		`{"name":"p","kind":"value","steps":[]}`:                                                              "update it",
		`{"name":"p","kind":"value","finite":1}`:                                                              "outputs[0].finite: expected true or false",
		`{"name":"p","kind":"label","finite":true}`:                                                           "outputs[0].finite: only floats",
		`{"name":"p","kind":"value","type":"int64","finite":true}`:                                            "outputs[0].finite: only floats",
		`{"name":"p","kind":"value","column":-1}`:                                                             "columns count from 0",
		`{"name":"p","kind":"value","column":99999999}`:                                                       "columns count from 0",
		`{"name":"p","kind":"value","shape":[0]}`:                                                             "outputs[0].shape[0]",
		`{"name":"p","kind":"value","tolerance":3}`:                                                           "outputs[0].tolerance: expected an object",
		`{"name":"p","kind":"value","tolerance":{}}`:                                                          "expected one of",
		`{"name":"p","kind":"value","tolerance":{"rel":1,"cosine":1}}`:                                        "expected one of",
		`{"name":"p","kind":"value","tolerance":{"rel":-1}}`:                                                  "outputs[0].tolerance.rel: expected a number from 0 to 0.1, got -1",
		`{"name":"p","kind":"value","tolerance":{"rel":0.11}}`:                                                "outputs[0].tolerance.rel: expected a number from 0 to 0.1, got 0.11",
		`{"name":"p","kind":"value","tolerance":{"rel":0.1,"abs":1e300}}`:                                     "outputs[0].tolerance.abs: expected a number from 0 to 0.1, got 1e+300: beyond that, \"proven\" would say nothing",
		`{"name":"p","kind":"value","tolerance":{"cosine":1.1}}`:                                              "from 0.5 to 1",
		`{"name":"p","kind":"label","tolerance":{"agreement":0.1}}`:                                           "from 0.5 to 1",
		`{"name":"p","kind":"value","tolerance":{"abs":"x"}}`:                                                 "outputs[0].tolerance.abs: expected a number",
		`{"name":"p","kind":"value","tolerance":{"abs":1,"ulp":1}}`:                                           "outputs[0].tolerance.ulp",
		`{"name":"p","kind":"value"},{"name":"p","kind":"value"}`:                                             "outputs[1].name",
		`{"name":"p","kind":"value","from":"m","column":0},{"name":"q","kind":"value","from":"m","column":0}`: "is already output 0",
	} {
		t.Run(says, func(t *testing.T) {
			_, err := bundle.ParseSignature([]byte(`{"inputs":[{"name":"x","type":"bool"}],"outputs":[` + output + `]}`))
			refused(t, err, says)
		})
	}
}

func TestParseSignatureRefusesTheWhole(t *testing.T) {
	for text, says := range map[string]string{
		`{}`:                         "signature.json: inputs: inputs is missing",
		`{"inputs":[],"outputs":[]}`: "at least one is needed",
		`{"inputs":{},"outputs":[]}`: "inputs: expected a list",
		`{"inputs":[],"outputs":[],"version":"1"}`: `does not know "version"`,
		`{"inputs":[],"inputs":[]}`:                "occurs twice",
		`null`:                                     "expected an object, got null",
	} {
		_, err := bundle.ParseSignature([]byte(text))
		refused(t, err, says)
	}
}

func TestParseSignatureRefusesUnusedColumns(t *testing.T) {
	for unused, says := range map[string]string{
		`"id"`:        "unused: expected a list",
		`[7]`:         "unused[0]: expected a string",
		`[""]`:        "unused[0].name: the name is empty",
		`["x"]`:       `unused[0].name: "x" is already the name of number 0`,
		`["a","a"]`:   `unused[1].name: "a" is already the name of number 1`,
		`["a\u001b"]`: "control characters",
		`["a"` + strings.Repeat(`,"a"`, 1<<16) + `]`: "more than 65536 are not supported",
	} {
		_, err := bundle.ParseSignature([]byte(`{"inputs":[{"name":"x","type":"bool"}],"unused":` + unused +
			`,"outputs":[{"name":"p","kind":"value"}]}`))
		refused(t, err, says)
	}
}

func TestParseSignatureBoundsColumns(t *testing.T) {
	many := strings.Repeat(`{"name":"x","type":"bool"},`, 70_000)
	_, err := bundle.ParseSignature([]byte(`{"inputs":[` + strings.TrimSuffix(many, ",") + `],"outputs":[]}`))
	refused(t, err, "findings")
}

func TestScalar(t *testing.T) {
	for _, text := range []string{`"a\u0000"`, `""`, `1.50`, `true`} {
		var s bundle.Scalar
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if out, err := json.Marshal(s); err != nil || string(out) != text {
			t.Errorf("%s comes back as %s, %v", text, out, err)
		}
	}
	for _, text := range []string{`null`, `[]`, `{}`} {
		var s bundle.Scalar
		if err := s.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s is taken for a scalar", text)
		}
	}
	if zero := (bundle.Scalar{}); zero.Key() != "" || zero.Kind() != "nothing" || zero.Value() != nil {
		t.Errorf("zero: %v", zero)
	}
}
