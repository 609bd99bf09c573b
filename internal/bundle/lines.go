package bundle

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Limits of a golden file. A request of some images is a few MB of JSON; gzip
// itself cannot do better than 1,032 to 1, and rows of numbers stay below 100.
const (
	maxLine     = 32 << 20
	maxUnpacked = 2 << 30
	maxRatio    = 250
	freeRatio   = 16 << 20 // unpacked bytes from which the ratio counts
)

// lines reads a gzip file of JSON lines.
type lines struct {
	name    string
	file    fs.File
	packed  *counter
	scanner *bufio.Scanner
	number  int
}

func openLines(files fs.FS, name string) (*lines, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	l := &lines{name: name, file: file, packed: &counter{r: file}}
	zip, err := gzip.NewReader(bufio.NewReaderSize(l.packed, 32<<10))
	if err != nil {
		defer file.Close()
		return nil, l.broken(err)
	}
	l.scanner = bufio.NewScanner(&bounded{r: zip, packed: l.packed})
	l.scanner.Buffer(make([]byte, 64<<10), maxLine)
	return l, nil
}

func (l *lines) close() { l.file.Close() }

// place names the current line, counted from 1 as editors do.
func (l *lines) place() string { return fmt.Sprintf("line %d of %s", l.number, l.name) }

// next returns the members of the next line; false at the end.
func (l *lines) next() (map[string]json.RawMessage, []byte, bool, error) {
	for l.scanner.Scan() {
		if l.scanner.Err() != nil { // what came before it is no whole line
			break
		}
		l.number++
		line := bytes.TrimSpace(l.scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		line = bytes.Clone(line)
		var members map[string]json.RawMessage
		if err := json.Unmarshal(line, &members); err != nil {
			return nil, nil, false, refuse("%s is not a JSON object: export the bundle again", l.place()).Because(err)
		}
		return members, line, true, nil
	}
	if err := l.scanner.Err(); err != nil {
		return nil, nil, false, l.broken(err)
	}
	return nil, nil, false, nil
}

func (l *lines) broken(err error) error {
	switch {
	case l.packed.err != nil:
		return fmt.Errorf("read %s: %w", l.name, l.packed.err)
	case errors.Is(err, errBomb):
		return refuse("%s unpacks to far more than a golden set needs: export the bundle with fewer rows", l.name)
	case errors.Is(err, bufio.ErrTooLong):
		l.number++
		return refuse("%s is longer than %d bytes: send fewer rows in one golden request", l.place(), maxLine)
	}
	return refuse("%s is not whole gzip: export or copy the bundle again", l.name).Because(err)
}

// request reads the next golden request.
func (l *lines) request() (Case, bool, error) {
	members, _, ok, err := l.next()
	if err != nil || !ok {
		return Case{}, false, err
	}
	c := Case{Body: members["body"]}
	if c.ID, err = l.id(members); err != nil {
		return Case{}, false, err
	}
	if why, ok := members["why"]; ok && json.Unmarshal(why, &c.Why) != nil {
		return Case{}, false, refuse("%s: why is not a string", l.place())
	}
	if len(c.Body) == 0 || c.Body[0] != '{' {
		return Case{}, false, refuse("%s: body is not an object", l.place())
	}
	return c, true, nil
}

// answer reads the next golden answer and returns its id and the whole line.
func (l *lines) answer() (Scalar, json.RawMessage, bool, error) {
	members, line, ok, err := l.next()
	if err != nil || !ok {
		return Scalar{}, nil, false, err
	}
	_, rows := members["predictions"]
	_, columns := members["outputs"]
	if rows == columns {
		return Scalar{}, nil, false, refuse("%s: expected one of predictions and outputs", l.place())
	}
	id, err := l.id(members)
	return id, line, err == nil, err
}

func (l *lines) id(members map[string]json.RawMessage) (Scalar, error) {
	var id Scalar
	raw, ok := members["id"]
	if !ok || id.UnmarshalJSON(raw) != nil || id.Kind() == "bool" {
		return Scalar{}, refuse("%s: id is not a string or a number", l.place())
	}
	return id, nil
}

var errBomb = errors.New("unpacks to too much")

// bounded reads what gzip unpacks, within the limits on size and ratio.
type bounded struct {
	r      io.Reader
	packed *counter
	n      int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > maxUnpacked || (b.n > freeRatio && b.n/maxRatio > b.packed.n) {
		return 0, errBomb
	}
	return n, err
}

// counter counts what is read and keeps the first error but io.EOF.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
