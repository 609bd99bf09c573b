// Package divergence compares what two versions answer to the same requests
// and keeps a report of it: how often they agree, how far apart they are, how
// long they took, and which rows to look at.
//
// Whoever asks both versions (a shadow, a canary, a rehearsal) makes one
// Comparison and adds one request after the other. It keeps counts, not rows,
// so its memory is bounded however many there are.
package divergence
