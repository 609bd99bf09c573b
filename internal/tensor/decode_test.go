package tensor

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
)

// mixed is a layout with a string, a double, an int64 in a double buffer and
// two columns stacked in one matrix.
func mixed() *Layout {
	l := &Layout{
		Buffers: []Buffer{
			{Name: "sex", Type: String, Width: 1},
			{Name: "mass", Type: Float64, Width: 1},
			{Name: "year", Type: Int64, Width: 1},
			{Name: "X", Type: Float32, Width: 2},
		},
		Columns: []Column{
			{Name: "sex", Type: String, Buffer: 0, Nullable: true, Sentinel: "\ue000"},
			{Name: "body mass", Type: Float64, Buffer: 1, Nullable: true},
			{Name: "year", Type: Int64, Buffer: 2},
			{Name: "b", Type: Float32, Buffer: 3, Offset: 1},
			{Name: "a", Type: Int8, Buffer: 3, Offset: 0},
		},
	}
	return l.Seal()
}

func decode(t *testing.T, l *Layout, form, body string) (*Frame, error) {
	t.Helper()
	f := NewFrame(l)
	s := NewScanner([]byte(body))
	d := NewDecoder(s, f)
	var err error
	if form == "instances" {
		err = d.Rows(form)
	} else {
		err = d.Columns(form)
	}
	if err == nil {
		err = s.End()
	}
	return f, err
}

func TestDecodeBothFormsIntoTheSameFrame(t *testing.T) {
	bodies := map[string]string{
		"instances": `[
			{"sex":"m\u00e4le","body mass":39.1,"year":9007199254740993,"b":0.1,"a":-128},
			{"a":1e1,"b":"Infinity","year":2.0,"body mass":null,"sex":null}]`,
		"inputs": `{"a":[-128,10],"sex":["mäle",null],"body mass":[39.1,"NaN"],
			"b":[0.1,"Infinity"],"year":[9007199254740993,2]}`,
	}
	for form, body := range bodies {
		f, err := decode(t, mixed(), form, body)
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		feeds := f.Feeds()
		if got := feeds[0].Strings; !reflect.DeepEqual(got, []string{"mäle", "\ue000"}) {
			t.Errorf("%s: sex is %q", form, got)
		}
		if got := View[float64](feeds[1]); got[0] != 39.1 || !math.IsNaN(got[1]) {
			t.Errorf("%s: mass is %v", form, got)
		}
		if got := View[int64](feeds[2]); got[0] != 9007199254740993 || got[1] != 2 {
			t.Errorf("%s: year is %v", form, got)
		}
		want := []float32{-128, 0.1, 10, float32(math.Inf(1))}
		if got := View[float32](feeds[3]); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: X is %v, want %v", form, got, want)
		}
		if got := feeds[3].Shape; !reflect.DeepEqual(got, []int64{2, 2}) {
			t.Errorf("%s: X has shape %v", form, got)
		}
		if !f.Missing(0, 1) || f.Missing(0, 0) || !f.Missing(1, 1) || f.Missing(1, 0) {
			t.Errorf("%s: the missing values are not where they were sent", form)
		}
	}
}

func TestFindingsNameFieldAndRow(t *testing.T) {
	const ok = `{"sex":"m","body mass":1,"year":1,"b":1,"a":1}`
	tests := []struct{ name, form, body, path, code string }{
		{"wrong type", "instances", `[` + ok + `,{"sex":3,"body mass":1,"year":1,"b":1,"a":1}]`, "instances[1].sex", "type"},
		{"name with a space", "instances", `[{"sex":"m","body mass":"x","year":1,"b":1,"a":1}]`, `instances[0]["body mass"]`, "type"},
		{"unknown column", "instances", `[{"nope":[1,{}],"sex":"m","body mass":1,"year":1,"b":1,"a":1}]`, "instances[0].nope", "unknown-column"},
		{"case matters", "instances", `[{"SEX":"m","body mass":1,"year":1,"b":1,"a":1}]`, "instances[0].SEX", "unknown-column"},
		{"absent column", "instances", `[` + ok + `,{"sex":"m","body mass":1,"year":1,"b":1}]`, "instances[1].a", "absent-column"},
		{"duplicate key", "instances", `[{"sex":"m","sex":"m","body mass":1,"year":1,"b":1,"a":1}]`, "instances[0].sex", "duplicate-key"},
		{"out of range", "instances", `[{"sex":"m","body mass":1,"year":1,"b":1,"a":128}]`, "instances[0].a", "range"},
		{"float32 out of range", "instances", `[{"sex":"m","body mass":1,"year":1,"b":1e39,"a":1}]`, "instances[0].b", "range"},
		{"float64 out of range", "instances", `[{"sex":"m","body mass":1e309,"year":1,"b":1,"a":1}]`, `instances[0]["body mass"]`, "range"},
		{"fraction", "instances", `[{"sex":"m","body mass":1,"year":5.5,"b":1,"a":1}]`, "instances[0].year", "type"},
		{"missing refused", "instances", `[{"sex":"m","body mass":1,"year":null,"b":1,"a":1}]`, "instances[0].year", "missing"},
		{"NaN is missing", "instances", `[{"sex":"m","body mass":1,"year":1,"b":"NaN","a":1}]`, "instances[0].b", "missing"},
		{"sentinel", "instances", `[{"sex":"\ue000","body mass":1,"year":1,"b":1,"a":1}]`, "instances[0].sex", "reserved"},
		{"NUL", "instances", `[{"sex":"a\u0000b","body mass":1,"year":1,"b":1,"a":1}]`, "instances[0].sex", "reserved"},
		{"bare row", "instances", `[3]`, "instances[0]", "type"},
		{"not a list", "instances", `{}`, "instances", "type"},
		{"no rows", "instances", `[]`, "instances", "empty"},
		{"list for a scalar", "instances", `[{"sex":["m"],"body mass":1,"year":1,"b":1,"a":1}]`, "instances[0].sex", "type"},
		{"columns: wrong type", "inputs", `{"sex":["m",true],"body mass":[1,1],"year":[1,1],"b":[1,1],"a":[1,1]}`, "inputs.sex[1]", "type"},
		{"columns: ragged", "inputs", `{"sex":["m"],"body mass":[1,1],"year":[1],"b":[1],"a":[1]}`, `inputs["body mass"]`, "shape"},
		{"columns: absent", "inputs", `{"sex":["m"],"body mass":[1],"year":[1],"b":[1]}`, "inputs.a", "absent-column"},
		{"columns: no rows", "inputs", `{"sex":[],"body mass":[],"year":[],"b":[],"a":[]}`, "inputs", "empty"},
		{"columns: scalar", "inputs", `{"sex":"m","body mass":[1],"year":[1],"b":[1],"a":[1]}`, "inputs.sex", "type"},
		{"columns: bare list", "inputs", `[1]`, "inputs", "type"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := decode(t, mixed(), test.form, test.body)
			e := fault.As(err)
			if e == nil || e.Kind != fault.Invalid || e.Code != fault.InvalidInput || len(e.Fields) == 0 {
				t.Fatalf("got %v, want an invalid-input fault", err)
			}
			if f := e.Fields[0]; f.Path != test.path || f.Code != test.code {
				t.Errorf("found %s %s (%s), want %s %s", f.Path, f.Code, f.Detail, test.path, test.code)
			}
		})
	}
}

func TestUnusedColumnsArePassedOver(t *testing.T) {
	l := &Layout{
		Buffers: []Buffer{{Name: "x", Type: Float64, Width: 1}},
		Columns: []Column{{Name: "x", Type: Float64}},
		Unused:  []string{"when", "id"},
	}
	l.Seal()
	for _, c := range []struct{ form, body, says string }{
		{"instances", `[{"when":"2024-01-01","x":1,"id":[{"a":null}]},{"x":2},{"id":7,"x":3}]`, ""},
		{"instances", `[1,2,3]`, ""},
		{"inputs", `{"id":null,"x":[1,2,3],"when":["a"]}`, ""},
		{"inputs", `[1,2,3]`, ""},
		{"instances", `[{"id":7}]`, `instances[0].x: the column "x" is absent`},
		{"instances", `[{"x":1},{"id":7,"x":1,"id":8}]`, `instances[1].id: the key "id" stands twice`},
		{"instances", `[{"x":1,"ID":8}]`, `instances[0].ID: the model has no column "ID"`},
		{"inputs", `{"x":[1],"id":[1],"id":[2]}`, `inputs.id: the key "id" stands twice`},
	} {
		f, err := decode(t, l, c.form, c.body)
		if c.says == "" {
			if err != nil || f.Rows != 3 || !reflect.DeepEqual(View[float64](f.Feeds()[0]), []float64{1, 2, 3}) {
				t.Errorf("%s: %v, %d rows", c.body, err, f.Rows)
			}
			continue
		}
		fields := fault.As(err).Fields
		if got := fields[0].Path + ": " + fields[0].Detail; len(fields) != 1 || got != c.says {
			t.Errorf("%s: %d findings, %s", c.body, len(fields), got)
		}
	}
}

func TestBrokenJSONIsNamedWithItsPlace(t *testing.T) {
	for _, body := range []string{
		``, `[`, `[{`, `[{"a"`, `[{"a":}]`, `[{"a":1,}]`, `[{"a":01}]`, `[{"a":+1}]`, `[{"a":.5}]`, `[{"a":1.}]`,
		`[{"a":1e}]`, `[{"a":NaN}]`, `[{"a":Infinity}]`, `[{"sex":"m}]`, "[{\"sex\":\"\n\"}]", `[{"sex":"\q"}]`,
		`[{"sex":"\ud800"}]`, `[{"sex":"\ud800\u0041"}]`, "[{\"sex\":\"\xff\"}]", `[] []`, `[]x`, "\ufeff[]", `[{'a':1}]`,
		`[{"nope":` + strings.Repeat("[", 100000) + `}]`, `[{"nope":tru}]`, `[{"nope":{"a" 1}}]`,
	} {
		_, err := decode(t, mixed(), "instances", body)
		if e := fault.As(err); e == nil || e.Kind != fault.Invalid {
			t.Errorf("%.40q: got %v, want a 400", body, err)
		} else if e.Code == fault.InvalidJSON && !strings.Contains(e.Detail, "at byte") {
			t.Errorf("%.40q: %q does not say where", body, e.Detail)
		}
	}
}

// TestFindingsAreCounted: at most twenty are listed, and all counted up to a
// bound, in both forms.
func TestFindingsAreCounted(t *testing.T) {
	rows := func(n int) string {
		list := strings.Repeat(`{"sex":1,"body mass":"x","year":"x","b":"x","a":"x"},`, n)
		return "[" + list[:len(list)-1] + "]"
	}
	columns := func(n int) string {
		list := strings.Repeat(`"x",`, n)
		return `{"sex":[` + list[:len(list)-1] + `],"nope":1,"a":[` + list[:len(list)-1] + `]}`
	}
	for _, c := range []struct {
		form, body string
		listed     int
		says       string
	}{
		{"instances", rows(4), 20, "signature; errors says where."},
		{"instances", rows(5), 20, "signature in 25 places; errors lists the first 20."},
		{"instances", rows(1000), 20, "signature in 5000 places; errors lists the first 20."},
		{"instances", rows(3000), 20, "signature in at least 10000 places; errors lists the first 20."},
		{"inputs", columns(16), 20, "signature; errors says where."},
		{"inputs", columns(30), 20, "signature in 34 places; errors lists the first 20."},
		{"inputs", columns(20_000), 20, "signature in at least 10000 places; errors lists the first 20."},
	} {
		_, err := decode(t, mixed(), c.form, c.body)
		if e := fault.As(err); e == nil || len(e.Fields) != c.listed || !strings.HasSuffix(e.Detail, c.says) {
			t.Errorf("%.60s: %.300v, want %q", c.body, err, c.says)
		}
	}
}

// TestTheWalkEndsAtItsBound: what comes behind is not looked at.
func TestTheWalkEndsAtItsBound(t *testing.T) {
	for _, broken := range []bool{false, true} {
		n := maxCounted / 5
		if broken {
			n = maxCounted/5 - 1
		}
		_, err := decode(t, mixed(), "instances", "["+strings.Repeat(`{"sex":1,"body mass":"x","year":"x","b":"x","a":"x"},`, n)+"nope]")
		if e := fault.As(err); e == nil || (e.Code == fault.InvalidJSON) != broken {
			t.Errorf("%d rows: %.200v", n, err)
		}
	}
}

// TestFindingsInListsEndAtTwenty holds that the walk stops inside nested lists
// too, where the scanner stands between brackets.
func TestFindingsInListsEndAtTwenty(t *testing.T) {
	l := matrix([]int64{64})
	_, err := decode(t, l, "instances", `[[`+strings.Repeat(`"x",`, 63)+`"x"],[1]]`)
	if e := fault.As(err); e == nil || len(e.Fields) != maxFindings || e.Fields[3].Path != "instances[0][3]" {
		t.Fatalf("got %v", err)
	}
}

func matrix(shape []int64) *Layout {
	width := -1
	if n := Count(shape); n > 0 {
		width = int(n)
	}
	l := &Layout{
		Buffers: []Buffer{{Name: "x", Type: Float64, Width: width}},
		Columns: []Column{{Name: "x", Type: Float64, Shape: shape, Nullable: true}},
	}
	return l.Seal()
}

func TestNestedLists(t *testing.T) {
	anyRank := matrix([]int64{-1})
	anyRank.Columns[0].Shape, anyRank.Columns[0].AnyRank = nil, true
	whole := matrix(nil)
	whole.Columns[0].Whole = true
	fixed := matrix([]int64{2})
	fixed.FixedRows = 2
	tests := []struct {
		name       string
		layout     *Layout
		form, body string
		shape      string
		finding    string
	}{
		{"bare rows", matrix([]int64{2}), "instances", `[[1,2],[3,4],[5,6]]`, "[3,2]", ""},
		{"named rows", matrix([]int64{2}), "instances", `[{"x":[1,2]},{"x":[3,4]}]`, "[2,2]", ""},
		{"column", matrix([]int64{2}), "inputs", `{"x":[[1,2],[3,4]]}`, "[2,2]", ""},
		{"bare column", matrix([]int64{2}), "inputs", `[[1,2],[3,4]]`, "[2,2]", ""},
		{"cube", matrix([]int64{2, 1}), "instances", `[[[1],[2]]]`, "[1,2,1]", ""},
		{"agreed by the first row", matrix([]int64{-1, -1}), "instances", `[[[1,2,3],[4,5,6]],[[7,8,9],[1,2,3]]]`, "[2,2,3]", ""},
		{"any rank, scalars", anyRank, "instances", `[1,2]`, "[2]", ""},
		{"any rank, matrix", anyRank, "instances", `[[1,2],[3,4]]`, "[2,2]", ""},
		{"whole scalar", whole, "inputs", `{"x":5}`, "[]", ""},
		{"fixed rows", fixed, "inputs", `{"x":[[1,2],[3,4]]}`, "[2,2]", ""},
		{"too short", matrix([]int64{3}), "instances", `[[1,2,3],[1,2]]`, "", "instances[1] shape"},
		{"too long", matrix([]int64{2}), "instances", `[[1,2,3]]`, "", "instances[0] shape"},
		{"disagreeing", matrix([]int64{-1}), "instances", `[[1,2],[3]]`, "", "instances[1] shape"},
		{"disagreeing inside", matrix([]int64{-1, -1}), "instances", `[[[1,2],[3]]]`, "", "instances[0][1] shape"},
		{"too flat", matrix([]int64{2, 2}), "instances", `[[1,2]]`, "", "instances[0][0] shape"},
		{"too deep", matrix([]int64{2}), "instances", `[[[1],2]]`, "", "instances[0][0] type"},
		{"empty list", matrix([]int64{-1}), "instances", `[[]]`, "", "instances[0] shape"},
		{"rows for a whole tensor", whole, "instances", `[5]`, "", "instances type"},
		{"fixed rows, wrong number", fixed, "instances", `[[1,2]]`, "", "instances shape"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := decode(t, test.layout, test.form, test.body)
			if test.finding != "" {
				e := fault.As(err)
				if e == nil || len(e.Fields) == 0 || e.Fields[0].Path+" "+e.Fields[0].Code != test.finding {
					t.Fatalf("got %v, want %s", err, test.finding)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := FormatShape(f.Feeds()[0].Shape); got != test.shape {
				t.Errorf("shape is %s, want %s", got, test.shape)
			}
			body := test.body[strings.IndexAny(test.body, "[:"):]
			want := numbersIn(strings.TrimPrefix(body, ":"))
			if got := View[float64](f.Feeds()[0]); !reflect.DeepEqual(got, want) {
				t.Errorf("values are %v, want %v", got, want)
			}
		})
	}
}

// numbersIn lists the digits of a text in their order; the tests use digits only.
func numbersIn(body string) []float64 {
	var out []float64
	for _, c := range body {
		if c >= '0' && c <= '9' {
			out = append(out, float64(c-'0'))
		}
	}
	return out
}

func TestAFrameIsReusedWithoutTraces(t *testing.T) {
	f := NewFrame(matrix([]int64{-1}))
	for _, body := range []string{`[[1,2,3],[4,5,6]]`, `[[7]]`, `[[8,9]]`} {
		f.Reset()
		if err := NewDecoder(NewScanner([]byte(body)), f).Rows("instances"); err != nil {
			t.Fatal(err)
		}
		if got, want := View[float64](f.Feeds()[0]), numbersIn(body); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v", body, got)
		}
	}
}

func TestDomainsAreClosed(t *testing.T) {
	l := &Layout{
		Buffers: []Buffer{{Type: String, Width: 1}, {Type: Float64, Width: 1}, {Type: Float64, Width: 1}},
		Columns: []Column{
			{Name: "s", Type: String, Domain: &Domain{Strings: map[string]struct{}{"a": {}}}},
			{Name: "f", Type: Float64, Buffer: 1, Domain: &Domain{Floats: map[float64]struct{}{1.5: {}}}},
			{Name: "i", Type: Int64, Buffer: 2, Domain: &Domain{Integers: map[int64]struct{}{-3: {}}}},
		},
	}
	l.Seal()
	if _, err := decode(t, l, "instances", `[{"s":"a","f":15e-1,"i":-3}]`); err != nil {
		t.Fatal(err)
	}
	_, err := decode(t, l, "instances", `[{"s":"b","f":1.25,"i":3}]`)
	e := fault.As(err)
	if e == nil || len(e.Fields) != 3 {
		t.Fatalf("got %v", err)
	}
	for _, f := range e.Fields {
		if f.Code != findDomain {
			t.Errorf("%s: %s", f.Path, f.Code)
		}
	}
}

// FuzzDecode holds that whatever the decoder accepts is JSON, and that its
// numbers are those that encoding/json reads.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`[[1,2],[3,4]]`, `[{"x":[1.5,null]}]`, `[["NaN",-0]]`, `[[1e400,0]]`, `[[1,2]`, `[["\ud83d\ude00",1]]`,
	} {
		f.Add(seed)
	}
	l := matrix([]int64{2})
	f.Fuzz(func(t *testing.T, body string) {
		frame, err := decode(t, l, "instances", body)
		if err != nil {
			return
		}
		var rows []json.RawMessage
		if err := json.Unmarshal([]byte(body), &rows); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		got := View[float64](frame.Feeds()[0])
		for r, raw := range rows {
			var row []any
			var named struct{ X []any }
			if json.Unmarshal(raw, &row) != nil {
				if err := json.Unmarshal(raw, &named); err != nil {
					t.Fatal(err)
				}
				row = named.X
			}
			for k, v := range row {
				if want, ok := v.(float64); ok && got[2*r+k] != want {
					t.Fatalf("row %d element %d is %v, want %v", r, k, got[2*r+k], want)
				}
			}
		}
	})
}

func TestDecodingPlainNumbersDoesNotAllocatePerValue(t *testing.T) {
	l := matrix([]int64{64})
	row := "[" + strings.TrimSuffix(strings.Repeat("0.125,", 64), ",") + "]"
	measure := func(rows int) float64 {
		body := []byte("[" + strings.TrimSuffix(strings.Repeat(row+",", rows), ",") + "]")
		f := NewFrame(l)
		return testing.AllocsPerRun(20, func() {
			f.Reset()
			if err := NewDecoder(NewScanner(body), f).Rows("instances"); err != nil {
				t.Fatal(err)
			}
		})
	}
	if one, many := measure(1), measure(100); one != many {
		t.Errorf("1 row costs %v allocations, 100 rows cost %v", one, many)
	}
}

func ExampleAppendRows() {
	outs := []Output{
		{Key: JSONKey("label"), Type: Bool, Values: From(Int64, []int64{1, 0}, 2), Stride: 1},
		{
			Key: JSONKey("probabilities"), Type: Float64, Stride: 2,
			Values:  From(Float64, []float64{0.25, 0.75, math.NaN(), 1e-7}, 2, 2),
			Classes: [][]byte{JSONKey("false"), JSONKey("true")},
		},
	}
	fmt.Println(string(AppendRows(nil, outs, 2)))
	fmt.Println(string(AppendColumns(nil, outs, 2)))
	// Output:
	// [{"label":true,"probabilities":{"false":0.25,"true":0.75}},{"label":false,"probabilities":{"false":null,"true":1e-07}}]
	// {"label":[true,false],"probabilities":{"false":[0.25,null],"true":[0.75,1e-07]}}
}
