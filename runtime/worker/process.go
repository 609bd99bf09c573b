package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tenon-ml/tenon/internal/child"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// process is one child and the lanes to it.
type process struct {
	command *exec.Cmd
	said    child.Head // of its standard error
	grace   time.Duration
	lanes   chan *lane // those that are free
	numbers atomic.Uint64

	control  net.Conn
	stopping sync.Mutex // one number at a time

	dead  chan struct{} // closed when it has ended
	cause string        // how; to be read after dead
}

// start runs the command with the control socket and the lanes.
func start(command *exec.Cmd, lanes int, grace time.Duration) (*process, error) {
	p := &process{command: command, grace: grace, lanes: make(chan *lane, lanes), dead: make(chan struct{})}
	command.Stderr = &p.said
	err := p.connect(lanes)
	if err == nil {
		err = command.Start()
	}
	for _, file := range command.ExtraFiles {
		file.Close() // the child has its own
	}
	if err != nil {
		p.close(len(p.lanes))
		return nil, err
	}
	go p.await()
	return p, nil
}

// connect makes the sockets and the memory, in the order in which Serve expects
// them.
func (p *process) connect(lanes int) (err error) {
	if p.control, err = p.socket(); err != nil {
		return err
	}
	for range lanes {
		conn, err := p.socket()
		if err != nil {
			return err
		}
		l := &lane{conn: conn}
		p.lanes <- l
		for _, m := range []*memory{&l.mine, &l.theirs} {
			file, err := (*os.File)(nil), error(nil)
			if *m, file, err = newMemory(); err != nil {
				return err
			}
			p.command.ExtraFiles = append(p.command.ExtraFiles, file)
		}
	}
	return nil
}

// socket makes a pair; the child gets one end.
func (p *process) socket() (net.Conn, error) {
	// Not every system closes them on exec by a flag; the lock keeps others from
	// starting a process in between.
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("a pair of sockets: %w", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "server")
	defer ours.Close() // net.FileConn has its own
	p.command.ExtraFiles = append(p.command.ExtraFiles, os.NewFile(uintptr(pair[1]), "child"))
	return net.FileConn(ours)
}

// await waits for the process's end. Its lanes are closed when the last run has
// given its lane back: each sees the end of its socket.
func (p *process) await() {
	p.cause = child.HowItEnded(p.command.Wait(), p.said.String())
	close(p.dead)
	p.close(cap(p.lanes))
}

func (p *process) close(lanes int) {
	if p.control != nil {
		_ = p.control.Close() // the process is gone
	}
	for range lanes {
		(<-p.lanes).close()
	}
}

// kill ends the process and waits for its end.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.dead
}

// errDied is the end of a call whose process ended, errUnsent of one that did
// not reach it, and so may be made again.
var (
	errDied   = errors.New("the process ended")
	errUnsent = errors.New("the process had ended before")
)

// isDead reports whether the process has ended.
func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// call sends one frame on a free lane, and hands the answer to read while the
// lane is its own.
func (p *process) call(ctx context.Context, k kind, add func([]byte, *lane) []byte, read func(frame, *lane) error) error {
	var l *lane
	select {
	case l = <-p.lanes:
	case <-p.dead:
		return errUnsent
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.lanes <- l }()
	number := p.numbers.Add(1)
	if err := l.send(k, number, func(b []byte) []byte { return add(b, l) }); err != nil {
		p.kill() // nothing but its end closes the socket
		return errUnsent
	}
	settled := p.watch(ctx, number)
	f, err := l.receive()
	settled()
	if err != nil || f.number != number {
		p.kill() // it ended, or says senseless things
		err = errDied
	}
	switch {
	case ctx.Err() != nil && (err != nil || f.kind == kindFault):
		return fmt.Errorf("the run was stopped: %w", ctx.Err())
	case err != nil:
		return err
	case f.kind == kindFault:
		return (&reader{rest: f.body}).fault()
	default:
		return read(f, l)
	}
}

// watch stops a run when ctx ends first: the child is told, and killed if it
// does not answer within the grace. The result is called with the answer.
func (p *process) watch(ctx context.Context, number uint64) (settled func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	answered := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		patience, again := time.NewTimer(p.grace), time.NewTicker(p.grace/10)
		defer patience.Stop()
		defer again.Stop()
		for {
			// The number may be there before its run, so it is said again.
			p.stopping.Lock()
			_, _ = p.control.Write(binary.NativeEndian.AppendUint64(nil, number))
			p.stopping.Unlock()
			select {
			case <-again.C:
			case <-answered:
				return
			case <-p.dead:
				return
			case <-patience.C:
				p.kill() // it does not look at its flag; the other runs are lost with it
				return
			}
		}
	})
	return func() {
		if !stop() {
			close(answered)
		}
	}
}

func (p *process) load(ctx context.Context, g engine.Graph) error {
	body, err := appendGraph(nil, g)
	if err != nil {
		return err
	}
	add := func(b []byte, _ *lane) []byte { return append(b, body...) }
	return p.call(ctx, kindLoad, add, func(frame, *lane) error { return nil })
}

func (p *process) run(ctx context.Context, inputs []*tensor.Tensor) (outputs []*tensor.Tensor, err error) {
	used := 0
	for _, x := range inputs {
		used += len(x.Data)
	}
	add := func(b []byte, l *lane) []byte { return appendTensors(b, inputs, l.mine) }
	err = p.call(ctx, kindRun, add, func(f frame, l *lane) error {
		end := 0
		outputs, end, err = (&reader{rest: f.body}).tensors(l.theirs, false)
		l.mine.trim(used)
		l.theirs.trim(end)
		return err
	})
	return outputs, err
}

// died is the fault of a call whose process ended.
func (p *process) died() error {
	return fault.New(fault.Unavailable, fault.WorkerDied,
		"The process that runs this model ended by %s while it computed; it is started again, and other models are not touched: "+
			"try again in a moment, without the rows that end it.", p.cause).Because(fmt.Errorf("%w: %s", errDied, p.said.String()))
}
