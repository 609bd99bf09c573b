// Package rollout decides about a canary: whether it keeps its share of the
// traffic, takes the next step, becomes the stable version, or is rolled back.
//
// A Tally folds what happened to requests (Observation) into counts of a fixed
// size; Tally.Decide looks at them. Nothing here has a clock, a goroutine or a
// lock: the caller brings the time and calls from one place, so the same stream
// always ends in the same decisions. docs/canary.md explains them to operators.
//
// Versions are compared in two ways, and each has to convince by itself:
//
//   - the requests of clients on the canary with those on the stable version. A
//     caller that stays on one side makes the two unlike, so this counts alone
//     only for failures, where the stable version is asked once more;
//   - copies: the same body run on both versions off the callers' path. Nothing
//     but the version differs, and nobody is exposed.
//
// The statistics are in evidence.go, what is measured in measure.go.
package rollout
