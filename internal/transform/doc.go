// Package transform compiles a version's signature against its graph into a
// Plan: where each logical column of a request goes, and how the graph's
// outputs become the logical outputs that people see.
//
// runtime/host compiles a plan once per load and keeps it as long as the
// version lives; api/core decodes requests by its layout. What does not fit
// together is refused here, at load, so that no request can meet it.
package transform
