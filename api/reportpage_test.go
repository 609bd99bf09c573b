package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
)

// TestReportForPeopleAndPrograms: one address, and what it answers goes by who
// asks.
func TestReportForPeopleAndPrograms(t *testing.T) {
	r := serve(t)
	if a := r.upload("penguins", "application/x-tar", penguins(t).golden(t, 3, "3750.5000000001").tar(t, "penguins")); a.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	const path = "/v1/models/penguins/versions/1/report"
	for accept, page := range map[string]bool{
		"":          false,
		"*/*":       false,
		"text/*":    false,
		"text/html": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json":                        false,
		"text/html, application/json":             false,
		"text/html;q=0.8, application/json;q=0.9": false,
		"Text/HTML;q=0.9, application/json;q=0.8": true,
		"text/html;q=0":                           false,
		"text/html;q=soon":                        false,
		";,text/html;;":                           false,
	} {
		a := r.send("GET", path, "", "Accept", accept)
		kind, want := a.Header.Get("Content-Type"), "application/json"
		if page {
			want = "text/html; charset=utf-8"
		}
		if a.StatusCode != http.StatusOK || kind != want || a.Header.Get("Vary") != "Accept" {
			t.Errorf("%q: %d %s %q", accept, a.StatusCode, kind, a.Header.Get("Vary"))
		}
	}
	a := r.send("GET", path, "", "Accept", "text/html")
	for _, words := range []string{"<title>penguins/1: the server answers as the pipeline did</title>", `<svg role="img"`, "body mass (g)"} {
		if !strings.Contains(string(a.body), words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	if policy := a.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'unsafe-inline'") {
		t.Errorf("the policy is %q", policy)
	}
	var report wire.Report
	must(t, json.Unmarshal(r.send("GET", path, "").body, &report))
	if len(report.Columns) != 4 || report.Outputs[0].Plot.Labels == nil || len(report.Outputs[1].Plot.Points) != 3 {
		t.Errorf("%+v", report)
	}
	// What is not there is told as everywhere.
	wantProblem(t, r.send("GET", "/v1/models/penguins/versions/2/report", "", "Accept", "text/html"), 404, "version-not-found")
}

// TestNotes: what a bundle was exported with that matters is said in its
// report, on the page and of the version.
func TestNotes(t *testing.T) {
	r := serve(t)
	f := penguins(t).with("environment.json", `{"python":"3.11.9","packages":{"pandas":"2.2.3"}}`)
	if a := r.upload("penguins", "application/x-tar", f.tar(t, "penguins")); a.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	const path = "/v1/models/penguins/versions/1/report"
	var report wire.Report
	must(t, json.Unmarshal(r.send("GET", path, "").body, &report))
	v, err := r.Version(t.Context(), "penguins", 1)
	must(t, err)
	if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "pandas 2.2.3") || len(v.Notes) != 1 || v.Notes[0] != report.Notes[0] {
		t.Errorf("%q, %q", report.Notes, v.Notes)
	}
	page := string(r.send("GET", path, "", "Accept", "text/html").body)
	for _, words := range []string{"Not as it was at export", "pandas 2.2.3, where columns of text", "<dt>packages.pandas</dt><dd>2.2.3</dd>"} {
		if !strings.Contains(page, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
}
