package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// progress shows how far something long is, on one line of a terminal that is
// written again. Elsewhere (a file, a pipe, a test) it is silent.
type progress struct {
	to    io.Writer // nil: silent
	what  string
	total int64
	sent  int64
	shown time.Time
}

// patience is how long an upload may take before a line appears: what is
// quicker would only flicker.
const patience = 300 * time.Millisecond

func newProgress(to io.Writer, what string, total int64) *progress {
	p := &progress{what: what, total: total, shown: time.Now().Add(patience)}
	if f, ok := to.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.to = to
		}
	}
	return p
}

// reader counts what passes.
func (p *progress) reader(r io.Reader) io.Reader { return io.TeeReader(r, p) }

// Write implements io.Writer for the tee.
func (p *progress) Write(b []byte) (int, error) {
	p.sent += int64(len(b))
	if p.to != nil && time.Since(p.shown) > 100*time.Millisecond {
		p.shown = time.Now()
		p.show()
	}
	return len(b), nil
}

func (p *progress) show() {
	const width = 30
	if p.total <= 0 {
		fmt.Fprintf(p.to, "\r%s  %s ", p.what, megabytes(p.sent))
		return
	}
	full := min(int(p.sent*width/p.total), width)
	fmt.Fprintf(p.to, "\r%s  [%-*s] %s of %s ", p.what, width, "=============================="[:full],
		megabytes(p.sent), megabytes(p.total))
	if p.sent >= p.total {
		fmt.Fprint(p.to, " the server examines it … ")
	}
}

// examining shows how far the examination of a push is.
func (p *progress) examining(o wire.Operation) { p.operation(o, "examining", "examination") }

// rehearsing shows how far a rehearsal is.
func (p *progress) rehearsing(o wire.Operation) { p.operation(o, "rehearsing", "rehearsal") }

func (p *progress) operation(o wire.Operation, doing, what string) {
	switch {
	case o.State == "queued":
		p.say("waiting for another " + what + " to end")
	case o.Total > 0:
		p.say(fmt.Sprintf("%s: %d of %d requests", doing, o.Done, o.Total))
	default:
		p.say(doing + ": " + o.Phase)
	}
}

// say shows a text in place of the line, not too often.
func (p *progress) say(text string) {
	if p.to != nil && time.Since(p.shown) > 100*time.Millisecond {
		p.shown = time.Now()
		fmt.Fprintf(p.to, "\r\x1b[K%s ", text)
	}
}

// done ends the line.
func (p *progress) done() {
	if p.to != nil && p.shown.Before(time.Now()) {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
