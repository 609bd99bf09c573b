package capture

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// segment is one that grows.
type segment struct {
	name    string   // of its files, without the count
	lines   [][]byte // with their newlines
	bytes   int64
	written int    // how many of the lines are on the disk,
	file    string // in this file; "": none
}

// newSegment begins with a request of that time, after which it is named: so
// names sort by age.
func newSegment(first time.Time) *segment {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return &segment{name: fmt.Sprintf("%020d-%s", max(first.UnixNano(), 0), hex.EncodeToString(random[:]))}
}

func (s *segment) add(line []byte) {
	s.lines = append(s.lines, append(line, '\n'))
	s.bytes += int64(len(line)) + 1
}

// forget drops the lines that were on the disk: somebody has removed them.
func (s *segment) forget() {
	for _, line := range s.lines[:s.written] {
		s.bytes -= int64(len(line))
	}
	s.lines, s.written, s.file = s.lines[s.written:], 0, ""
}

func (s *segment) content() []byte { return bytes.Join(s.lines, nil) }

// fileName says how many requests the file holds, so that nobody has to read it
// to count them.
func (s *segment) fileName() string { return fmt.Sprintf("%s-%08d.jsonl", s.name, len(s.lines)) }

// stored is a segment on the disk.
type stored struct {
	segment string // its name without the count
	file    string
	since   time.Time
	count   int
	bytes   int64
}

var fileName = regexp.MustCompile(`^(([0-9]{20})-[0-9a-f]{8})-([0-9]{8})\.jsonl$`)

// parseName reads the name of a segment's file; false: it is none.
func parseName(file string) (stored, bool) {
	m := fileName.FindStringSubmatch(file)
	if m == nil {
		return stored{}, false
	}
	nanos, err1 := strconv.ParseInt(m[2], 10, 64)
	count, err2 := strconv.Atoi(m[3])
	return stored{segment: m[1], file: file, since: time.Unix(0, nanos).UTC(), count: count}, err1 == nil && err2 == nil
}
