package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"mime/multipart"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// TestMainJob goes the way of a data scientist and an application: push,
// deploy, predict, push again, look.
func TestMainJob(t *testing.T) {
	r := serve(t)
	tarred := penguins(t).tar(t, "penguins")
	first, err := r.Push(t.Context(), "penguins", bodyOf(tarred, false))
	must(t, err)
	if first.Model != "penguins" || first.Version != 1 || first.Existing || first.Parity != "proven" ||
		first.Report != "/v1/models/penguins/versions/1/report" || !strings.HasPrefix(first.Digest, "sha256:") {
		t.Errorf("%+v", first)
	}
	a := r.send("POST", "/v1/models/penguins/predict", `{"instances":[`+goodRow+`]}`)
	wantProblem(t, a, 409, "nothing-deployed")

	none := 0
	d, err := r.Deploy(t.Context(), "penguins", wire.Deploy{Traffic: wire.Stable(1), Expected: &none, Reason: "first light"})
	must(t, err)
	if d.Number != 2 || d.Stable != 1 || d.Reason != "first light" || d.Actor != "anonymous@127.0.0.1" || d.RequestID == "" {
		t.Errorf("%+v", d)
	}

	// The same bundle is the same version, by status and by words.
	again := r.upload("penguins", "application/x-tar", tarred)
	if again.StatusCode != http.StatusOK || again.Header.Get("Location") != "/v1/models/penguins/versions/1" {
		t.Errorf("%d %v", again.StatusCode, again.Header)
	}
	var existing wire.Published
	must(t, json.Unmarshal(again.body, &existing))
	if want := (wire.Published{Model: "penguins", Version: 1, Digest: first.Digest, Parity: "proven", Report: first.Report, Existing: true}); existing != want {
		t.Errorf("%+v, want %+v", existing, want)
	}
	r.swept()
	r.looksRight(first)
}

// looksRight holds every GET to what TestMainJob did.
func (r *rig) looksRight(first wire.Published) {
	t := r.t
	t.Helper()
	models, err := r.Models(t.Context())
	must(t, err)
	if len(models.Models) != 1 {
		t.Fatalf("%+v", models)
	}
	m := models.Models[0]
	if m.Name != "penguins" || !m.Ready || m.Stable != 1 || m.Latest != 1 || m.Versions != 1 || m.Parity != "proven" ||
		m.Problem != "" || m.Deployment == nil || m.Deployment.Number != 2 || m.Aliases == nil {
		t.Errorf("%+v", m)
	}
	if want := []wire.TFSStatus{{Version: "1", State: "AVAILABLE", Status: wire.TFSReason{Code: "OK"}}}; !reflect.DeepEqual(m.Status, want) {
		t.Errorf("status %+v", m.Status)
	}
	one, err := r.Model(t.Context(), parse(t, "penguins"))
	must(t, err)
	if s := one.Signature; s == nil || len(s.Inputs) != 5 || len(s.Outputs) != 4 {
		t.Fatalf("%+v", one)
	}
	if in := one.Signature.Inputs[0]; in.Unknown != "refuse" || !reflect.DeepEqual(in.Domain, []any{"Biscoe", "Dream"}) || in.Missing != "refused" {
		t.Errorf("%+v", in)
	}
	versions, err := r.Versions(t.Context(), "penguins")
	must(t, err)
	v, err := r.Version(t.Context(), "penguins", 1)
	must(t, err)
	if len(versions.Versions) != 1 || versions.Versions[0].Digest != first.Digest || v.Digest != first.Digest || !v.Stable ||
		!v.Loaded || v.Size == 0 || v.Task != "classification" || v.Metrics["accuracy"] != 0.98 || v.Created.IsZero() {
		t.Errorf("%+v\n%+v", versions, v)
	}
	deployments, err := r.Deployments(t.Context(), "penguins")
	must(t, err)
	if len(deployments.Deployments) != 1 || deployments.Deployments[0].Reason != "first light" {
		t.Errorf("%+v", deployments)
	}
	example, err := r.Example(t.Context(), "penguins", 1)
	must(t, err)
	answered, err := r.Predict(t.Context(), parse(t, "penguins/1"), example)
	must(t, err)
	if want := `{"model":"penguins","version":1,"predictions":[` + goodAnswer + `]}`; string(answered) != want {
		t.Errorf("the example %s is answered\n%s, want\n%s", example, answered, want)
	}
	var report wire.Report
	must(t, json.Unmarshal(r.send("GET", first.Report, "").body, &report))
	if report.Model != "penguins" || report.Digest != first.Digest || !report.Passed || report.Rows != 1 || report.Requests != 1 ||
		report.Why["hold-out"] != 1 || report.Engine != "fake" || report.Created.IsZero() || len(report.Outputs) != 4 || report.FailedRows != 0 {
		t.Errorf("%+v", report)
	}
}

func TestPredictForms(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	const head = `{"model":"penguins","version":1`
	for _, c := range []struct{ name, body, want string }{
		{"rows", `{"instances":[` + goodRow + `,{"island":"Biscoe","sex":null,"body mass (g)":null,"year":5.0,"scores":["NaN",1e-7,"-Infinity"]}]}`, ""},
		{
			"columns", `{"inputs":{"scores":[[1,0,0],[0,1,0]],"island":["Dream","Biscoe"],"sex":["male",null],"year":[1e3,-32768],"body mass (g)":["Infinity","NaN"]}}`,
			head + `,"outputs":{"label":["Dream","Biscoe"],"mass":["Infinity",null],"year":[1000,-32768],"probabilities":{"0":[1,0],"1":[0,1],"2":[0,0]}}}`,
		},
		{"id and parameters", `{"id":"a\"b","parameters":{"x":[1]},"instances":[` + goodRow + `]}`, head + `,"id":"a\"b","predictions":[` + goodAnswer + `]}`},
		{
			"a category outside an open domain", `{"instances":[` + strings.Replace(goodRow, "male", "unheard-of", 1) + `]}`,
			head + `,"predictions":[` + goodAnswer + `]}`,
		},
		{"white space", " \n\t" + `{ "instances" : [ ` + goodRow + " ] } \r\n", head + `,"predictions":[` + goodAnswer + `]}`},
	} {
		if c.name == "rows" { // NaN is refused where a value must be there
			a := r.send("POST", "/v1/models/penguins/predict", c.body)
			wantProblem(t, a, 400, "invalid-input", "instances[1].scores[0] missing")
			continue
		}
		a := r.send("POST", "/v1/models/penguins/predict", c.body)
		if a.StatusCode != 200 || string(a.body) != c.want || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s\nwant %s", c.name, a.StatusCode, a.body, c.want)
		}
		if h := a.Header; h.Get("Tenon-Model") != "penguins" || h.Get("Tenon-Version") != "1" || h.Get("Tenon-Parity") != "proven" {
			t.Errorf("%s: headers %v", c.name, h)
		}
	}
}

func TestPredictMedia(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	body := `{"instances":[` + goodRow + `]}`
	for _, header := range [][]string{
		nil,
		{"Content-Type", "application/json; charset=utf-8"},
		{"Content-Type", "application/vnd.api+json"},
		{"Content-Type", "application/x-www-form-urlencoded"}, // curl -d
		{"Content-Encoding", "identity"},
	} {
		if a := r.send("POST", "/v1/models/penguins/predict", body, header...); a.StatusCode != 200 {
			t.Errorf("%v: %d %s", header, a.StatusCode, a.body)
		}
	}
	if a := r.send("POST", "/v1/models/penguins/predict", zipped(t, body), "Content-Encoding", "gzip"); a.StatusCode != 200 {
		t.Errorf("gzip: %d %s", a.StatusCode, a.body)
	}
}

// TestBareModel serves a lone .onnx file: its tensors are its columns.
func TestBareModel(t *testing.T) {
	r := serve(t)
	v, err := r.Push(t.Context(), "bare", bodyOf(bare(), true))
	must(t, err)
	again, err := r.Push(t.Context(), "bare", bodyOf(bare(), true))
	must(t, err)
	if again.Digest != v.Digest || !again.Existing || v.Parity != "not-proven" {
		t.Errorf("%+v, then %+v", v, again)
	}
	_, err = r.Deploy(t.Context(), "bare", wire.Deploy{Traffic: wire.Stable(1)})
	must(t, err)
	for body, want := range map[string]string{
		`{"instances":[{"x":[1,2]},{"x":[3,null]}]}`: `"predictions":[{"x_out":[1,2]},{"x_out":[3,null]}]}`,
		`{"instances":[[1,2],[3,4]]}`:                `"predictions":[{"x_out":[1,2]},{"x_out":[3,4]}]}`,
		`{"inputs":{"x":[[1,2],[3,4]]}}`:             `"outputs":{"x_out":[[1,2],[3,4]]}}`,
		`{"inputs":[[1,2]]}`:                         `"outputs":{"x_out":[[1,2]]}}`,
	} {
		answered, err := r.Predict(t.Context(), parse(t, "bare"), []byte(body))
		if err != nil || !strings.HasSuffix(string(answered), want) {
			t.Errorf("%s: %s, %v", body, answered, err)
		}
	}
	wantProblem(t, r.send("GET", "/v1/models/bare/versions/1/example", ""), 404, "example-not-found")
	wantProblem(t, r.send("GET", "/v1/models/bare/versions/1/report", ""), 404, "report-not-found")
}

func TestForms(t *testing.T) {
	r := serve(t)
	form := func(parts ...string) ([]byte, string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for i := 0; i < len(parts); i += 2 {
			part, err := w.CreateFormFile(parts[i], "file")
			must(t, err)
			_, err = part.Write([]byte(parts[i+1]))
			must(t, err)
		}
		must(t, w.Close())
		return body.Bytes(), w.FormDataContentType()
	}
	tarred := string(penguins(t).tar(t, "penguins"))
	body, media := form("bundle", tarred)
	if a := r.upload("penguins", media, body); a.StatusCode != http.StatusCreated {
		t.Errorf("bundle: %d %s", a.StatusCode, a.body)
	}
	body, media = form("model", string(bare()))
	if a := r.upload("bare", media, body); a.StatusCode != http.StatusCreated {
		t.Errorf("model: %d %s", a.StatusCode, a.body)
	}
	for name, parts := range map[string][]string{
		"another name": {"file", tarred}, "no part": {}, "two parts": {"bundle", tarred, "bundle", tarred},
		"a bundle and a model": {"model", string(bare()), "bundle", tarred},
	} {
		body, media = form(parts...)
		t.Run(name, func(t *testing.T) {
			wantProblem(t, r.upload("refused", media, body), 400, "invalid-request")
			r.untouched("refused")
		})
	}
	body, media = form("model", string(bare()))
	wantProblem(t, r.upload("refused", media, body[:len(body)-20]), 400, "invalid-encoding")
	wantProblem(t, r.upload("refused", "multipart/form-data", body), 400, "invalid-request")
	wantProblem(t, r.upload("refused", media, nil), 400, "invalid-request")
	r.untouched("refused")
}

// TestBundleTravels: what comes out is what went in, and is the same version
// elsewhere.
func TestBundleTravels(t *testing.T) {
	here, there := serve(t), serve(t)
	v := here.pushed("penguins", penguins(t).tar(t, "penguins"))
	a := here.send("GET", "/v1/models/penguins/versions/1/bundle", "")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/x-tar" || a.Header.Get("ETag") != `"`+v.Digest+`"` ||
		a.Header.Get("Content-Disposition") != `attachment; filename="penguins.tenon"` {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	moved, err := there.Push(t.Context(), "penguins", bodyOf(a.body, false))
	must(t, err)
	if moved.Digest != v.Digest || moved.Existing {
		t.Errorf("%+v, was %+v", moved, v)
	}
	wantProblem(t, here.send("GET", "/v1/models/penguins/versions/2/bundle", ""), 404, "version-not-found")
}

func TestNotThere(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	_, err := r.Push(t.Context(), "penguins", bodyOf(penguins(t).with("golden/requests.jsonl.gz", "").
		with("golden/answers.jsonl.gz", "").tar(t, "penguins"), false))
	must(t, err)
	row := `{"instances":[` + goodRow + `]}`
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/v1/models/nobody/predict", row, 404, "model-not-found"},
		{"POST", "/v1/models/penguins/versions/9/predict", row, 404, "version-not-found"},
		{"POST", "/v1/models/penguins@champion/predict", row, 404, "alias-not-found"},
		{"POST", "/v1/models/penguins/versions/2/predict", row, 409, "not-loaded"},
		{"POST", "/v1/models/penguins@champion/versions/1/predict", row, 400, "invalid-reference"},
		{"POST", "/v1/models/nobody/deployments", `{"stable":1}`, 404, "model-not-found"},
		{"POST", "/v1/models/penguins/deployments", `{"stable":9}`, 404, "version-not-found"},
		{"GET", "/v1/models/nobody", "", 404, "model-not-found"},
		{"GET", "/v1/models/penguins@champion", "", 404, "alias-not-found"},
		{"GET", "/v1/models/nobody/versions", "", 404, "model-not-found"},
		{"GET", "/v1/models/nobody/deployments", "", 404, "model-not-found"},
		{"GET", "/v1/models/nobody/versions/1", "", 404, "model-not-found"},
		{"GET", "/v1/models/penguins/versions/9", "", 404, "version-not-found"},
		{"GET", "/v1/models/penguins/versions/9/example", "", 404, "version-not-found"},
		{"GET", "/v1/models/penguins/versions/9/report", "", 404, "version-not-found"},
	} {
		wantProblem(t, r.send(c.method, c.path, c.body), c.status, c.code)
	}
	// The body is read, and wrong bodies are told, only for what can answer.
	p := wantProblem(t, r.send("POST", "/v1/models/penguins/versions/2/predict", "junk"), 409, "not-loaded")
	if !strings.Contains(p.Detail, "tenon deploy penguins/2") {
		t.Errorf("no command in %q", p.Detail)
	}
	var problem *client.Problem
	if _, err := r.Model(t.Context(), parse(t, "nobody")); !errors.As(err, &problem) || problem.Code != "model-not-found" {
		t.Errorf("the client says %v", err)
	}
}

// TestAlias: a version with an alias is loaded and answers to it, in traffic
// or not.
func TestAlias(t *testing.T) {
	before := serve(t)
	before.pushed("penguins", penguins(t).tar(t, "penguins"))
	_, err := before.Push(t.Context(), "bare", bodyOf(bare(), true))
	must(t, err)
	store, err := registry.Open(before.root, registry.Options{})
	must(t, err)
	by := registry.Stamp{Actor: "ada", RequestID: "alias"}
	must(t, store.SetAlias(t.Context(), "bare", "champion", 1, nil, by))

	r := serve(t, func(s *setup) { s.root = before.root })
	a := r.send("POST", "/v1/models/bare@champion/predict", `{"instances":[[1,2]]}`)
	if a.StatusCode != 200 || a.Header.Get("Tenon-Version") != "1" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	m, err := r.Model(t.Context(), parse(t, "bare@champion"))
	must(t, err)
	if m.Aliases["champion"] != 1 || m.Ready || m.Stable != 0 || m.Signature == nil || m.Signature.Inputs[0].Name != "x" {
		t.Errorf("%+v", m)
	}
	if m, err = r.Model(t.Context(), parse(t, "bare")); err != nil || m.Signature != nil {
		t.Errorf("nothing is in traffic, and yet %+v, %v", m.Signature, err)
	}
}

// TestWholeOutputs: an answer that is not one value per row fits the form of
// columns only, and is refused whole in the other.
func TestWholeOutputs(t *testing.T) {
	fake := &engine.Fake{Compute: func(context.Context, engine.Graph, []*tensor.Tensor) ([]*tensor.Tensor, error) {
		return []*tensor.Tensor{tensor.New(tensor.Float32, 3)}, nil
	}}
	r := serve(t, func(s *setup) { s.engine = fake })
	_, err := r.Push(t.Context(), "bare", bodyOf(bare(), true))
	must(t, err)
	_, err = r.Deploy(t.Context(), "bare", wire.Deploy{Traffic: wire.Stable(1)})
	must(t, err)
	if a := r.send("POST", "/v1/models/bare/predict", `{"inputs":{"x":[[1,2]]}}`); !strings.HasSuffix(string(a.body), `"outputs":{"x_out":[0,0,0]}}`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	wantProblem(t, r.send("POST", "/v1/models/bare/predict", `{"instances":[[1,2]]}`), 400, "invalid-request")
}

func TestAbout(t *testing.T) {
	r := serve(t)
	var about wire.About
	must(t, json.Unmarshal(r.send("GET", "/version", "").body, &about))
	if about.Version != "test" || about.Engine != "fake" || about.Registry != r.manager.Registry() || about.Registry == "" {
		t.Errorf("%+v", about)
	}
	if a := r.send("GET", "/v1/models", ""); string(a.body) != `{"models":[]}` {
		t.Errorf("no models: %s", a.body)
	}
}
