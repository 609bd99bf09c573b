package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// hexOf returns the 64 hex digits of a digest "sha256:…". Only what passed it
// is ever joined to the root.
func hexOf(digest string) (string, error) {
	digits, ok := strings.CutPrefix(digest, digestPrefix)
	if !ok || !validHex(digits) {
		return "", fmt.Errorf("%.80q is not a digest: it should be sha256: and 64 hex digits", digest)
	}
	return digits, nil
}

func validHex(digits string) bool {
	if len(digits) != 2*sha256.Size {
		return false
	}
	for i := range len(digits) {
		if c := digits[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// <root>/blobs/sha256/ab/<hex>
func (s *Store) blobPath(digits string) string {
	return s.path("blobs", "sha256", digits[:2], digits)
}

// seen is a file as it was when its hash was found right. Whoever writes to
// the file, or puts another in its place, makes it differ.
type seen struct {
	device, inode uint64
	size          int64
	modified      time.Time
}

func look(info fs.FileInfo) seen {
	l := seen{size: info.Size(), modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		l.device, l.inode = uint64(st.Dev), uint64(st.Ino)
	}
	return l
}

// VerifyBlob reads a stored file whole and compares its hash with its name,
// whatever was found before. Damage, and a blob that is missing, is the fault
// quarantined. `tenon verify` calls it for every blob.
func (s *Store) VerifyBlob(digest string) error {
	digits, err := hexOf(digest)
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.sound, digits)
	s.mu.Unlock()
	return s.checkBlob(digits, -1)
}

// checkBlob makes sure that a blob is there, has the size (-1: any) and the
// hash that it should. A file is hashed once in the life of a Store, and again
// when its size or time has changed.
func (s *Store) checkBlob(digits string, size int64) error {
	f, err := os.OpenFile(s.blobPath(digits), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return damagedBlob(digits, errors.New("it is missing"))
	}
	if errors.Is(err, syscall.ELOOP) {
		return damagedBlob(digits, errNotPlain)
	}
	if err != nil {
		return storage(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return storage(err)
	}
	if !info.Mode().IsRegular() || size >= 0 && info.Size() != size {
		return damagedBlob(digits, errNotPlain)
	}
	s.mu.Lock()
	known := s.sound[digits] == look(info)
	s.mu.Unlock()
	if known {
		return nil
	}
	return s.hashBlob(f, digits, look(info))
}

func (s *Store) hashBlob(f io.Reader, digits string, now seen) error {
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return damagedBlob(digits, err) // a sector that cannot be read is damage
	}
	if hex.EncodeToString(h.Sum(nil)) != digits {
		return damagedBlob(digits, errors.New("its content is not what its name says"))
	}
	s.mu.Lock()
	s.sound[digits] = now
	s.mu.Unlock()
	return nil
}

// keep gives a staged file its blob name. Where the blob is there it is
// checked and touched, and replaced when it is damaged.
func (s *Store) keep(f StagedFile) error {
	path, dir := s.blobPath(f.SHA256), s.path("blobs", "sha256", f.SHA256[:2])
	if err := s.disk.MkdirAll(s.path("blobs", "sha256"), dir); err != nil {
		return err
	}
	err := s.disk.Place(f.path, path)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Touched before it is looked at: from here on it is too young to collect.
	if err := s.disk.Touch(path, s.now()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.checkBlob(f.SHA256, f.Size) != nil {
		return s.disk.Replace(f.path, path)
	}
	return s.disk.SyncDir(dir)
}

// PutBlob stores a report, or another small thing that a record names by its
// digest, and returns that digest once it would survive a power cut.
func (s *Store) PutBlob(ctx context.Context, data []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	in, err := s.Ingest()
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Discard() }()
	f, err := in.Create("blob")
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(f, bytes.NewReader(data)); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	staged := in.Files()[0]
	return digestPrefix + staged.SHA256, storage(s.keep(staged))
}

// OpenBlob opens a stored file by its digest, after its hash was found right,
// and returns its size in bytes. The caller closes it. Damage is the fault
// quarantined.
func (s *Store) OpenBlob(digest string) (io.ReadSeekCloser, int64, error) {
	digits, err := hexOf(digest)
	if err != nil {
		return nil, 0, err
	}
	return s.openBlob(digits, -1)
}

func (s *Store) openBlob(digits string, size int64) (io.ReadSeekCloser, int64, error) {
	if err := s.checkBlob(digits, size); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(s.blobPath(digits))
	if err != nil {
		return nil, 0, storage(err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, storage(err)
	}
	return f, info.Size(), nil
}
