// Package capture keeps a sample of the requests to a model on disk, so that a
// later version can be rehearsed with them.
//
// A Recorder is offered requests by whoever answers them, and never makes them
// wait: what comes faster than it can be written is left out, and counted. It
// strikes out the columns that must not be kept before anything of a request
// reaches its memory for files or the disk; a request that it cannot read is
// not kept at all.
//
// Each model has a folder with segments, files of some requests each, one JSON
// object a line. A segment is written whole, again and again while it grows,
// under a name that says how many requests it holds; the one before is removed
// then. Several servers may write to one folder: each has segments of its own.
// When all of them together reach the bound, the oldest go. Nothing here is
// truth: the folder may be removed at any time.
package capture
