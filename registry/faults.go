package registry

import (
	"errors"

	"github.com/tenon-ml/tenon/internal/fault"
)

func modelNotFound(name string) error {
	return fault.New(fault.NotFound, fault.ModelNotFound,
		"there is no model %q; push a version of it first, or look at the list of models", name)
}

func versionNotFound(name string, n int) error {
	return fault.New(fault.NotFound, fault.VersionNotFound, "the model %s has no version %d", name, n)
}

func versionDeleted(name string, n int) error {
	return fault.New(fault.NotFound, fault.VersionNotFound,
		"version %d of %s was deleted; push its bundle again to get a new version", n, name)
}

// damagedLog quarantines a model. seq is the record at fault.
func damagedLog(name string, seq int, why error) error {
	return fault.New(fault.Unavailable, fault.Quarantined,
		"the model %s is quarantined: record %d of its log cannot be trusted: %v; "+
			"run `tenon verify`, and restore models/%s/log from a backup", name, seq, why, name)
}

// damagedBlob quarantines the versions that need a blob.
func damagedBlob(hexDigest string, why error) error {
	return fault.New(fault.Unavailable, fault.Quarantined,
		"the stored file sha256:%s is damaged: %v; push the same bundle again, which puts the right content in "+
			"its place, or restore blobs/sha256/%s/%s from a backup", hexDigest, why, hexDigest[:2], hexDigest)
}

// storage is the answer to a disk that refused; nothing was acknowledged and,
// unless it is unclear, nothing has changed.
func storage(err error) error {
	if err == nil || fault.As(err) != nil {
		return err
	}
	return fault.New(fault.Internal, fault.StorageFailed,
		"the registry's disk refused and nothing was changed; see the server's log for the reason "+
			"(a full disk, most often) and try again").Because(err)
}

func unclear(err error) error {
	return fault.New(fault.Internal, fault.StorageFailed,
		"the registry's disk failed while the change was being written, and it is not certain that it was kept; "+
			"look at the model's log before you try again").Because(err)
}

func tooLarge(size int) error {
	return fault.New(fault.Invalid, fault.InvalidRequest,
		"the record of this change has %d bytes and may have %d; shorten the reason", size, maxRecord)
}

func invalidBundle(format string, args ...any) error {
	return fault.New(fault.Unprocessable, fault.InvalidBundle, format, args...)
}

var errBroken = errors.New("it does not carry the hash of the record before it")
