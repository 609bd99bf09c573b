package capture

import (
	"encoding/json"
	"testing"
)

func TestRedact(t *testing.T) {
	const example = `{"age":30,"name":"Ada","tags":["a","b"],"note":null}`
	for what, c := range map[string]struct {
		body, redact, only, example, want string
	}{
		"nothing":              {`{"instances":[{"age":1,"name":"Bob"}]}`, ``, "", example, `{"instances":[{"age":1,"name":"Bob"}]}`},
		"id and parameters":    {`{"id":"Bob","instances":[[1]],"parameters":{"who":"Bob"}}`, ``, "", "", `{"instances":[[1]]}`},
		"rows":                 {`{"instances":[{"age":1.50,"name":"Bob"},{"name":"Eve","age":1e400}]}`, `["name"]`, "", example, `{"instances":[{"age":1.50,"name":"Ada"},{"age":1e400,"name":"Ada"}]}`},
		"columns":              {`{"inputs":{"age":[1,2],"name":["Bob","Eve"]}}`, `["name"]`, "", example, `{"inputs":{"age":[1,2],"name":["Ada","Ada"]}}`},
		"a column with shape":  {`{"inputs":{"tags":[["x","y"],["z","z"]]}}`, `["tags"]`, "", example, `{"inputs":{"tags":[["a","b"],["a","b"]]}}`},
		"missing in the model": {`{"instances":[{"note":"Bob"}]}`, `["note"]`, "", example, `{"instances":[{"note":null}]}`},
		"not in the example":   {`{"instances":[{"ssn":"1-2-3"}]}`, `["ssn"]`, "", example, `{"instances":[{"ssn":null}]}`},
		"no example":           {`{"instances":[{"name":"Bob"}]}`, `["name"]`, "", ``, `{"instances":[{"name":null}]}`},
		"not in the request":   {`{"instances":[{"age":1}]}`, `["name","ssn"]`, "", example, `{"instances":[{"age":1}]}`},
		"bare values":          {`{"instances":["Bob","Eve"]}`, `["name"]`, "name", `"Ada"`, `{"instances":["Ada","Ada"]}`},
		"bare values named":    {`{"instances":["Bob"]}`, `["name"]`, "name", example, `{"instances":["Ada"]}`},
		"a bare column":        {`{"inputs":["Bob","Eve"]}`, `["name"]`, "name", `"Ada"`, `{"inputs":["Ada","Ada"]}`},
		"bare, not this one":   {`{"instances":[5.1]}`, `["unused"]`, "x", `5`, `{"instances":[5.1]}`},
		"whole, no list":       {`{"inputs":{"x":7}}`, `["x"]`, "x", ``, `{"inputs":{"x":null}}`},
		"escaped name":         {`{"instances":[{"n\u0061me":"Bob"}]}`, `["name"]`, "", example, `{"instances":[{"name":"Ada"}]}`},
	} {
		t.Run(what, func(t *testing.T) {
			got, err := redact(offer(t, c.body, c.redact, c.only, c.example))
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %v, want %s", got, err, c.want)
			}
		})
	}
}

// TestWhatCannotBeReadIsNotKept: nobody could tell what is to be struck out.
func TestWhatCannotBeReadIsNotKept(t *testing.T) {
	for _, body := range []string{
		``, `[]`, `{}`, `{"instances":`, `{"rows":[{"name":"Bob"}]}`, `{"instances":[["Bob"]]}`, `{"inputs":["Bob"]}`,
		`{"instances":[{"name":"Bob"}],"inputs":{"name":["Bob"]}}`,
	} {
		if got, err := redact(offer(t, body, `["name"]`, "", "")); err == nil {
			t.Errorf("%s is kept as %s", body, got)
		}
	}
	r := record(t, t.TempDir(), 1<<20, nil)
	r.kept(`{"instances":[["Bob"]]}`, func(o *Offer) { o.Redact, o.Example = []string{"name"}, func() json.RawMessage { return nil } })
	if c, err := r.Captures("iris"); err != nil || c.Requests != 0 || c.Skipped != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func offer(t *testing.T, body, columns, only, example string) *Offer {
	t.Helper()
	o := &Offer{Request: Request{Body: json.RawMessage(body)}, Only: only, Example: func() json.RawMessage { return json.RawMessage(example) }}
	if columns != "" {
		if err := json.Unmarshal([]byte(columns), &o.Redact); err != nil {
			t.Fatal(err)
		}
	}
	return o
}
