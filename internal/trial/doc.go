// Package trial watches versions on trial: canaries, which take a share of the
// traffic, and shadows, which are sent copies of it.
//
// It is told by runtime/host what became of requests, asks the version on trial
// (or the stable one, where the canary answered) the same thing once more off the
// callers' path, and hands all of it to internal/rollout, which decides, and to
// internal/divergence, which keeps what to look at. What was decided goes to an
// Actor, which is internal/lifecycle. Nothing here is in a request's way: what
// comes faster than it can be looked at is left out, and counted.
package trial
