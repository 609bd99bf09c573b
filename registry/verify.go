package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/tenon-ml/tenon/internal/ref"
)

// Finding is one damage that Verify found, and what to do about it; both are
// sentences.
type Finding struct {
	Model   string `json:"model,omitempty"`   // "" where no model needs what is damaged
	Version int    `json:"version,omitempty"` // 0: the model's log
	What    string `json:"what"`
	Remedy  string `json:"remedy"`
}

// Verified is what Verify has looked at, and what it found.
type Verified struct {
	Registry string    `json:"registry"` // its id
	Models   int       `json:"models"`
	Records  int       `json:"records"`
	Versions int       `json:"versions"` // those that are not deleted
	Blobs    int       `json:"blobs"`
	Bytes    int64     `json:"bytes"` // of the blobs
	Findings []Finding `json:"findings"`
}

// Verify reads the registry at root from end to end: each record of each
// model, each file of each version, each report, and the blobs that no version
// needs any more. It writes nothing, so it may run beside a server; what is
// added meanwhile is not looked at. progress is told now and then how far it
// is. An error says that the registry could not be read at all, or that ctx
// has ended; damage is no error but a finding.
//
// Files that the format does not know are ignored. What a log has lost at its
// end, or with all its records, cannot be known from the registry.
func Verify(ctx context.Context, root string, progress func(Verified)) (Verified, error) {
	s, err := Inspect(root)
	if err != nil {
		return Verified{}, err
	}
	v := &verifier{
		store: s, progress: progress, blobs: map[string]blobState{},
		out: Verified{Registry: s.ID(), Findings: []Finding{}},
	}
	models, err := os.ReadDir(s.path("models"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v.out, fmt.Errorf("the models of the registry cannot be listed: %w", err)
	}
	for _, m := range models {
		if m.IsDir() && ref.ValidName(m.Name()) {
			if err := v.model(ctx, m.Name()); err != nil {
				return v.out, err
			}
		}
	}
	return v.out, v.unneeded(ctx)
}

// verifier is one walk.
type verifier struct {
	store    *Store
	progress func(Verified)
	blobs    map[string]blobState // by hex digest
	out      Verified
}

// blobState is what was found of a blob, which versions may share.
type blobState struct {
	size int64
	why  error // nil: it is sound
}

func (v *verifier) find(model string, version int, remedy, format string, args ...any) {
	v.out.Findings = append(v.out.Findings, Finding{model, version, fmt.Sprintf(format, args...), remedy})
}

// model checks a log, and then the versions that its sound records speak of.
func (v *verifier) model(ctx context.Context, name string) error {
	last, err := lastRecord(v.store.logDir(name))
	if err != nil {
		v.find(name, 0, "Run the command as the user whom the registry belongs to.", "The log cannot be read: %v.", err)
		return nil
	}
	if last == 0 {
		return nil // nothing was ever committed
	}
	v.out.Models++
	records, err := v.records(ctx, name, last)
	if err != nil {
		return err
	}
	deleted := map[int]bool{}
	for _, r := range records {
		if r.Deleted != nil {
			deleted[r.Deleted.Version] = true
		}
	}
	for _, r := range records {
		switch {
		case r.Version != nil && !deleted[r.Version.Version]:
			v.out.Versions++
			err = v.version(ctx, name, *r.Version)
		case r.Examined != nil && !deleted[r.Examined.Version]:
			err = v.report(ctx, name, r.Examined.Version, r.Examined.Report)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// records reads a whole log, past what is damaged in it, and returns the
// records that can be read.
func (v *verifier) records(ctx context.Context, name string, last int) ([]Record, error) {
	var sound []Record
	whole := true
	tip := "" // of the record before; not known behind one that cannot be read
	for seq := 1; seq <= last; seq++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v.out.Records++
		r, err := v.record(name, seq, tip, seq > 1 && tip == "")
		if err != nil {
			whole = false
			v.find(name, 0, recordRemedy(name, seq, err), "Record %d of the log cannot be trusted: %v.", seq, err)
		}
		if tip = ""; err == nil || errors.Is(err, errBroken) {
			tip, sound = r.digest, append(sound, r)
		}
	}
	if !whole {
		return sound, nil
	}
	// Each by itself is right; only together do they say whether they make sense.
	if _, bad := fold(name, sound); bad != nil {
		v.find(name, 0, recordRemedy(name, bad.seq, bad.why), "Record %d of the log cannot be trusted: %v.", bad.seq, bad.why)
	}
	return sound, nil
}

// record reads one record and holds it against the one before, whose digest is
// tip. The error of one that is itself but does not follow is errBroken.
func (v *verifier) record(name string, seq int, tip string, unknown bool) (Record, error) {
	data, err := readSmall(v.store.recordPath(name, seq), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, errMissing
	}
	if err != nil {
		return Record{}, err
	}
	r, err := unseal(data)
	if err != nil {
		return Record{}, err
	}
	if unknown {
		tip = r.Prev
	}
	return r, follows(r, name, seq, tip)
}

var errMissing = errors.New("it is missing")

func recordRemedy(name string, seq int, why error) string {
	switch {
	case errors.Is(why, errBroken):
		return fmt.Sprintf("It or the one before it is not the one that was written: put models/%s/log back as a whole from one backup.", name)
	case errors.Is(why, fs.ErrPermission):
		return "Run the command as the user whom the registry belongs to."
	case strings.Contains(why.Error(), "unknown to this release"):
		return "Use the release of tenon that wrote it, or a newer one."
	}
	return fmt.Sprintf("Copy models/%s/log/%020d.json from a backup; records never change, so any backup that has it will do.", name, seq)
}

// version checks the files of one version, the manifest first.
func (v *verifier) version(ctx context.Context, name string, added VersionAdded) error {
	digits, err := hexOf(added.Digest)
	if err != nil {
		return nil // fold has named it
	}
	state, err := v.blob(ctx, digits)
	if err != nil {
		return err
	}
	if state.why != nil {
		v.file(name, added.Version, Manifest, digits, state.why)
		return v.report(ctx, name, added.Version, added.Report)
	}
	files, err := v.store.files(Version{Digest: added.Digest})
	if err != nil {
		v.file(name, added.Version, Manifest, digits, errors.New("it does not list files"))
	}
	for _, e := range files {
		state, err := v.blob(ctx, e.hex)
		if err != nil {
			return err
		}
		if state.why == nil && state.size != e.size {
			state.why = fmt.Errorf("it has %d bytes where the manifest says %d", state.size, e.size)
		}
		if state.why != nil {
			v.file(name, added.Version, e.name, e.hex, state.why)
		}
	}
	return v.report(ctx, name, added.Version, added.Report)
}

func (v *verifier) file(model string, version int, name, digits string, why error) {
	v.find(model, version, fmt.Sprintf("Push the same bundle again, which puts the right content in its place, or copy %s from a backup.", blobName(digits)),
		"The file %s (%s) is damaged: %v.", name, blobName(digits), why)
}

// report checks the report that a record names, if it names one.
func (v *verifier) report(ctx context.Context, model string, version int, digest string) error {
	digits, err := hexOf(digest)
	if err != nil {
		return nil
	}
	state, err := v.blob(ctx, digits)
	if err == nil && state.why != nil {
		v.find(model, version, fmt.Sprintf("Copy %s from a backup; the version serves without it.", blobName(digits)),
			"The report (%s) is damaged: %v.", blobName(digits), state.why)
	}
	return err
}

// unneeded checks the blobs that no version needs. Nothing is lost with them,
// but a disk that damages one may damage the next.
func (v *verifier) unneeded(ctx context.Context) error {
	folders, err := os.ReadDir(v.store.path("blobs", "sha256"))
	if err != nil {
		return nil // a version that needs one has found that out
	}
	for _, folder := range folders {
		files, err := os.ReadDir(v.store.path("blobs", "sha256", folder.Name()))
		if err != nil {
			continue
		}
		for _, f := range files {
			digits := f.Name()
			if _, known := v.blobs[digits]; known || !validHex(digits) || digits[:2] != folder.Name() {
				continue
			}
			state, err := v.blob(ctx, digits)
			if err != nil {
				return err
			}
			if state.why != nil && !errors.Is(state.why, errMissing) { // collected meanwhile
				v.find("", 0, "No version needs it: remove it, and look after the disk.",
					"The stored file %s is damaged: %v.", blobName(digits), state.why)
			}
		}
	}
	return nil
}

// blob reads a blob whole, once in a walk, and compares it with its name. An
// error is that of ctx.
func (v *verifier) blob(ctx context.Context, digits string) (blobState, error) {
	if known, ok := v.blobs[digits]; ok {
		return known, nil
	}
	size, why := v.hash(ctx, digits)
	if err := ctx.Err(); err != nil {
		return blobState{}, err
	}
	v.out.Blobs++
	state := blobState{size, why}
	v.blobs[digits] = state
	v.tell()
	return state, nil
}

func (v *verifier) hash(ctx context.Context, digits string) (int64, error) {
	f, err := os.OpenFile(v.store.blobPath(digits), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, errMissing
	case errors.Is(err, syscall.ELOOP):
		return 0, errNotPlain
	case err != nil:
		return 0, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, errors.Join(err, errNotPlain)
	}
	h := sha256.New()
	size, err := io.Copy(h, &counted{ctx: ctx, from: f, v: v})
	if err == nil && hex.EncodeToString(h.Sum(nil)) != digits {
		err = errors.New("its content is not what its name says")
	}
	return size, err
}

// counted is a blob's content, counted, until ctx ends.
type counted struct {
	ctx  context.Context
	from io.Reader
	v    *verifier
	told int64
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.from.Read(p)
	c.v.out.Bytes += int64(n)
	const step = 64 << 20
	if c.told += int64(n); c.told >= step {
		c.told = 0
		c.v.tell()
	}
	return n, err
}

// tell hands out a snapshot.
func (v *verifier) tell() {
	if v.progress != nil {
		now := v.out
		now.Findings = slices.Clip(now.Findings)
		v.progress(now)
	}
}

func blobName(digits string) string { return "blobs/sha256/" + digits[:2] + "/" + digits }
