package registry

import (
	"context"
	"fmt"
	"os"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
)

// NewVersion is what AddVersion records beside the files: the verdict of the
// examination, the report on it, a JSON document, empty where there is none,
// what it was found with, and what the answers were held to where that is less
// than the defaults.
type NewVersion struct {
	Parity   Parity
	Report   []byte
	With     string
	Loosened string
}

// AddVersion makes the upload a version: its files become blobs, the report
// too, and then one record says so. That record is a fact: other writers
// only change its number. A bundle that is a version already comes back as
// that version with Existing set, and nothing is recorded; so a retry is safe.
//
// The upload must hold manifest.json and exactly the files that it lists,
// with their sizes and hashes. Faults: invalid-reference, invalid-bundle,
// quarantined, storage-failed. After any of them the upload is as it was, and
// the call may be repeated.
func (s *Store) AddVersion(
	ctx context.Context, name string, in *Ingest, v NewVersion, by Stamp,
) (Version, error) {
	if err := ref.CheckName(name); err != nil {
		return Version{}, err
	}
	if err := checkParity(v.Parity); err != nil {
		return Version{}, err
	}
	added, err := in.complete()
	if err != nil {
		return Version{}, err
	}
	done, err := s.relying(ctx)
	if err != nil {
		return Version{}, err
	}
	defer done()
	if err := s.keepAll(ctx, in); err != nil {
		return Version{}, err
	}
	added.Parity, added.With, added.Loosened = v.Parity, v.With, v.Loosened
	if len(v.Report) > 0 {
		if added.Report, err = s.PutBlob(ctx, v.Report); err != nil {
			return Version{}, err
		}
	}
	var existing Version
	r, err := s.commit(ctx, name, by, func(st *State) (*Record, error) {
		var found bool
		if existing, found = st.ByDigest(added.Digest); found {
			existing.Existing = true
			return nil, nil
		}
		body := added
		body.Version = len(st.Versions) + 1
		return &Record{Kind: KindVersionAdded, Version: &body}, nil
	})
	if err != nil || r == nil {
		return existing, err
	}
	return versionOf(*r), nil
}

// RecordExamined records a later verdict on a version. It is a fact.
func (s *Store) RecordExamined(ctx context.Context, name string, n int, v NewVersion, by Stamp) error {
	if err := ref.CheckName(name); err != nil {
		return err
	}
	if err := checkParity(v.Parity); err != nil {
		return err
	}
	done, err := s.relying(ctx)
	if err != nil {
		return err
	}
	defer done()
	body := Examined{Version: n, Parity: v.Parity, With: v.With, Loosened: v.Loosened}
	if len(v.Report) > 0 {
		if body.Report, err = s.PutBlob(ctx, v.Report); err != nil {
			return err
		}
	}
	_, err = s.commit(ctx, name, by, func(st *State) (*Record, error) {
		if _, err := st.usable(n); err != nil {
			return nil, err
		}
		return &Record{Kind: KindExamined, Examined: &body}, nil
	})
	return err
}

// ByDigest finds the model's version of that manifest digest, which is not
// deleted. A model that does not exist has none; the fault is quarantined.
func (s *Store) ByDigest(name, digest string) (Version, bool, error) {
	st, err := s.State(name)
	if fault.Is(err, fault.ModelNotFound) {
		return Version{}, false, nil
	}
	if err != nil {
		return Version{}, false, err
	}
	v, ok := st.ByDigest(digest)
	return v, ok, nil
}

func checkParity(p Parity) error {
	switch p {
	case ParityProven, ParityNotProven, ParityOverridden, ParityFailed:
		return nil
	}
	return fmt.Errorf("%q is no verdict on parity", p)
}

// complete compares the upload with its manifest.
func (in *Ingest) complete() (VersionAdded, error) {
	manifest, ok := in.find(Manifest)
	if !ok {
		return VersionAdded{}, invalidBundle("the upload holds no %s", Manifest)
	}
	if manifest.Size > maxManifest {
		return VersionAdded{}, invalidBundle("%s has %d bytes and may have %d",
			Manifest, manifest.Size, maxManifest)
	}
	text, err := os.ReadFile(manifest.path)
	if err != nil {
		return VersionAdded{}, storage(err)
	}
	all, err := entries(text, manifest.SHA256)
	if err != nil {
		return VersionAdded{}, invalidBundle("%v", err)
	}
	added := VersionAdded{Digest: digestPrefix + manifest.SHA256}
	for _, e := range all {
		f, ok := in.find(e.name)
		if !ok {
			return added, invalidBundle("the upload lacks %q, which its manifest lists", e.name)
		}
		if f.Size != e.size || f.SHA256 != e.hex {
			return added, invalidBundle(
				"the file %q is not the one that the manifest lists: it has %d bytes, sha256 %s", e.name, f.Size, f.SHA256)
		}
		added.Size += e.size
	}
	if n := len(in.Files()); n != len(all) {
		return added, invalidBundle("the upload holds %d files and its manifest lists %d, itself included; "+
			"a bundle holds exactly the files that its manifest lists", n, len(all))
	}
	return added, nil
}

// keepAll turns the upload's files into blobs.
func (s *Store) keepAll(ctx context.Context, in *Ingest) error {
	for _, f := range in.Files() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.keep(f); err != nil {
			return storage(err)
		}
	}
	return nil
}
