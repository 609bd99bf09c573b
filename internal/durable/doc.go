// Package durable is the only place in tenon that writes files of state. It
// knows nothing of models or records: it turns a handful of system calls into
// promises that hold after the power was cut.
//
// The rule behind every function is the same. Bytes are written to a
// temporary file in the folder where they shall live, the file is synced and
// closed, and only then does link(2) give it its name: link is atomic, and it
// fails when the name is taken, so that of two writers exactly one wins.
// Last the folder is synced, because a name lives in its folder and not in
// the file; only after that may anybody be told that the file is kept. A
// function here that returns nil has done all of that.
//
// When a function returns an error other than fs.ErrExist, the outcome may be
// unclear: the name can be there although the folder was never synced. The
// caller settles it by reading back, and by calling SyncDir before it
// acknowledges what it found.
//
// The registry calls this package; nothing else needs to. Linux and macOS are
// supported (on macOS Go's Sync is F_FULLFSYNC). Tests make each system call
// fail in turn through Disk.Call.
package durable
