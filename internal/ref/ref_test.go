package ref_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 63)
	for text, want := range map[string]ref.Reference{
		"iris":               {Model: "iris"},
		"iris/3":             {Model: "iris", Version: 3},
		"iris@champion":      {Model: "iris", Alias: "champion"},
		"0-a.b_c":            {Model: "0-a.b_c"},
		"a..b":               {Model: "a..b"},
		"iris/2147483647":    {Model: "iris", Version: 2147483647},
		long + "@" + long:    {Model: long, Alias: long},
		"iris@v1.2-rc_1":     {Model: "iris", Alias: "v1.2-rc_1"},
		"3":                  {Model: "3"},
		"resnet50.v2@latest": {Model: "resnet50.v2", Alias: "latest"},
	} {
		got, err := ref.Parse(text)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("Parse(%q).String() = %q", text, got.String())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "/", "@", "iris/", "iris@", "/3", "@champion", "Iris", "iris/0", "iris/-1", "iris/+1", "iris/03",
		"iris/1.0", "iris/3/4", "iris/2147483648", "iris/99999999999999999999", "iris@3", "iris@Champion",
		"iris@a@b", "iris@a/3", "iris/3@a", ".", "..", "../iris", "-iris", "_iris", "ir is", "iris\x00", "iris\n",
		"ïris", "iris:predict", strings.Repeat("a", 64), "iris@" + strings.Repeat("a", 64), "%2e%2e",
	} {
		got, err := ref.Parse(text)
		if !fault.Is(err, fault.InvalidReference) || fault.As(err).Kind != fault.Invalid {
			t.Errorf("Parse(%q) = %+v, %v; want a fault of code %s", text, got, err, fault.InvalidReference)
		}
	}
}

func TestFaultEchoesLittle(t *testing.T) {
	_, err := ref.Parse(strings.Repeat("Ä", 100_000))
	if n := len(err.Error()); n > 512 {
		t.Errorf("the sentence has %d bytes: %.80s…", n, err)
	}
}

func TestCheck(t *testing.T) {
	if err := ref.CheckName("iris"); err != nil {
		t.Error(err)
	}
	if err := ref.CheckAlias("champion"); err != nil {
		t.Error(err)
	}
	if err := ref.CheckName("iris@champion"); !fault.Is(err, fault.InvalidReference) {
		t.Errorf("CheckName accepts a reference: %v", err)
	}
	if err := ref.CheckAlias("1"); !fault.Is(err, fault.InvalidReference) {
		t.Errorf("CheckAlias accepts a number: %v", err)
	}
}

func TestSplitVerb(t *testing.T) {
	for segment, want := range map[string][2]string{
		"iris":                  {"iris", ""},
		"iris:predict":          {"iris", "predict"},
		"iris@champion:predict": {"iris@champion", "predict"},
		"3:classify":            {"3", "classify"},
		"iris:a:b":              {"iris", "a:b"},
		":predict":              {"", "predict"},
		"iris:":                 {"iris", ""},
	} {
		if reference, verb := ref.SplitVerb(segment); reference != want[0] || verb != want[1] {
			t.Errorf("SplitVerb(%q) = %q, %q", segment, reference, verb)
		}
	}
}

var (
	name  = regexp.MustCompile(`\A[a-z0-9][a-z0-9._-]{0,62}\z`)
	alias = regexp.MustCompile(`\A[a-z][a-z0-9._-]{0,62}\z`)
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"iris", "iris/3", "iris@champion", "iris/03", "..", "a@b@c", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if ref.ValidName(text) != name.MatchString(text) || ref.ValidAlias(text) != alias.MatchString(text) {
			t.Fatalf("%q: the grammar and its regular expression differ", text)
		}
		r, err := ref.Parse(text)
		if err != nil {
			if !fault.Is(err, fault.InvalidReference) || r != (ref.Reference{}) {
				t.Fatalf("Parse(%q) = %+v, %v", text, r, err)
			}
			return
		}
		if r.String() != text || !name.MatchString(r.Model) || (r.Alias != "" && r.Version != 0) {
			t.Fatalf("Parse(%q) = %+v", text, r)
		}
	})
}
