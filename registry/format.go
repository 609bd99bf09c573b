package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tenon-ml/tenon/internal/durable"
)

// formatVersion is the format that this release writes, and the newest that
// it reads.
const formatVersion = 1

type formatFile struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
}

// readOrWriteFormat returns the registry's id. Of several processes that make
// one registry at a time, one writes the file and the others read it.
func (s *Store) readOrWriteFormat() (string, error) {
	id, err := s.readFormat()
	if err == nil {
		// Whoever wrote it may have died before the folder was synced.
		return id, s.disk.SyncDir(s.root)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := s.checkVacant(); err != nil {
		return "", err
	}
	if err := s.disk.Private(s.root); err != nil {
		return "", err
	}
	f := formatFile{Format: formatVersion}
	if f.ID, err = s.random(); err != nil {
		return "", err
	}
	data, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	err = s.disk.Create(s.path("format"), append(data, '\n'))
	if errors.Is(err, fs.ErrExist) {
		err = s.disk.SyncDir(s.root)
	}
	if err != nil {
		return "", fmt.Errorf("could not make a registry in %s: %w", s.root, err)
	}
	return s.readFormat()
}

func (s *Store) readFormat() (string, error) {
	data, err := os.ReadFile(s.path("format"))
	if err != nil {
		return "", err
	}
	var f formatFile
	if err := json.Unmarshal(data, &f); err != nil || f.Format < 1 || f.ID == "" {
		return "", fmt.Errorf("the file %s is damaged; restore it from a backup, it never changes",
			s.path("format"))
	}
	if f.Format > formatVersion {
		return "", fmt.Errorf("the registry %s has format %d and this tenon reads up to %d; "+
			"use the release that wrote it, or a newer one", s.root, f.Format, formatVersion)
	}
	return f.ID, nil
}

// checkVacant makes sure that a folder without a format file may become a
// registry: it holds nothing but what another process that is making the
// same registry, a file system or a dead process left there.
func (s *Store) checkVacant() error {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == "lost+found" || name == ".DS_Store" || strings.HasPrefix(name, durable.TempPrefix) {
			continue
		}
		if _, err := s.readFormat(); err == nil {
			return nil // made by somebody else since we looked
		}
		return fmt.Errorf("the folder %s is not a registry: it holds %q but no file named format; "+
			"give an empty folder, or restore that file from a backup", s.root, name)
	}
	return nil
}
