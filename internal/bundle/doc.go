// Package bundle reads and checks what the Python kit writes: the manifest,
// the signature, the golden set and the profile, in a folder or in a tar. It
// is the Go half of docs/bundle-format.md.
//
// The registry's ingest receives bundles through it (Receive), lifecycle and
// transform read versions through it (Open, Signature), and nothing here knows
// where bytes are kept: files come from an fs.FS and go to a Sink.
//
// Whatever a bundle gets wrong is a fault of kind Unprocessable and code
// InvalidBundle with a sentence that says where and what to do. Errors of the
// reader or of the sink are returned wrapped and are never taken for that.
package bundle
