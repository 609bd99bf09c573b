// Package parity compares a server's own answers with those that the original
// pipeline gave: it sends a bundle's golden requests through an http.Handler,
// the very one that requests take, and reports how far apart the answers are.
//
// The examination in its own process and the later probes of live versions
// call Replay; nobody else compares answers. The rule of comparison stands in
// tolerance.go, once.
package parity
