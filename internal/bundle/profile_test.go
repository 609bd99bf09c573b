package bundle_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
)

const profiled = `{"inputs":[
  {"name":"x","type":"float64"},{"name":"s","type":"string"},{"name":"b","type":"bool"},
  {"name":"v","type":"float32","shape":[2]}],
 "outputs":[
  {"name":"label","kind":"label","type":"string"},
  {"name":"p","kind":"probabilities","type":"float64","classes":[0,1]},
  {"name":"n","kind":"value","type":"float64"}]}`

func profiledSignature(t *testing.T) *bundle.Signature {
	t.Helper()
	s, err := bundle.ParseSignature([]byte(profiled))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	bins  = `{"kind":"numeric","missing":1,"non_finite":1,"min":0,"max":9,"mean":3.5,"edges":[1,2.5],"counts":[2,3,1]}`
	kinds = `{"kind":"categorical","missing":2,"categories":[{"value":"a","count":4},{"value":"b","count":1}],"other":1,"distinct":3}`
)

func TestParseProfile(t *testing.T) {
	s := profiledSignature(t)
	for name, text := range map[string]string{
		"whole": `{"rows":8,"inputs":{"x":` + bins + `,"s":` + kinds + `,"b":` + kinds + `,
			"v":{"kind":"array","elements":[` + bins + `,` + bins + `]}},
			"outputs":{"label":` + kinds + `,"p":{"kind":"probabilities","classes":{"0":` + bins + `,"1":` + bins + `}},"n":` + bins + `}}`,
		"nothing":            `{}`,
		"an earlier kit's":   `{"inputs":{"x":{"bins":[1,2]}}}`,
		"a later kit's":      `{"rows":8,"sketch":{},"inputs":{"x":{"kind":"sketch","counts":["?"]}},"outputs":{"p":{"kind":"sketch"}}}`,
		"one over all":       `{"rows":4,"inputs":{"v":` + bins + `}}`,
		"only missing":       `{"rows":3,"inputs":{"x":{"kind":"numeric","missing":3,"min":null,"max":null,"mean":null,"edges":[],"counts":[0]}}}`,
		"equal numbers":      `{"rows":3,"inputs":{"x":{"kind":"numeric","min":0.1,"max":0.1,"mean":0.10000000000000002,"edges":[0.1],"counts":[3,0]}}}`,
		"labels in integers": `{"rows":8,"outputs":{"label":` + bins + `}}`,
	} {
		if _, err := bundle.ParseProfile([]byte(text), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := bundle.ParseProfile([]byte(text), nil); err != nil {
			t.Errorf("%s, without a signature: %v", name, err)
		}
	}
}

func TestParseProfileRefusesWhatCannotBeTrue(t *testing.T) {
	s := profiledSignature(t)
	x := func(members string) string { return `{"rows":8,"inputs":{"x":{"kind":"numeric",` + members + `}}}` }
	c := func(members string) string { return `{"rows":8,"inputs":{"s":{"kind":"categorical",` + members + `}}}` }
	for text, says := range map[string]string{
		`[]`:                                      "expected an object",
		`{"rows":-1}`:                             "rows: a count cannot be negative",
		`{"rows":"8"}`:                            "rows: expected an integer",
		`{"rows":1,"rows":1}`:                     "occurs twice",
		`{"inputs":{"y":{}}}`:                     `inputs.y: the signature has no input "y"`,
		`{"outputs":{"y":{}}}`:                    `the signature has no output "y"`,
		`{"inputs":{"x":3}}`:                      "inputs.x: expected an object",
		`{"inputs":{"x":` + kinds + `}}`:          "a float64 has bins",
		`{"inputs":{"s":` + bins + `}}`:           "a string has categories",
		`{"inputs":{"b":` + bins + `}}`:           "a bool has categories",
		`{"outputs":{"n":` + kinds + `}}`:         "a float64 has bins",
		`{"rows":9,"inputs":{"x":` + bins + `}}`:  "inputs.x: its counts make 8, and the training frame has 9",
		`{"rows":9,"inputs":{"s":` + kinds + `}}`: "its counts make 8",
		`{"rows":8,"inputs":{"v":` + bins + `}}`:  "has 16",
		`{"rows":8,"inputs":{"v":{"kind":"array","elements":[` + bins + `]}}}`:                                               "a row has 2 elements, and 1 are described",
		`{"rows":8,"inputs":{"v":{"kind":"array","elements":[3,` + bins + `]}}}`:                                             "inputs.v.elements[0]: expected an object",
		`{"rows":8,"inputs":{"v":{"kind":"array"}}}`:                                                                         "elements is missing",
		`{"rows":8,"outputs":{"p":{"kind":"probabilities","classes":{"0":` + bins + `}}}}`:                                   `outputs.p.classes.1: 1 is missing`,
		`{"rows":8,"outputs":{"p":{"kind":"probabilities","classes":{"0":` + bins + `,"1":` + bins + `,"2":` + bins + `}}}}`: `has no class "2"`,
		x(`"edges":[1],"counts":[8,0],"unseen":9`):                                                                           "inputs.x.unseen: 9 unseen values are more than the training frame's 8",
		x(`"edges":[2,1],"counts":[8,0,0]`):                                                                                  "inputs.x.edges[1]: 1 does not rise above 2",
		x(`"edges":[1,1],"counts":[8,0,0]`):                                                                                  "does not rise",
		x(`"edges":[1e999],"counts":[8,0]`):                                                                                  "expected a finite number",
		x(`"edges":["1"],"counts":[8,0]`):                                                                                    "expected a finite number",
		x(`"edges":[1],"counts":[8]`):                                                                                        "1 edges make 2 bins, and 1 are counted",
		x(`"edges":[1],"counts":[9,-1]`):                                                                                     "inputs.x.counts[1]: expected a count",
		x(`"edges":[1],"counts":[7.5,0.5]`):                                                                                  "expected a count",
		x(`"edges":[1],"counts":[8,0],"missing":-1`):                                                                         "inputs.x.missing: a count cannot be negative",
		x(`"edges":[1],"counts":[8,0],"min":2,"max":3`):                                                                      "do not agree",
		x(`"edges":[1],"counts":[8,0],"min":0,"max":0.5`):                                                                    "do not agree",
		x(`"edges":[1],"counts":[8,0],"min":0,"max":3,"mean":4`):                                                             "do not agree",
		x(`"edges":[],"counts":[8],"min":3,"max":1`):                                                                         "do not agree",
		x(`"edges":[],"counts":[` + strings.Repeat("0,", 1001) + `8]`):                                                       "are more than 1000",
		c(`"categories":[{"value":"a","count":4},{"value":"a","count":4}]`):                                                  `"a" is counted twice`,
		c(`"categories":[{"value":"a","count":3},{"value":"b","count":5}]`):                                                  "more than the category before it",
		c(`"categories":[{"value":1,"count":8}]`):                                                                            "value: expected a string",
		c(`"categories":["a"]`):                                                                                              "expected an object",
		c(`"categories":[{"value":"a","count":8}],"distinct":0`):                                                             "0 distinct values do not go with 1 categories",
		c(`"categories":[{"value":"a","count":7}],"other":1,"distinct":1`):                                                   "and 1 others",
		c(`"categories":[` + strings.Repeat(`0,`, 10_000) + `0]`):                                                            "are more than 10000",
	} {
		_, err := bundle.ParseProfile([]byte(text), s)
		refused(t, err, says)
	}
}

// TestLabelsAreClasses holds the texts of a label to the probabilities beside it.
func TestLabelsAreClasses(t *testing.T) {
	s, err := bundle.ParseSignature([]byte(`{"inputs":[{"name":"x","type":"float64"}],"outputs":[
		{"name":"label_0","kind":"label","type":"string"},
		{"name":"probabilities_0","kind":"probabilities","type":"float64","classes":["a","b"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	said := func(value string) error {
		_, err := bundle.ParseProfile([]byte(`{"rows":3,"outputs":{"label_0":{"kind":"categorical","categories":[
			{"value":"a","count":2},{"value":"`+value+`","count":1}]}}}`), s)
		return err
	}
	if err := said("b"); err != nil {
		t.Error(err)
	}
	const want = `outputs.label_0.categories[1].value: "c" is no class of the signature's output "probabilities_0"`
	if err := said("c"); err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}

func TestOpenRefusesAProfileThatLies(t *testing.T) {
	files := penguins(t)
	files["profile.json"] = `{"rows":2,"inputs":{"x":{"kind":"numeric","edges":[1],"counts":[1,2]}}}`
	_, err := bundle.Open(os.DirFS(unpack(t, files)))
	refused(t, err, "profile.json: inputs.x: its counts make 3, and the training frame has 2")
}

func TestCoverage(t *testing.T) {
	files := penguins(t)
	files["golden/coverage.json"] = `{"rows": 3, "inputs": {"x": {"missing": false, "bins": [2, 20], "later": []}},
		"trees": {"trees": 3, "leaves": 8, "reached": 8, "splits": 7, "both_sides": 6}, "later": 1}`
	b, err := bundle.Open(os.DirFS(unpack(t, files)))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b.Coverage); !strings.HasPrefix(got, `{"rows":3,"inputs":{"x":{"missing":false,"bins":[2,20]`) {
		t.Errorf("coverage is %s", got)
	}
}

func TestCoverageRefusesWhatCannotBeTrue(t *testing.T) {
	for text, says := range map[string]string{
		`[]`:                                                                 "golden/coverage.json: expected an object",
		`{"rows":-3}`:                                                        "rows: a count cannot be negative",
		`{"inputs":{"y":{}}}`:                                                `the signature has no input "y"`,
		`{"inputs":{"x":1}}`:                                                 "inputs.x: expected an object",
		`{"inputs":{"x":{"bins":3}}}`:                                        "inputs.x.bins: expected a list",
		`{"inputs":{"x":{"bins":[3]}}}`:                                      "expected [seen, of]",
		`{"inputs":{"x":{"bins":[4,3]}}}`:                                    "expected [seen, of]",
		`{"inputs":{"x":{"bins":[-1,3]}}}`:                                   "expected [seen, of]",
		`{"inputs":{"x":{"bins":[1,"3"]}}}`:                                  "expected [seen, of]",
		`{"trees":{"leaves":3,"reached":4}}`:                                 "trees.reached: 4 of 3 leaves are more than there are",
		`{"trees":{"splits":3,"both_sides":4}}`:                              "4 of 3 splits",
		`{"rows":1,"inputs":{"x":{"missing":true}}}`:                         "the signature refuses missing values",
		`{"rows":1,"inputs":{"x":{"unseen":true}}}`:                          "inputs.x.unseen: the signature refuses such values, or the input is a number",
		`{"rows":1,"inputs":{"x":{"missing":1}}}`:                            "inputs.x.missing",
		`{"rows":1,"inputs":{"x":{"categories":[1,2]}}}`:                     "the input is a number: it has bins",
		`{"rows":2,"inputs":{"x":{"bins":[3,20]}}}`:                          "3 of 20 are more than 2 rows reach",
		`{"rows":9,"inputs":{"x":{"bins":[3,21]}}}`:                          "or than a profile has",
		`{"rows":1,"trees":{"trees":2,"leaves":1}}`:                          "2 trees have 1 leaves",
		`{"rows":9,"trees":{"trees":1,"leaves":900000}}`:                     "cannot hold so many leaves",
		`{"rows":9,"trees":{"trees":1,"leaves":2,"splits":900000}}`:          "cannot hold so many leaves",
		`{"rows":3,"trees":{"trees":2,"leaves":9,"reached":7}}`:              "3 rows reach at most 6 leaves of 2 trees, not 7",
		`{"rows":9223372036854775807,"trees":{"trees":9223372036854775807}}`: "have 0 leaves",
		`{"later":"` + strings.Repeat("x", 1<<20) + `"}`:                     "which is the limit",
	} {
		files := penguins(t)
		files["golden/coverage.json"] = text
		_, err := bundle.Open(os.DirFS(unpack(t, files)))
		refused(t, err, says)
	}
	files := penguins(t)
	delete(files, "golden/requests.jsonl.gz")
	delete(files, "golden/answers.jsonl.gz")
	files["golden/coverage.json"] = `{}`
	_, err := bundle.Open(os.DirFS(unpack(t, files)))
	refused(t, err, "golden/coverage.json tells of a golden set")
}

func TestProfilesOfTheFirstRegistryAreTrue(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../../testdata/registry/v1", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(strings.Join(strings.Fields(string(data)), ""), `{"rows":`) {
			return err
		}
		found++
		_, err = bundle.ParseProfile(data, nil)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if found == 0 {
		t.Skip("the registry of the first format holds no profile")
	}
}
