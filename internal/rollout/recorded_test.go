package rollout

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

var record = flag.Bool("record", false, "write testdata anew")

// recordings are streams that are kept as they were, so that a change of the
// simulator cannot hide one of the decisions.
var recordings = map[string]struct {
	scenario string
	seed     uint64
	bad      bool
}{
	"errors":  {"5 % of errors", 16, true},
	"hanging": {"hanging", 9, true},
	"shifted": {"shifted outputs: 30 % of the rows differ", 13, true},
	"noisy":   {"a noisy machine and a canary of 1.4 times the time", 2, false},
	"sticky":  {"some callers on one side are refused", 4, false},
}

// A recording begins with a header; then follow what was observed, and after
// what the decisions other than to hold were.
type header struct {
	Limits Limits `json:"limits"`
	Steps  []int  `json:"steps"`
}

type line struct {
	T        float64  `json:"t"` // seconds
	Decision string   `json:"decision,omitempty"`
	Event    string   `json:"event,omitempty"` // began, ended, compared
	ID       uint64   `json:"id,omitempty"`
	Canary   bool     `json:"canary,omitempty"` // the side
	Copied   bool     `json:"copied,omitempty"`
	Rows     int      `json:"rows,omitempty"`
	Differ   int      `json:"differing,omitempty"`
	Runs     [2]runOf `json:"runs,omitzero"` // stable, canary
}

type runOf struct {
	Outcome string  `json:"outcome,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Invalid int     `json:"invalid,omitempty"`
}

var (
	kinds    = []string{"began", "ended", "compared"}
	outcomes = []string{"", "ok", "failed", "refused"}
)

func (l line) observation() Observation {
	o := Observation{At: at(l.T), ID: l.ID, Copied: l.Copied, Rows: l.Rows, Differing: l.Differ}
	o.Kind = Kind(index(kinds, l.Event))
	if l.Canary {
		o.Side = Canary
	}
	for side, r := range l.Runs {
		o.Runs[side] = Run{Outcome: Outcome(index(outcomes, r.Outcome)), Time: seconds(r.Seconds), Invalid: r.Invalid}
	}
	return o
}

func lineOf(o Observation) line {
	l := line{
		T: o.At.Sub(epoch).Seconds(), Event: kinds[o.Kind], ID: o.ID, Canary: o.Side == Canary,
		Copied: o.Copied, Rows: o.Rows, Differ: o.Differing,
	}
	for side, r := range o.Runs {
		if r.Outcome != Unknown {
			l.Runs[side] = runOf{outcomes[r.Outcome], r.Time.Round(time.Microsecond).Seconds(), r.Invalid}
		}
	}
	return l
}

func index(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	panic("no kind and no outcome is " + name)
}

func TestRecordedStreams(t *testing.T) {
	for name, r := range recordings {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".jsonl.gz")
			if *record {
				write(t, path, find(t, r.scenario), r.seed)
			}
			last := play(t, path)
			if want := map[bool]Action{true: RollBack, false: Promote}[r.bad]; last.Action != want {
				t.Errorf("it ends with %s", last)
			}
		})
	}
}

// play reads a recording, decides every second, and holds the decisions to
// those that were written down.
func play(t *testing.T, path string) (last Decision) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(bufio.NewReader(text))
	var h header
	if err := lines.Decode(&h); err != nil {
		t.Fatal(err)
	}
	tally, canary := NewTally(h.Limits, epoch), wire.Canary{Version: 2, Steps: h.Steps}
	for second := 1.0; ; {
		var l line
		if err := lines.Decode(&l); err == io.EOF {
			return last
		} else if err != nil {
			t.Fatal(err)
		}
		last = Decision{}
		for ; second <= l.T && last.Action == Hold; second++ {
			last = tally.Decide(canary, at(second))
		}
		switch {
		case l.Decision == "" && last.Action != Hold:
			t.Fatalf("at %v s: %s, but it was held", second-1, last)
		case l.Decision == "":
			tally.Observe(l.observation())
		case last.String() != l.Decision:
			t.Errorf("at %v s: %s\nit was %s", l.T, last, l.Decision)
		}
		if last.Action == Advance {
			canary.Step++
			tally.NextStep(at(l.T))
		}
	}
}

func find(t *testing.T, name string) scenario {
	for _, sc := range append(goodOnes, badOnes...) {
		if sc.name == name {
			return sc
		}
	}
	t.Fatal("no scenario is", name)
	return scenario{}
}

// write plays a scenario and keeps what happened, times to the microsecond.
func write(t *testing.T, path string, sc scenario, seed uint64) {
	limits := defaults
	limits.MinRequests, limits.MinTime = 60, 10*time.Second // small files
	sc.most = 60
	if sc.steps = []int{10, 50}; sc.fault != nil {
		sc.steps, sc.late = []int{5, 25, 50}, 10
	}
	s := newSim(sc, limits, seed)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
	lines := json.NewEncoder(text)
	keep := func(v any) {
		if err := lines.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	keep(header{limits, sc.steps})
	s.record = func(o Observation) { keep(lineOf(o)) }
	s.decided = func(at float64, d Decision) { keep(line{T: at, Decision: d.String()}) }
	s.run()
	if err := text.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
