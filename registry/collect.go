package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tenon-ml/tenon/internal/durable"
	"github.com/tenon-ml/tenon/internal/ref"
)

// Collection is what Collect does. The zero value removes at once all that
// nobody needs.
type Collection struct {
	Grace  time.Duration // blobs that are younger stay
	DryRun bool          // say what would be removed, and change nothing
	Options
}

// Collected is what Collect has removed, or would remove.
type Collected struct {
	Registry string    `json:"registry"` // its id
	DryRun   bool      `json:"dry_run"`
	Removed  []Removed `json:"removed"`
	Bytes    int64     `json:"bytes"` // that this frees
	// Young and YoungBytes are of the blobs that nobody needs and that stay
	// because they are younger than the grace period.
	Young      int   `json:"young"`
	YoungBytes int64 `json:"young_bytes"`
}

// Removed is one thing that nobody needs.
type Removed struct {
	Kind  RemovedKind `json:"kind"`
	Name  string      `json:"name"` // its path below the root, with slashes
	Bytes int64       `json:"bytes"`
}

// RemovedKind says what it was.
type RemovedKind string

// The kinds, in the order of their removal.
const (
	RemovedUpload RemovedKind = "upload"     // of a process that died
	RemovedView   RemovedKind = "view"       // of a version that is gone
	RemovedBlob   RemovedKind = "blob"       // that no record and no manifest names
	RemovedTemp   RemovedKind = "unfinished" // a file under way whose writer died
)

// Collect removes from the registry at root what nobody needs: blobs that no
// record refers to, nor the manifest of a version that is there, once they are
// older than the grace period; views of versions that are gone; and what dead
// processes left behind. Servers may write meanwhile (gate.go says why that is
// safe), and a crash at any point leaves a registry that Verify finds whole.
//
// It removes nothing where a log or a manifest cannot be read: that could need
// any blob. An error may come with what was removed before it. `tenon gc` is
// the caller.
func Collect(ctx context.Context, root string, o Collection) (Collected, error) {
	s, err := Inspect(root) // which never makes a registry
	if err == nil && !o.DryRun {
		if err = s.checkOwner(); err == nil {
			s, err = openUnswept(root, o.Options)
		}
	}
	if err != nil {
		return Collected{}, err
	}
	if o.Now != nil {
		s.now = o.Now
	}
	c := &collector{
		store: s, dryRun: o.DryRun, young: s.now().Add(-o.Grace), manifests: map[string][]string{},
		out: Collected{Registry: s.ID(), DryRun: o.DryRun, Removed: []Removed{}},
	}
	err = c.collect(ctx)
	return c.out, err
}

// collector is one collection.
type collector struct {
	store     *Store
	dryRun    bool
	young     time.Time           // blobs from after it stay
	manifests map[string][]string // the blobs of a version, by its digest
	out       Collected
}

// needs is what the logs say is needed, by hex digest.
type needs struct{ blobs, views map[string]bool }

func (c *collector) collect(ctx context.Context) error {
	need, err := c.needs(ctx)
	if err != nil {
		return err
	}
	if err := c.uploads(); err != nil {
		return err
	}
	views, err := c.views(need)
	if err != nil {
		return err
	}
	blobs, err := c.blobs(need)
	if err != nil {
		return err
	}
	all := append(views, blobs...)
	if c.dryRun {
		for _, r := range all {
			c.removed(r)
		}
		return nil
	}
	return c.remove(ctx, all)
}

func (c *collector) removed(r Removed) {
	c.out.Removed = append(c.out.Removed, r)
	c.out.Bytes += r.Bytes
}

// remove removes in small batches, each by itself alone, so that a push never
// waits for long.
func (c *collector) remove(ctx context.Context, all []Removed) error {
	trash, err := c.store.Ingest()
	if err != nil {
		return err
	}
	defer func() { _ = trash.Discard() }()
	const batch = 64
	for len(all) > 0 {
		n := min(batch, len(all))
		if err := c.removeAlone(ctx, all[:n], trash.dir); err != nil {
			return err
		}
		all = all[n:]
	}
	return trash.Discard()
}

// removeAlone asks the logs again, now that nobody is about to write what they
// do not say yet, and removes what is still not needed.
func (c *collector) removeAlone(ctx context.Context, batch []Removed, trash string) error {
	done, err := c.store.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	need, err := c.needs(ctx)
	if err != nil {
		return err
	}
	for _, r := range batch {
		path := c.store.path(filepath.FromSlash(r.Name))
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // another collection was faster
		case err != nil:
			return storage(err)
		case !c.removable(r.Kind, info, need):
			continue
		}
		if r.Kind == RemovedView {
			// In one step: a view is there or it is not. What is in the trash
			// goes with it, at the latest when a server starts.
			err = c.store.disk.Rename(path, filepath.Join(trash, info.Name()))
		} else {
			err = c.store.disk.Remove(path)
		}
		if err != nil {
			return storage(err)
		}
		c.removed(r)
	}
	return nil
}

// removable reports whether something is of no use to anybody.
func (c *collector) removable(kind RemovedKind, info fs.FileInfo, need needs) bool {
	switch kind {
	case RemovedView:
		return info.IsDir() && !need.views[info.Name()]
	case RemovedBlob:
		return !need.blobs[info.Name()] && info.ModTime().Before(c.young)
	case RemovedTemp:
		return info.ModTime().Before(c.store.now().Add(-tempAge))
	}
	return false
}

// needs reads all logs, and the manifests of the versions that are there.
func (c *collector) needs(ctx context.Context) (needs, error) {
	need := needs{map[string]bool{}, map[string]bool{}}
	names, err := c.models()
	if err != nil {
		return need, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return need, err
		}
		if err := c.model(name, need); err != nil {
			return need, fmt.Errorf("nothing can be collected, because the model %s cannot be read and may need any file: %w", name, err)
		}
	}
	return need, nil
}

// models lists those that have a log.
func (c *collector) models() ([]string, error) {
	entries, err := os.ReadDir(c.store.path("models"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, storage(err)
	}
	for _, e := range entries {
		if ref.ValidName(e.Name()) && !e.IsDir() {
			return nil, fmt.Errorf("nothing can be collected, because models/%s is no folder: put the model's log back there, or move it away", e.Name())
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	return c.store.Models()
}

// model adds what one model needs. A record that speaks of a version that is
// gone needs nothing; any other needs every blob that it names.
func (c *collector) model(name string, need needs) error {
	records, err := c.store.Log(name)
	if err != nil {
		return err
	}
	if !c.dryRun {
		// What is given up below must not come back by a power cut.
		if err := c.store.syncLog(c.store.log(name)); err != nil {
			return storage(err)
		}
	}
	st, bad := fold(name, records)
	if bad != nil {
		return damagedLog(name, bad.seq, bad.why)
	}
	for _, r := range records {
		if v, ok := st.Version(subject(r)); ok && v.Deleted {
			continue
		}
		for _, digits := range r.names {
			need.blobs[digits] = true
		}
	}
	for _, v := range st.Versions {
		if v.Deleted {
			continue
		}
		blobs, err := c.manifest(v)
		if err != nil {
			return fmt.Errorf("version %d: %w", v.Number, err)
		}
		for _, digits := range blobs {
			need.blobs[digits] = true
		}
		need.views[strings.TrimPrefix(v.Digest, digestPrefix)] = true
	}
	return nil
}

// subject is the version that a record brings blobs for, 0 for none.
func subject(r Record) int {
	switch {
	case r.Version != nil:
		return r.Version.Version
	case r.Examined != nil:
		return r.Examined.Version
	}
	return 0
}

// manifest lists a version's blobs.
func (c *collector) manifest(v Version) ([]string, error) {
	if known, ok := c.manifests[v.Digest]; ok {
		return known, nil
	}
	all, err := c.store.files(v)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		c.manifests[v.Digest] = append(c.manifests[v.Digest], e.hex)
	}
	return c.manifests[v.Digest], nil
}

// uploads removes those of dead processes; their locks say which.
func (c *collector) uploads() error {
	entries, err := list(c.store.path("ingest"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := c.store.path("ingest", e.Name())
		r := Removed{RemovedUpload, "ingest/" + e.Name(), freed(dir)}
		var dead bool
		if c.dryRun {
			held, err := durable.Locked(filepath.Join(dir, lockName))
			dead = !held && err == nil
		} else if dead, err = c.store.sweepUpload(e.Name()); err != nil {
			return storage(err)
		}
		if dead {
			c.removed(r)
		}
	}
	return nil
}

// views lists those of versions that are gone.
func (c *collector) views(need needs) ([]Removed, error) {
	entries, err := list(c.store.path("view"))
	if err != nil {
		return nil, err
	}
	var out []Removed
	for _, e := range entries {
		if validHex(e.Name()) && e.IsDir() && !need.views[e.Name()] {
			out = append(out, Removed{Kind: RemovedView, Name: "view/" + e.Name()}) // links: they take no room
		}
	}
	return out, nil
}

// blobs lists those that are not needed, and counts those that are too young.
func (c *collector) blobs(need needs) ([]Removed, error) {
	folders, err := list(c.store.path("blobs", "sha256"))
	if err != nil {
		return nil, err
	}
	var out []Removed
	for _, folder := range folders {
		files, err := list(c.store.path("blobs", "sha256", folder.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			r := Removed{Kind: RemovedBlob, Name: "blobs/sha256/" + folder.Name() + "/" + f.Name()}
			if strings.HasPrefix(f.Name(), durable.TempPrefix) {
				r.Kind = RemovedTemp
			} else if !validHex(f.Name()) || f.Name()[:2] != folder.Name() {
				continue // not ours
			}
			info, err := f.Info()
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue
			case err != nil:
				return nil, storage(err)
			}
			r.Bytes = info.Size()
			if c.removable(r.Kind, info, need) {
				out = append(out, r)
			} else if r.Kind == RemovedBlob && !need.blobs[f.Name()] {
				c.out.Young++
				c.out.YoungBytes += r.Bytes
			}
		}
	}
	return out, nil
}

// list lists a folder, which need not be there.
func list(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, storage(err)
}

// freed is the size of the files that have all their names below a folder.
func freed(dir string) (bytes int64) {
	names := map[uint64]uint64{} // by inode
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // it is only for people to read
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if names[st.Ino]++; names[st.Ino] == uint64(st.Nlink) { //nolint:unconvert // other widths elsewhere
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}

// checkOwner keeps root from leaving files that the server's own user cannot
// open.
func (s *Store) checkOwner() error {
	info, err := os.Stat(s.root)
	if err != nil {
		return storage(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && st.Uid != 0 {
		return fmt.Errorf("the registry %s belongs to the user with the number %d; run the command as that one", s.root, st.Uid)
	}
	return nil
}
