package bundle_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
)

var sum = strings.Repeat("0123456789abcdef", 4)

// listing is a manifest with these further members of files.
func listing(more string) string {
	return `{"bundle":1,"files":{"model.onnx":{"size":3,"sha256":"` + sum + `"}` + more + `}}`
}

func member(name string) string {
	return fmt.Sprintf(`,%q:{"size":1,"sha256":%q}`, name, sum)
}

func TestParseManifest(t *testing.T) {
	files := penguins(t)
	m, err := bundle.ParseManifest([]byte(manifest(t, files)))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "penguins" || m.Task != "classification" || m.Tags["team"] != "birds" || m.Kit != "tenon-kit 0.1" ||
		m.Metrics["accuracy"] != bundle.Number("0.98") || m.Created == "" || m.Bare() {
		t.Errorf("got %+v", m)
	}
	if len(m.Files) != len(files) || m.Files["README.md"] != (bundle.File{Size: 11, SHA256: digest("# penguins\n")}) {
		t.Errorf("files: %+v", m.Files)
	}
}

func TestParseManifestAccepts(t *testing.T) {
	for _, text := range []string{
		listing(""),
		listing(member("weights.bin") + member("Gewichte für März.bin") + member("-x") + member(strings.Repeat("w", 200))),
		listing(member("golden/requests.jsonl.gz") + member("golden/answers.jsonl.gz")),
		`{"bundle":1,"name":null,"unknown":{"a":[1]},"files":{"model.onnx":{"size":0,"sha256":"` + sum + `","mode":1}}}`,
	} {
		if _, err := bundle.ParseManifest([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParseManifestRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"empty":             {"", "not JSON"},
		"no JSON":           {"model", "not JSON"},
		"trailing bytes":    {listing("") + "{}", "not JSON"},
		"byte order mark":   {"\xef\xbb\xbf" + listing(""), "byte order mark"},
		"not UTF-8":         {"{\"bundle\":1,\"name\":\"\xff\"}", "UTF-8"},
		"a list":            {"[]", "expected an object, got a list"},
		"deep":              {`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}", "deeper"},
		"repeated key":      {`{"bundle":1,"bundle":1}`, "occurs twice"},
		"repeated file":     {listing(member("a") + member("a")), "occurs twice"},
		"no version":        {`{"files":{}}`, "bundle: bundle is missing"},
		"key in other case": {`{"Bundle":1,"files":{}}`, "bundle is missing"},
		"later version":     {`{"bundle":2,"files":{"x":1}}`, "update the server"},
		"version no number": {`{"bundle":"1","files":{}}`, `expected an integer, got the string "1"`},
		"no files":          {`{"bundle":1}`, "files is missing"},
		"files a list":      {`{"bundle":1,"files":[]}`, "expected an object"},
		"no model":          {`{"bundle":1,"files":{}}`, "model.onnx is not listed"},
		"file no object":    {`{"bundle":1,"files":{"model.onnx":3}}`, `manifest.json: files["model.onnx"]: expected an object`},
		"no size":           {`{"bundle":1,"files":{"model.onnx":{"sha256":"` + sum + `"}}}`, "size is missing"},
		"size negative":     {`{"bundle":1,"files":{"model.onnx":{"size":-1,"sha256":"` + sum + `"}}}`, "negative"},
		"size a float":      {`{"bundle":1,"files":{"model.onnx":{"size":1.5,"sha256":"` + sum + `"}}}`, "expected an integer"},
		"size huge":         {`{"bundle":1,"files":{"model.onnx":{"size":9223372036854775808,"sha256":"` + sum + `"}}}`, "integer"},
		"digest short":      {`{"bundle":1,"files":{"model.onnx":{"size":1,"sha256":"abc"}}}`, "64 lower-case hex"},
		"digest upper case": {`{"bundle":1,"files":{"model.onnx":{"size":1,"sha256":"` + strings.ToUpper(sum) + `"}}}`, "64 lower-case"},
		"name a number":     {`{"bundle":1,"name":3,"files":{}}`, "name: expected a string"},
		"tags no texts":     {`{"bundle":1,"tags":{"a":1},"files":{}}`, "tags.a: expected a string"},
		"metrics nested":    {`{"bundle":1,"metrics":{"a":{}},"files":{}}`, "metrics.a: expected a number"},
		"parent":            {listing(member("..")), "dot"},
		"up":                {listing(member("../x")), "plain names"},
		"absolute":          {listing(member("/etc/passwd")), "plain names"},
		"folder":            {listing(member("data/x")), "plain names"},
		"other golden":      {listing(member("golden/x")), "plain names"},
		"golden itself":     {listing(member("golden")), "folder"},
		"backslash":         {listing(member(`a\\b`)), "plain names"},
		"hidden":            {listing(member(".x")), "dot"},
		"empty name":        {listing(member("")), "empty"},
		"NUL":               {listing(`,"a\u0000b":{"size":1,"sha256":"` + sum + `"}`), "control characters"},
		"line break":        {listing(`,"a\nb":{"size":1,"sha256":"` + sum + `"}`), "control characters"},
		"long name":         {listing(member(strings.Repeat("w", 201))), "200 bytes"},
		"itself":            {listing(member("manifest.json")), "list itself"},
		"only case":         {listing(member("MODEL.onnx")), "only in case"},
		"half a golden set": {listing(member("golden/answers.jsonl.gz")), "come together"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := bundle.ParseManifest([]byte(c.text))
			if m != nil {
				t.Errorf("got a manifest: %+v", m)
			}
			refused(t, err, c.says)
		})
	}
}

func TestParseManifestBoundsFilesAndFindings(t *testing.T) {
	var many strings.Builder
	for i := range 5000 {
		many.WriteString(member(fmt.Sprintf("w%d", i)))
	}
	_, err := bundle.ParseManifest([]byte(listing(many.String())))
	refused(t, err, "at most 4096")
	many.Reset()
	for i := range 100 {
		many.WriteString(member(fmt.Sprintf("../%d", i)))
	}
	_, err = bundle.ParseManifest([]byte(listing(many.String())))
	refused(t, err, "80 more findings")
}

func TestParseManifestBoundsWhatIsSaid(t *testing.T) {
	about := func(members string) []byte {
		return []byte(`{"bundle":1,` + members + listing("")[len(`{"bundle":1`):])
	}
	var many strings.Builder
	for n := range 1001 {
		fmt.Fprintf(&many, `,"t%d":"1"`, n)
	}
	for members, says := range map[string]string{
		`"created":"2025-03-01T10:00:00.000000Z"`:               "",
		`"created":"2025-03-01T10:00:00+01:00"`:                 "",
		`"created":"yesterday"`:                                 "created: expected a time as in RFC 3339",
		`"created":"2025-03-01"`:                                "created: expected a time",
		`"description":"` + strings.Repeat("d", 64<<10) + `"`:   "",
		`"description":"` + strings.Repeat("d", 64<<10+1) + `"`: "description: 65537 bytes are more than the 65536",
		`"kit":"` + strings.Repeat("k", 5000) + `"`:             "kit: 5000 bytes",
		`"tags":{"a":"` + strings.Repeat("t", 4096) + `"}`:      `tags["a"]: 4097 bytes`,
		`"tags":{` + many.String()[1:] + `}`:                    "tags: 1001 are more than the 1000",
		`"metrics":{` + many.String()[1:] + `}`:                 "metrics: 1001 are more",
		`"metrics":{"` + strings.Repeat("m", 5000) + `":1}`:     "5000 bytes",
	} {
		_, err := bundle.ParseManifest(about(members))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%.60s: %v", members, err)
		}
	}
}

func TestBareManifest(t *testing.T) {
	raw := bundle.BareManifest(3, sum)
	if want := `{"bundle":1,"files":{"model.onnx":{"size":3,"sha256":"` + sum + `"}}}`; string(raw) != want {
		t.Errorf("got %s", raw)
	}
	m, err := bundle.ParseManifest(raw)
	if err != nil || !m.Bare() || m.Files["model.onnx"].Size != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	if got := bundle.Digest(raw); got != "sha256:"+digest(string(raw)) {
		t.Errorf("digest %s", got)
	}
}
