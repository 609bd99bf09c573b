package capture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/internal/durable"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// rig is a recorder that a test drives by hand, without Run.
type rig struct {
	*Recorder
	t   *testing.T
	log bytes.Buffer
	n   int
}

func record(t *testing.T, dir string, most int64, disk *durable.Disk) *rig {
	t.Helper()
	r := &rig{t: t}
	r.Recorder = New(Options{
		Dir: dir, MaxBytes: most, Disk: disk, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Now: func() time.Time { return noon.Add(time.Hour) },
	})
	return r
}

// kept offers a request, a second after the one before, and has it kept.
func (r *rig) kept(body string, change ...func(*Offer)) {
	r.t.Helper()
	o := Offer{Model: "iris", Request: Request{ID: fmt.Sprint(r.n), Time: noon.Add(time.Duration(r.n) * time.Second), Version: 3, Body: json.RawMessage(body)}}
	for _, f := range change {
		f(&o)
	}
	r.n++
	r.Offer(o)
	for len(r.queue) > 0 {
		r.keep(<-r.queue)
	}
}

// bodies are those of the latest requests.
func (r *rig) bodies(most int) (list []string) {
	r.t.Helper()
	all, err := r.Requests("iris", most)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, one := range all {
		list = append(list, string(one.Body))
	}
	return list
}

func (r *rig) files() []string {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.Dir, "iris", "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return paths
}

func row(n int) string { return fmt.Sprintf(`{"instances":[[%d]]}`, n) }

// TestWhatIsKeptOutlivesTheServer, as its owner's own files.
func TestWhatIsKeptOutlivesTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "captures")
	first := record(t, dir, 1<<20, nil)
	for n := range 3 {
		first.kept(row(n))
		if n == 1 {
			first.writeAll() // and once more, when there is a third
		}
	}
	if got := first.bodies(9); len(got) != 3 {
		t.Errorf("before the write: %v", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	first.Offer(Offer{Model: "iris", Request: Request{ID: "x", Time: noon.Add(time.Minute), Body: json.RawMessage(row(3))}})
	stop()
	first.Run(ctx) // writes what it was offered before the end

	after := record(t, dir, 1<<20, nil)
	if got, want := after.bodies(9), []string{row(0), row(1), row(2), row(3)}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after a restart %v, want %v", got, want)
	}
	if got := after.bodies(2); fmt.Sprint(got) != fmt.Sprint([]string{row(2), row(3)}) {
		t.Errorf("the latest two are %v", got)
	}
	all, err := after.Requests("iris", 1)
	if err != nil || all[0].ID != "x" || !all[0].Time.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v, %v", all, err)
	}
	c, err := after.Captures("iris")
	if err != nil || c.Requests != 4 || c.Bytes == 0 || c.Skipped != 0 || !c.Since.Equal(noon) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := after.Captures("other"); err != nil || c.Requests != 0 || c.Since != nil {
		t.Errorf("of another model: %+v, %v", c, err)
	}
	paths := after.files()
	if len(paths) != 1 {
		t.Fatalf("files %v, want one that has taken the place of the others", paths)
	}
	for path, mode := range map[string]os.FileMode{paths[0]: 0o600, dir: 0o700 | os.ModeDir, filepath.Dir(paths[0]): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, mode)
		}
	}
}

// TestTheOldestGoWhenItIsFull: the bound holds for all servers together.
func TestTheOldestGoWhenItIsFull(t *testing.T) {
	const most = 16 << 10
	dir := t.TempDir()
	one, two := record(t, dir, most, nil), record(t, dir, most, nil)
	long := strings.Repeat("1,", 60) + "1"
	for n := range 200 {
		one.kept(fmt.Sprintf(`{"instances":[[%d,%s]]}`, n, long))
		two.n = one.n
		two.kept(fmt.Sprintf(`{"instances":[[%d,%s]]}`, n, long))
		one.writeAll()
		two.writeAll()
		total := int64(0)
		for _, path := range one.files() {
			if info, err := os.Stat(path); err == nil {
				total += info.Size()
			}
		}
		if total > most {
			t.Fatalf("after %d requests there are %d bytes, and %d are allowed", n, total, most)
		}
	}
	got := one.bodies(1000)
	if last := fmt.Sprintf(`{"instances":[[%d,%s]]}`, 199, long); got[len(got)-1] != last || len(got) < 30 || len(got) > 100 {
		t.Errorf("%d are left, the last is %.40s", len(got), got[len(got)-1])
	}
	c, err := one.Captures("iris")
	if err != nil || c.Bytes > most || c.Requests > len(got)+1 {
		t.Errorf("%+v, %v; %d can be read", c, err, len(got))
	}
}

func TestLargeRequestsAreNotKept(t *testing.T) {
	r := record(t, t.TempDir(), 16<<10, nil)
	r.kept(`{"instances":[[` + strings.Repeat("1,", 600) + `1]]}`)
	r.kept(row(1))
	if c, err := r.Captures("iris"); err != nil || c.Skipped != 1 || c.Requests != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestOfferNeverBlocks: nobody reads, and all beyond the queue is counted.
func TestOfferNeverBlocks(t *testing.T) {
	r := record(t, t.TempDir(), 1<<20, nil)
	for n := range queued + 7 {
		r.Offer(Offer{Model: "iris", Request: Request{Body: json.RawMessage(row(n))}})
	}
	if n := r.skipped.Load(); n != 7 {
		t.Errorf("%d were skipped, want 7", n)
	}
}

// TestEraseLeavesNothing, neither on the disk nor in what is on its way, nor
// what another server would write once more.
func TestEraseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	r, other := record(t, dir, 1<<20, nil), record(t, dir, 1<<20, nil)
	other.kept(row(100))
	other.writeAll()
	r.kept(row(1))
	r.writeAll()
	r.kept(row(2))
	gone, err := r.Erase("iris")
	if err != nil || gone.Requests != 3 {
		t.Errorf("%+v, %v", gone, err)
	}
	r.kept(row(3)) // it came before the erasure, at noon
	r.writeAll()
	other.writeAll()
	if files := r.files(); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
	late := func(o *Offer) { o.Time = noon.Add(2 * time.Hour) }
	r.kept(row(4), late)
	other.kept(row(5), late)
	r.writeAll()
	other.writeAll()
	if got := r.bodies(9); fmt.Sprint(got) != fmt.Sprint([]string{row(4), row(5)}) {
		t.Errorf("afterwards there is %v", got)
	}
	if _, err := r.Erase("nothing"); err != nil {
		t.Errorf("of a model of which nothing is kept: %v", err)
	}
}

// TestADiskThatRefuses loses requests, and is told of; it costs no memory.
func TestADiskThatRefuses(t *testing.T) {
	full := true
	disk := &durable.Disk{Call: func(op durable.Op, _ string, do func() error) error {
		if op == durable.OpWrite && full {
			return errors.New("no space left")
		}
		return do()
	}}
	r := record(t, t.TempDir(), 16<<10, disk)
	long := `{"instances":[[` + strings.Repeat("1,", 200) + `1]]}`
	for range 10 {
		r.kept(long)
	}
	c, err := r.Captures("iris")
	if err != nil || c.Skipped == 0 || c.Skipped+int64(c.Requests) != 10 || !strings.Contains(r.log.String(), "no space left") {
		t.Errorf("%+v, %v: %s", c, err, r.log.String())
	}
	full = false
	r.writeAll()
	if got := r.bodies(99); len(got) != c.Requests {
		t.Errorf("%d, want the %d that were still there", len(got), c.Requests)
	}
}

// TestAWriterThatDied left a smaller file of its segment behind, and damage.
func TestAWriterThatDied(t *testing.T) {
	r := record(t, t.TempDir(), 1<<20, nil)
	r.kept(row(1))
	r.writeAll()
	smaller := r.files()[0]
	data, err := os.ReadFile(smaller)
	if err != nil {
		t.Fatal(err)
	}
	r.kept(row(2))
	r.writeAll()
	if err := os.WriteFile(smaller, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"notes.txt": "x", durable.TempPrefix + "1": "x", "00000000000000000001-00000000-00000001.jsonl": "{\n",
	} {
		if err := os.WriteFile(filepath.Join(r.Dir, "iris", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	after := record(t, r.Dir, 1<<20, nil)
	if got := after.bodies(9); fmt.Sprint(got) != fmt.Sprint([]string{row(1), row(2)}) {
		t.Errorf("%v", got)
	}
}

// TestASegmentFitsInMemory, however much may be kept on the disk.
func TestASegmentFitsInMemory(t *testing.T) {
	r := record(t, t.TempDir(), 1<<40, nil)
	r.Offer(Offer{Model: "iris", Request: Request{Body: make(json.RawMessage, 16<<20+1)}})
	if n := r.skipped.Load(); n != 1 {
		t.Error("a request of more than 16 MiB waits to be kept")
	}
}
