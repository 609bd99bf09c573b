package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/child"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
)

// examiner is the server's side of an examination: it starts this binary
// again as `tenon examine` and listens to it. A model that ends that process
// is a finding.
type examiner struct {
	executable string
	library    string
	threads    int
	timeout    time.Duration
}

var _ lifecycle.Examiner = (*examiner)(nil)

// maxMessage bounds one line of the child, a report in most cases.
const maxMessage = 16 << 20

// Examine implements lifecycle.Examiner.
func (x *examiner) Examine(ctx context.Context, s lifecycle.Staged, progress lifecycle.Progress) (*wire.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	command := exec.CommandContext(ctx, x.executable, "examine", s.Dir, "--model", s.Model,
		"--library", x.library, "--threads", strconv.Itoa(x.threads), "--cpu", x.timeout.String())
	command.SysProcAttr = child.Attributes()
	hold, err := command.StdinPipe() // closed with the server, and the child ends
	if err != nil {
		return nil, err
	}
	defer hold.Close()
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said := &child.Head{}
	command.Stderr = said
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("the examination could not be started: %w", err)
	}
	end := listen(out, progress)
	if end.flooded {
		cancel() // nobody reads on, so it would never end
	}
	err = command.Wait()
	return x.conclude(ctx, end, err, said.String())
}

// ending is the last that the child said.
type ending struct {
	phase  string
	report *wire.Report
	fault  *fault.Error
	loaded bool
	// flooded is a line that is longer than any message.
	flooded bool
}

// starting is the phase of a child that has said nothing: it has not touched
// the model yet.
const starting = "starting"

func listen(r io.Reader, progress lifecycle.Progress) ending {
	end := ending{phase: starting}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxMessage)
	for lines.Scan() {
		var m event
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue
		}
		if m.Phase != "" {
			end.phase = m.Phase
			progress(m.Phase, m.Done, m.Total)
		}
		end.loaded = m.Loaded
		if m.Report != nil {
			end.report = m.Report
		}
		if m.Problem != nil {
			end.fault = faultOf(m.Problem)
		}
	}
	end.flooded = errors.Is(lines.Err(), bufio.ErrTooLong)
	return end
}

func faultOf(p *wire.Problem) *fault.Error {
	kind := fault.Unprocessable
	if p.Status >= 500 {
		kind = fault.Internal
	}
	e := fault.New(kind, fault.Code(p.Code), "%s", p.Detail)
	for _, f := range p.Errors {
		e.At(f.Path, f.Code, "%s", f.Detail)
	}
	return e
}

// conclude turns how the child ended into a report or a fault.
func (x *examiner) conclude(ctx context.Context, end ending, err error, said string) (*wire.Report, error) {
	switch {
	case end.fault != nil:
		return nil, end.fault
	case err == nil && (end.report != nil || end.loaded):
		return end.report, nil
	case end.report != nil && !end.report.Passed && !errors.Is(ctx.Err(), context.Canceled):
		return end.report, nil // it ended while the causes were sought, and the verdict stands
	case end.flooded:
		return nil, refused("it made the process that examined it say more than %d bytes at once while %s", maxMessage, end.phase)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, refused("it did not end within %s while %s; make the model or its golden set smaller", x.timeout, end.phase)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case end.phase == starting:
		return nil, fmt.Errorf("the examination did not begin: %s: %s", child.HowItEnded(err, said), said)
	}
	return nil, refused("the process that examined it ended by %s while %s; the server is unharmed. "+
		"Load and run the file in Python in a process of its own to see it happen", child.HowItEnded(err, said), end.phase).
		Because(fmt.Errorf("%w: %s", errors.Join(errNoVerdict, err), said))
}

var errNoVerdict = errors.New("the examination ended without a verdict")

func refused(format string, args ...any) *fault.Error {
	e := fault.New(fault.Unprocessable, fault.ModelRefused, format, args...)
	e.Detail = "The model was refused: " + e.Detail + "."
	return e
}
