package worker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newMemory makes a stretch, and the file by which the other process maps it.
func newMemory() (memory, *os.File, error) {
	fd, err := unix.MemfdCreate("tenon-worker", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("shared memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "shared memory")
	err = file.Truncate(memoryBytes)
	if err == nil {
		// If the other process could make it shorter, reading it would end this one.
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("shared memory: %w", err)
	}
	m, err := mapMemory(file)
	if err != nil {
		file.Close()
	}
	return m, file, err
}

// mapMemory maps the file of a stretch, which may be closed then.
func mapMemory(file *os.File) (memory, error) {
	m, err := unix.Mmap(int(file.Fd()), 0, memoryBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	return m, nil
}

func (m memory) discard(from, to int) { _ = unix.Madvise(m[from:min(to, len(m))], unix.MADV_REMOVE) }

func (m memory) close() { _ = unix.Munmap(m) }
