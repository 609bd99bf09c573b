// Package worker is the engine that runs every session in a process of its own,
// so that a graph that ends its process ends nothing else: ONNX Runtime has
// operators that die on valid input, and no recover reaches them.
//
// The server's side is Engine, which runtime/host calls like any other engine;
// the child's side is Serve, which cmd calls in a hidden command with the engine
// that does the work. Between them lie lanes, one for each run at a time: a pair
// of sockets and two stretches of shared memory. A run takes a lane, writes one
// frame and reads one,
//
//	length uint32 · kind uint32 · number uint64 · body
//
// in the machine's own byte order, because both ends are one binary. Tensors from
// 32 KiB on lie in the shared memory, inputs in one stretch and outputs in the
// other, and the body holds only their place: the child computes on inputs where
// they lie, and the outputs are copied out before the lane is free again. One more
// pair of sockets carries the numbers of runs that are to be stopped.
//
// A process that dies fails the runs that it had, with 503, and is started
// again: at once the first time, with growing pauses when it goes on dying. Runs
// that come meanwhile wait a second for it. A run that does not end with its
// context is given a moment, and then its process is ended.
package worker
