//go:build !race

package rollout

// seeds are the streams of each scenario.
const seeds = 20
