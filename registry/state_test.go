package registry

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/api/wire"
)

// chain numbers and links records as a writer does.
func chain(records ...Record) []Record {
	prev := ""
	for i := range records {
		r := &records[i]
		r.Seq, r.Model, r.Prev = i+1, "iris", prev
		r.digest = fmt.Sprint("digest ", i)
		prev = r.digest
	}
	return records
}

func added(n int) Record {
	digest := digestPrefix + strings.Repeat(fmt.Sprint(n%10), 64)
	return Record{Kind: KindVersionAdded, Version: &VersionAdded{Version: n, Digest: digest, Parity: ParityProven}}
}

func stable(n int) Record {
	return Record{Kind: KindDeployment, Deployment: &DeploymentRecord{knownDeployment: knownDeployment{Traffic: wire.Stable(n)}}}
}

func alias(name string, n int) Record {
	return Record{Kind: KindAlias, Alias: &AliasSet{Name: name, Version: n}}
}

func deleted(n int) Record { return Record{Kind: KindDeleted, Deleted: &Deleted{Version: n}} }

func TestFold(t *testing.T) {
	st, bad := fold("iris", chain(added(1), stable(1), added(2), stable(2), alias("a", 1), alias("b", 2),
		alias("b", 0), Record{Kind: KindExamined, Examined: &Examined{Version: 1, Parity: ParityFailed, Report: "r"}},
		stable(2), added(3), deleted(3)))
	if bad != nil {
		t.Fatal(bad)
	}
	if st.Seq != 11 || len(st.Versions) != 3 || len(st.Deployments) != 3 {
		t.Errorf("%+v", st)
	}
	if !reflect.DeepEqual(st.Aliases, map[string]int{"a": 1}) {
		t.Errorf("aliases %v", st.Aliases)
	}
	if v, _ := st.Version(1); v.Parity != ParityFailed || v.Report != "r" {
		t.Errorf("version 1 %+v", v)
	}
	if d := st.Current(); d.Number != 9 || d.Stable != 2 {
		t.Errorf("current %+v", d)
	}
	if d := st.Previous(); d == nil || d.Number != 2 || d.Stable != 1 {
		t.Errorf("previous %+v", d)
	}
	if v, ok := st.Latest(); !ok || v.Number != 2 {
		t.Errorf("latest %+v", v)
	}
	if _, ok := st.ByDigest(added(3).Version.Digest); ok {
		t.Error("a deleted version was found by its digest")
	}
}

func TestPreviousIsNilWithoutOne(t *testing.T) {
	for _, records := range [][]Record{
		chain(added(1)),
		chain(added(1), stable(1), stable(1)),
		chain(added(1), added(2), stable(1), stable(2), deleted(1)),
	} {
		if st, bad := fold("iris", records); bad != nil || st.Previous() != nil {
			t.Errorf("%v %+v", bad, st)
		}
	}
}

func TestFoldRefusesNonsense(t *testing.T) {
	broken := chain(added(1), added(2))
	broken[1].Prev = "other"
	foreign := chain(added(1))
	foreign[0].Model = "other"
	jumped := chain(added(1))
	jumped[0].Seq = 2
	odd := added(1)
	odd.Version.Digest = "../../etc/passwd"
	for _, c := range []struct {
		name    string
		records []Record
		seq     int
		says    string
	}{
		{"broken chain", broken, 2, "hash of the record before"},
		{"another model's", foreign, 1, `model "other"`},
		{"another number", jumped, 1, "record 2"},
		{"unknown kind", chain(added(1), Record{Kind: "split"}), 2, `"split" is unknown`},
		{"member missing", chain(Record{Kind: KindVersionAdded}), 1, "lacks the member"},
		{"member of another kind", chain(Record{Kind: KindAlias, Version: added(1).Version}), 1, "lacks the member"},
		{"version skipped", chain(added(2)), 1, "where 1 is next"},
		{"version twice", chain(added(1), added(1)), 2, "where 2 is next"},
		{"digest that is a path", chain(odd), 1, "not a digest"},
		{"deployment of nothing", chain(added(1), stable(2)), 2, "never added"},
		{"alias of nothing", chain(added(1), alias("a", 2)), 2, "never added"},
		{"deletion of nothing", chain(added(1), deleted(0)), 2, "never added"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, bad := fold("iris", c.records)
			if bad == nil || bad.seq != c.seq || !strings.Contains(bad.Error(), c.says) {
				t.Errorf("got %v, want record %d: …%s…", bad, c.seq, c.says)
			}
		})
	}
}
