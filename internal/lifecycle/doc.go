// Package lifecycle is where stored versions become live ones: it publishes
// uploads, deploys versions, and after a start brings back what the registry's
// log says.
//
// It is the only package, beside cmd, that knows both the registry and the
// host: the registry keeps facts, the host serves, and lifecycle keeps the two
// in step. The order is always the same: prepare the new state fully, write the
// record, swap one pointer. A crash at any point leaves the old state or the
// new one. api/v1 is its caller.
package lifecycle
