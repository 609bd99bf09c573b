// Package host keeps versions live: it loads them, routes references to them,
// and runs requests on them, at most as many at once as there are cores.
//
// internal/lifecycle is its only writer: it tells the host every model and
// version it knows, loaded or not, so that "no such model", "not deployed" and
// "not loaded" are answers of one place. api/core is its only reader: it
// acquires a lease, decodes by the version's plan, predicts and releases.
//
// A replacement is one pointer store. Requests that hold a lease end on the
// version they began with, and the last release of a version that is no longer
// routed closes its session.
package host
