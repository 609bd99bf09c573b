package api_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/core"
)

// row is goodRow with some text replaced.
func row(old, new string) string { return strings.Replace(goodRow, old, new, 1) }

func rows(all ...string) string { return `{"instances":[` + strings.Join(all, ",") + `]}` }

// columns is a body in the other form, with one member replaced.
func columns(old, new string) string {
	const good = `{"inputs":{"island":["Dream","Biscoe"],"sex":["male",null],"body mass (g)":[1,2],"year":[1,2],"scores":[[1,2,3],[4,5,6]]}}`
	return strings.Replace(good, old, new, 1)
}

// TestBadBody has a line for everything that a predict body can get wrong.
// Each names field and row, and none is answered in part.
func TestBadBody(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	long := strings.Repeat("ä", 100)
	for name, c := range map[string]struct {
		body, code string
		places     []string
	}{
		"empty body":         {"", "invalid-json", nil},
		"truncated":          {`{"instances":[{"island":"Dr`, "invalid-json", nil},
		"truncated after":    {`{"instances":[` + goodRow + `]`, "invalid-json", nil},
		"single quotes":      {`{'instances':[]}`, "invalid-json", nil},
		"a bare NaN":         {rows(row("3750.5", "NaN")), "invalid-json", nil},
		"a comma too many":   {rows(goodRow, ""), "invalid-json", nil},
		"trailing bytes":     {rows(goodRow) + "x", "invalid-json", nil},
		"a second value":     {rows(goodRow) + rows(goodRow), "invalid-json", nil},
		"byte order mark":    {"\xef\xbb\xbf" + rows(goodRow), "invalid-json", nil},
		"not UTF-8":          {rows(row("male", "\xff")), "invalid-json", nil},
		"unpaired surrogate": {rows(row("male", `\ud800`)), "invalid-json", nil},
		"leading zero":       {rows(row("2007", "02007")), "invalid-json", nil},
		"nested too deep":    {`{"parameters":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100) + "}", "invalid-json", nil},
		"a list":             {`[` + goodRow + `]`, "invalid-request", nil},

		"no form":               {`{}`, "invalid-request", []string{}},
		"only an id":            {`{"id":"a"}`, "invalid-request", []string{}},
		"unknown key":           {`{"instance":[]}`, "invalid-request", []string{"instance request"}},
		"keys are exact":        {`{"Instances":[]}`, "invalid-request", []string{"Instances request"}},
		"both forms":            {`{"instances":[` + goodRow + `],"inputs":{}}`, "invalid-request", []string{"inputs request"}},
		"duplicate form":        {`{"instances":[` + goodRow + `],"instances":[]}`, "invalid-request", []string{"instances request"}},
		"duplicate id":          {`{"id":"a","id":"a"}`, "invalid-request", []string{"id request"}},
		"id of another type":    {`{"id":1,"instances":[]}`, "invalid-request", []string{"id request"}},
		"parameters of another": {`{"parameters":[],"instances":[]}`, "invalid-request", []string{"parameters request"}},

		"empty batch":           {`{"instances":[]}`, "invalid-input", []string{"instances empty"}},
		"no columns":            {`{"inputs":{}}`, "invalid-input", []string{"inputs.island absent-column", "inputs.sex absent-column", `inputs["body mass (g)"] absent-column`, "inputs.year absent-column", "inputs.scores absent-column"}},
		"empty columns":         {`{"inputs":{"island":[],"sex":[],"body mass (g)":[],"year":[],"scores":[]}}`, "invalid-input", []string{"inputs empty"}},
		"rows are no list":      {`{"instances":{}}`, "invalid-input", []string{"instances type"}},
		"columns are no object": {`{"inputs":[1]}`, "invalid-input", []string{"inputs type"}},
		"a row is no object":    {rows(goodRow, "[1]"), "invalid-input", []string{"instances[1] type"}},
		"a column is no list":   {columns(`["male",null]`, `"male"`), "invalid-input", []string{"inputs.sex type"}},

		"unknown column":        {rows(goodRow, row(`"year"`, `"Year"`)), "invalid-input", []string{"instances[1].Year unknown-column", "instances[1].year absent-column"}},
		"missing column":        {rows(goodRow, row(`,"year":2007`, "")), "invalid-input", []string{"instances[1].year absent-column"}},
		"duplicate column":      {rows(row(`"year":2007`, `"year":2007,"year":2007`)), "invalid-input", []string{"instances[0].year duplicate-key"}},
		"duplicate, by escapes": {rows(row(`"year":2007`, `"year":2007,"ye\u0061r":2007`)), "invalid-input", []string{"instances[0].year duplicate-key"}},
		"unknown input":         {columns(`"year"`, `"Year"`), "invalid-input", []string{"inputs.Year unknown-column", "inputs.year absent-column"}},
		"duplicate input":       {columns(`"year":[1,2]`, `"year":[1,2],"year":[1,2]`), "invalid-input", []string{"inputs.year duplicate-key"}},
		"rows that differ":      {rows(goodRow, row(`,"scores":[0.5,0.25,0.25]`, ""), row(`{`, `{"more":1,`)), "invalid-input", []string{"instances[1].scores absent-column", "instances[2].more unknown-column"}},
		"a long unknown column": {rows(row(`{`, `{"`+long+`":1,`)), "invalid-input", []string{"instances[0]." + strings.Repeat("ä", 64) + "… unknown-column"}},

		"a string for a number":   {rows(goodRow, row("3750.5", `"heavy"`)), "invalid-input", []string{`instances[1]["body mass (g)"] type`}},
		"a number for a string":   {rows(row(`"male"`, "1")), "invalid-input", []string{"instances[0].sex type"}},
		"a bool for a number":     {rows(row("2007", "true")), "invalid-input", []string{"instances[0].year type"}},
		"an object for a number":  {rows(row("2007", "{}")), "invalid-input", []string{"instances[0].year type"}},
		"a fraction":              {rows(row("2007", "5.5")), "invalid-input", []string{"instances[0].year type"}},
		"an integer as a string":  {rows(row("2007", `"2007"`)), "invalid-input", []string{"instances[0].year type"}},
		"over the integer":        {rows(goodRow, row("2007", "32768")), "invalid-input", []string{"instances[1].year range"}},
		"under the integer":       {columns(`"year":[1,2]`, `"year":[1,-32769]`), "invalid-input", []string{"inputs.year[1] range"}},
		"over every integer":      {rows(row("2007", "1e400")), "invalid-input", []string{"instances[0].year range"}},
		"over float64":            {rows(row("3750.5", "1e400")), "invalid-input", []string{`instances[0]["body mass (g)"] range`}},
		"over float32":            {rows(row("[0.5,", "[1e39,")), "invalid-input", []string{"instances[0].scores[0] range"}},
		"missing is refused":      {rows(goodRow, row(`"Dream"`, "null"), row("2007", "null")), "invalid-input", []string{"instances[1].island missing", "instances[2].year missing"}},
		"NaN in a whole number":   {rows(row("2007", `"NaN"`)), "invalid-input", []string{"instances[0].year type"}},
		"outside a closed domain": {columns(`["Dream","Biscoe"]`, `["Dream","Torgersen"]`), "invalid-input", []string{"inputs.island[1] domain"}},
		"the sentinel":            {rows(row("male", "\ue000")), "invalid-input", []string{"instances[0].sex reserved"}},
		"U+0000":                  {rows(row("male", `ma\u0000le`)), "invalid-input", []string{"instances[0].sex reserved"}},
		"a short vector":          {rows(goodRow, row("[0.5,0.25,0.25]", "[1,2]")), "invalid-input", []string{"instances[1].scores shape"}},
		"a long vector":           {rows(row("[0.5,0.25,0.25]", "[1,2,3,4]")), "invalid-input", []string{"instances[0].scores shape"}},
		"a deep vector":           {rows(row("[0.5,0.25,0.25]", "[[1],2,3]")), "invalid-input", []string{"instances[0].scores[0] type"}},
		"no vector":               {rows(row("[0.5,0.25,0.25]", "1")), "invalid-input", []string{"instances[0].scores shape"}},
		"an empty vector":         {rows(row("[0.5,0.25,0.25]", "[]")), "invalid-input", []string{"instances[0].scores shape"}},
		"ragged columns":          {columns(`["male",null]`, `["male"]`), "invalid-input", []string{"inputs.sex shape"}},
		"a ragged vector":         {columns("[4,5,6]", "[4,5]"), "invalid-input", []string{"inputs.scores[1] shape"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.send("POST", "/v1/models/penguins/predict", c.body)
			p := wantProblem(t, a, 400, c.code, c.places...)
			for _, f := range p.Errors {
				if len([]rune(f.Detail)) > 300 {
					t.Errorf("a long echo: %s", f.Detail)
				}
			}
			if bytes.Contains(a.body, []byte(`"predictions":`)) {
				t.Errorf("a part of an answer: %s", a.body)
			}
		})
	}
	if a := r.send("POST", "/v1/models/penguins/predict", rows(goodRow)); a.StatusCode != 200 {
		t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
	}
}

// TestFindingsAreBounded: a body that is wrong everywhere does not make an
// answer of its size.
func TestFindingsAreBounded(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	wrong := make([]string, 1000)
	for i := range wrong {
		wrong[i] = row("2007", "null")
	}
	p := wantProblem(t, r.send("POST", "/v1/models/penguins/predict", rows(wrong...)), 400, "invalid-input")
	if len(p.Errors) != 20 || p.Errors[19].Path != "instances[19].year" {
		t.Errorf("%d findings, the last %+v", len(p.Errors), p.Errors[len(p.Errors)-1])
	}
}

// chunked hides a body's length, so that it is sent in chunks.
type chunked struct{ io.Reader }

func TestBodyLimits(t *testing.T) {
	const limit = 64 << 10
	r := serve(t, func(s *setup) { s.api.Body = core.Limits{Body: limit, Timeout: time.Minute} })
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	predict := func(body string, header ...string) answer {
		return r.send("POST", "/v1/models/penguins/predict", body, header...)
	}
	fits := rows(goodRow) + strings.Repeat(" ", limit-len(rows(goodRow)))
	if a := predict(fits); a.StatusCode != 200 {
		t.Errorf("a body of the limit: %d %s", a.StatusCode, a.body)
	}
	for name, a := range map[string]answer{
		"announced":       predict(fits + " "),
		"in chunks":       r.do(r.request("POST", "/v1/models/penguins/predict", chunked{strings.NewReader(fits + " ")})),
		"much, in chunks": r.do(r.request("POST", "/v1/models/penguins/predict", chunked{strings.NewReader(strings.Repeat(" ", 50*limit))})),
		"unfolded":        predict(zipped(t, fits+" "), "Content-Encoding", "gzip"),
	} {
		wantProblem(t, a, 413, "body-too-large")
		if name != "unfolded" && !a.Close {
			t.Errorf("%s: the connection is kept although the body is not read", name)
		}
	}
	wantProblem(t, r.send("POST", "/v1/models/penguins/deployments", `{"stable":1,"reason":"`+strings.Repeat("a", 64<<10)+`"}`), 413, "body-too-large")
	if a := predict(rows(goodRow)); a.StatusCode != 200 {
		t.Errorf("afterwards: %d", a.StatusCode)
	}
}

// TestGzipBomb: a body within the limit, but unfolding a thousandfold, is
// refused as early as that is seen.
func TestGzipBomb(t *testing.T) {
	r := serve(t, func(s *setup) { s.api.Body = core.Limits{Body: 1 << 30, Timeout: time.Minute} })
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	bomb := zipped(t, rows(goodRow)+strings.Repeat(" ", 16<<20))
	wantProblem(t, r.send("POST", "/v1/models/penguins/predict", bomb, "Content-Encoding", "gzip"), 413, "body-too-large")
	// A constant image within the first MiB is no bomb.
	flat := zipped(t, rows(goodRow)+strings.Repeat(" ", 900<<10))
	if a := r.send("POST", "/v1/models/penguins/predict", flat, "Content-Encoding", "gzip"); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestBrokenEncoding(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	whole := zipped(t, rows(goodRow))
	for name, body := range map[string]string{
		"no gzip": rows(goodRow), "empty": "", "cut off": whole[:len(whole)-9], "a wrong checksum": whole[:len(whole)-8] + "AAAA" + whole[len(whole)-4:],
		"more behind it": whole + "junk",
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, r.send("POST", "/v1/models/penguins/predict", body, "Content-Encoding", "gzip"), 400, "invalid-encoding")
		})
	}
	for _, encoding := range []string{"br", "zstd", "deflate", "gzip, gzip"} {
		wantProblem(t, r.send("POST", "/v1/models/penguins/predict", whole, "Content-Encoding", encoding), 415, "unsupported-media")
	}
	for _, media := range []string{"text/plain", "text/csv", "application/x-tar", "application/octet-stream", "multipart/form-data", ";", "json"} {
		wantProblem(t, r.send("POST", "/v1/models/penguins/predict", rows(goodRow), "Content-Type", media), 415, "unsupported-media")
	}
	for _, media := range []string{"", "text/plain", "application/json", "application/gzip", ";"} {
		wantProblem(t, r.upload("refused", media, bare()), 415, "unsupported-media")
	}
	wantProblem(t, r.send("POST", "/v1/models/penguins/deployments", `{"stable":1}`, "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported-media")
	r.untouched("refused")
}

// raw sends bytes as they are and reads one answer.
func (r *rig) raw(request string) answer {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	must(r.t, err)
	defer func() { _ = conn.Close() }()
	must(r.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, request)
	must(r.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "POST", URL: &url.URL{Path: r.url}})
	must(r.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(r.t, err)
	return answer{response, body}
}

func TestBrokenChunks(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	a := r.raw("POST /v1/models/penguins/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ins\r\nzz\r\n")
	wantProblem(t, a, 400, "invalid-encoding")
}

// TestSlowBody: a client that stops sending is told so, in time, and is not
// waited for.
func TestSlowBody(t *testing.T) {
	patient := serve(t)
	patient.pushed("penguins", penguins(t).tar(t, "penguins"))
	r := serve(t, func(s *setup) {
		s.root = patient.root
		s.api.Body = core.Limits{Body: 1 << 20, Timeout: 30 * time.Millisecond}
		s.api.Upload = core.Limits{Body: 1 << 20, Timeout: 30 * time.Millisecond}
	})
	for _, c := range []struct{ path, header, sent string }{
		{"/v1/models/penguins/predict", "Content-Length: 1000", `{"inst`},
		{"/v1/models/penguins/predict", "Content-Length: 1000000", `{"inst`},
		{"/v1/models/penguins/predict", "Transfer-Encoding: chunked", "6\r\n{\"inst\r\n"},
		{"/v1/models/penguins/predict", "Content-Encoding: gzip\r\nContent-Length: 1000", zipped(r.t, rows(goodRow))[:20]},
		{"/v1/models/penguins/deployments", "Content-Length: 1000", `{"stable"`},
		{"/v1/models/slow/versions", "Content-Type: application/octet-stream\r\nContent-Length: 1000", string(bare()[:20])},
		{"/v1/models/slow/versions", "Content-Type: application/x-tar\r\nContent-Length: 100000", "junk"},
	} {
		a := r.raw("POST " + c.path + " HTTP/1.1\r\nHost: x\r\n" + c.header + "\r\n\r\n" + c.sent)
		wantProblem(t, a, 408, "body-timeout")
		if !a.Close {
			t.Errorf("%s: the connection of a slow client is kept", c.path)
		}
	}
	r.untouched("slow")
}

func TestBadReferences(t *testing.T) {
	r := serve(t)
	for _, name := range []string{
		"Iris", "-iris", ".iris", "iris%20", "iris%00", "ir%C3%AFs", "iris%2F3", "..%2F..%2Fetc", "%2Fetc%2Fpasswd", "iris%5C..",
		strings.Repeat("a", 64), "iris@", "iris@Champion", "iris@1st", "iris@a@b", "@champion", "iris+1",
	} {
		for _, request := range []string{"POST /predict", "GET ", "GET /versions", "POST /versions", "GET /versions/1", "GET /deployments", "POST /deployments"} {
			method, rest, _ := strings.Cut(request, " ")
			a := r.send(method, "/v1/models/"+name+rest, "", "Content-Type", "application/octet-stream")
			if request == "POST /deployments" || request == "POST /predict" { // their media type comes after the name
				a = r.send(method, "/v1/models/"+name+rest, "{}")
			}
			wantProblem(t, a, 400, "invalid-reference")
		}
	}
	for _, number := range []string{"0", "01", "-1", "%2B1", "1.0", "1e3", "latest", "99999999999", "1%2F2", "%20"} {
		wantProblem(t, r.send("POST", "/v1/models/iris/versions/"+number+"/predict", "{}"), 400, "invalid-reference")
		wantProblem(t, r.send("GET", "/v1/models/iris/versions/"+number, ""), 400, "invalid-reference")
	}
	// Aliases have no versions of their own.
	wantProblem(t, r.send("GET", "/v1/models/iris@champion/versions", ""), 400, "invalid-reference")
	r.swept()
}

// TestPaths: every route has one spelling; what is no route says so in the
// shape of all errors, and nothing redirects.
func TestPaths(t *testing.T) {
	r := serve(t)
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v1/models/", "/v1//models", "/V1/models", "/v1/models/iris/", "/v1/models/iris/predict/",
		"/v2/health", "/livez/", "/favicon.ico", "/v1/models/a/b/c", "/v1/models/iris/versions/1/files", "/../etc/passwd", "/%2e%2e/etc", "/v1%2Fmodels",
		"/debug/pprof/", "/v1/models/../../etc/passwd",
	} {
		for _, method := range []string{"GET", "POST"} {
			wantProblem(t, r.send(method, path, ""), 404, "route-not-found", []string{}...)
		}
	}
	for request, allow := range map[string]string{
		"POST /v1/models": "GET, HEAD", "DELETE /v1/models/iris": "GET, HEAD", "GET /v1/models/iris/predict": "POST",
		"PUT /v1/models/iris/versions": "GET, HEAD, POST", "PATCH /v1/models/iris/deployments": "GET, HEAD, POST",
		"POST /readyz": "GET, HEAD", "OPTIONS /v1/models/iris/predict": "POST", "BREW /livez": "GET, HEAD",
	} {
		method, path, _ := strings.Cut(request, " ")
		a := r.send(method, path, "")
		wantProblem(t, a, 405, "method-not-allowed")
		if a.Header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q, want %q", request, a.Header.Get("Allow"), allow)
		}
	}
}

// TestHead: HEAD answers wherever GET does, with its headers and no body.
func TestHead(t *testing.T) {
	r := serve(t)
	r.pushed("penguins", penguins(t).tar(t, "penguins"))
	for _, path := range []string{
		"/livez", "/readyz", "/version", "/metrics", "/v1/models", "/v1/models/penguins", "/v1/models/nobody", "/v1/models/penguins/versions",
		"/v1/models/penguins/versions/1", "/v1/models/penguins/versions/1/bundle", "/v1/models/penguins/versions/1/report",
		"/v1/models/penguins/versions/1/example", "/v1/models/penguins/deployments",
	} {
		get, head := r.send("GET", path, ""), r.send("HEAD", path, "")
		if head.StatusCode != get.StatusCode || len(head.body) > 0 {
			t.Errorf("%s: GET is %d, HEAD is %d with %d bytes", path, get.StatusCode, head.StatusCode, len(head.body))
		}
		if line := r.log.wait(t, "request", head.Header.Get("X-Request-Id")); strings.HasSuffix(path, "/bundle") && line["out"] != 0.0 {
			t.Errorf("HEAD %s reads the bundle: %v", path, line)
		}
		for _, name := range []string{"Content-Type", "ETag"} {
			if head.Header.Get(name) != get.Header.Get(name) {
				t.Errorf("%s: %s of GET is %q, of HEAD %q", path, name, get.Header.Get(name), head.Header.Get(name))
			}
		}
	}
}
