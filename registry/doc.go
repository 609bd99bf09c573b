// Package registry is tenon's memory: which versions of which models exist,
// and which of them serve. It is the on-disk format and nothing else; it
// does not know what a bundle means, runs no model and speaks no HTTP.
//
// Every model has a log: a folder of small numbered records, each one action
// (a version was added, a deployment made, an alias set). Records are never
// changed. The state of a model is a fold over its log, so there is no second
// truth that could disagree with it. Each record carries the hash of the one
// before and a checksum of itself; a log that does not add up is quarantined:
// that model answers with a fault, all others go on.
//
// To commit is to create the record of the next number, exclusively and
// durably. Of two writers, in one process or in two, exactly one wins; the
// other folds again and decides anew. A fact (a version was added) then takes
// the next number by itself. An intent (a deployment, an alias) that named
// what it expected to find gets a conflict when something else is there.
//
// The files of versions are blobs, named by their SHA-256 and placed before
// the record that needs them; so the record is the moment of publication.
// Before it nothing is visible, after it nothing changes:
//
//	in, _ := store.Ingest()                  // a locked folder for one upload
//	defer in.Discard()
//	f, _ := in.Create("manifest.json")       // and every file it lists
//	dir, _ := in.View()                      // examine the bundle from here
//	v, _ := store.AddVersion(ctx, "iris", in, registry.NewVersion{…}, by)
//	dir, _ = store.View(v)                   // load the version from here
//	d, _ := store.Deploy(ctx, "iris", registry.NewDeployment{Traffic: wire.Stable(v.Number)}, by)
//
// Several processes may have one registry open at a time. internal/lifecycle
// and cmd call this package; everybody else learns of its content through
// them. The format is written down in docs/registry-format.md, for readers
// and writers in any language.
//
// Faults: model-not-found and version-not-found for what is not there,
// stale-expected and version-in-use for conflicts, quarantined for damage,
// invalid-bundle for an upload whose manifest and files disagree, and
// storage-failed where the disk refused, which acknowledges nothing.
package registry
