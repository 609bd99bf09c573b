//go:build race

package rollout

// The race detector makes the streams ten times as slow and has nothing to find
// in them: they know no goroutines. make race plays all of them without it.
const seeds = 1
