package worker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/tenon-ml/tenon/internal/child"
	"github.com/tenon-ml/tenon/internal/tensor"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// A child starts with these descriptors beside the standard three: the control
// socket, then three for each lane: its socket, its inputs and its outputs.
const (
	controlFile  = 3
	firstLane    = 4
	filesOfALane = 3
)

// Serve is the child's side: it loads the graph that the server names, and
// runs it until the server's end closes, which ends it without an error. Before
// the load it calls prepare with the size of the model's file, so that the process
// can bound itself.
func Serve(ctx context.Context, e engine.Engine, lanes int, prepare func(modelBytes int64) error) error {
	control, err := connection(controlFile)
	if err != nil {
		return fmt.Errorf("this command is for the server alone: %w", err)
	}
	s := &server{engine: e, prepare: prepare, running: map[uint64]context.CancelFunc{}}
	for n := range lanes {
		l, err := childLane(firstLane + filesOfALane*n)
		if err != nil {
			return err
		}
		s.lanes = append(s.lanes, l)
	}
	return s.serve(ctx, control)
}

// connection is a socket whose reads block a thread. Go's poller would wait for
// one of its processors, which runs in C hold, and leave the socket unread for milliseconds.
func connection(descriptor int) (*os.File, error) {
	if err := syscall.SetNonblock(descriptor, false); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(descriptor), "socket"), nil
}

func childLane(first int) (*lane, error) {
	conn, err := connection(first)
	if err != nil {
		return nil, err
	}
	l := &lane{conn: conn}
	for i, m := range []*memory{&l.theirs, &l.mine} {
		file := os.NewFile(uintptr(first+1+i), "shared memory")
		*m, err = mapMemory(file)
		file.Close()
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

type server struct {
	engine  engine.Engine
	prepare func(int64) error
	lanes   []*lane
	session engine.Session

	mu      sync.Mutex
	running map[uint64]context.CancelFunc // runs by their number
}

// serve loads on the first lane, then runs on all, until the control socket
// closes: the server's end has closed then, however it ended.
func (s *server) serve(ctx context.Context, control io.Reader) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		s.listen(control)
	}()
	if err := s.load(ctx, s.lanes[0]); err != nil {
		return err
	}
	for _, l := range s.lanes {
		go func() {
			defer stop()
			for s.one(ctx, l) == nil {
			}
		}()
	}
	<-ctx.Done()
	// A run may go on in C; the process ends under it.
	return nil
}

// listen stops the runs whose numbers come.
func (s *server) listen(control io.Reader) {
	var number [8]byte
	for {
		if _, err := io.ReadFull(control, number[:]); err != nil {
			return
		}
		s.mu.Lock()
		if cancel := s.running[binary.NativeEndian.Uint64(number[:])]; cancel != nil {
			cancel()
		}
		s.mu.Unlock()
	}
}

func (s *server) load(ctx context.Context, l *lane) error {
	f, err := l.receive()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	g, err := readGraph(f.body)
	if err != nil {
		return err
	}
	size := int64(len(g.Model))
	if g.Path != "" {
		size += child.ModelBytes(filepath.Dir(g.Path))
	}
	if err = s.prepare(size); err == nil {
		s.session, err = s.engine.Load(ctx, g)
	}
	return answer(l, f.number, nil, err)
}

// one answers the next run of a lane.
func (s *server) one(ctx context.Context, l *lane) error {
	f, err := l.receive()
	if err != nil {
		return err
	}
	if f.kind != kindRun || s.session == nil {
		return errFrame
	}
	inputs, _, err := (&reader{rest: f.body}).tensors(l.theirs, true)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.running[f.number] = cancel
	s.mu.Unlock()
	outputs, err := s.session.Run(ctx, inputs)
	s.mu.Lock()
	delete(s.running, f.number)
	s.mu.Unlock()
	return answer(l, f.number, outputs, err)
}

func answer(l *lane, number uint64, outputs []*tensor.Tensor, err error) error {
	if err != nil {
		return l.send(kindFault, number, func(b []byte) []byte { return appendFault(b, err) })
	}
	return l.send(kindDone, number, func(b []byte) []byte { return appendTensors(b, outputs, l.mine) })
}

// appendGraph writes a graph: the length of its JSON, the JSON, the model's
// bytes where they were rewritten.
func appendGraph(b []byte, g engine.Graph) ([]byte, error) {
	model := g.Model
	g.Model = nil
	head, err := json.Marshal(graphJSON{g, model != nil})
	if err != nil {
		return nil, err
	}
	b = append(binary.NativeEndian.AppendUint32(b, uint32(len(head))), head...)
	return append(b, model...), nil
}

type graphJSON struct {
	engine.Graph
	Rewritten bool
}

func readGraph(body []byte) (engine.Graph, error) {
	r := reader{rest: body}
	head := r.bytes(uint64(r.uint32()))
	var g graphJSON
	if err := json.Unmarshal(head, &g); err != nil || r.bad {
		return g.Graph, errors.Join(errFrame, err)
	}
	if g.Rewritten {
		g.Model = append([]byte{}, r.rest...)
	}
	return g.Graph, nil
}
