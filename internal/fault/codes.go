package fault

// Code is the machine-readable name of a fault. The list is closed: every code
// is documented in docs/api.md, and a test holds the two together. A code once
// released is never renamed, because clients compare it.
type Code string

// Codes of requests.
const (
	InvalidInput     Code = "invalid-input"      // the body does not fit the signature; see errors[]
	InvalidJSON      Code = "invalid-json"       // the body is not JSON
	InvalidRequest   Code = "invalid-request"    // the request is wrong outside of its instances
	InvalidReference Code = "invalid-reference"  // not a model reference
	InvalidEncoding  Code = "invalid-encoding"   // a broken chunk or gzip stream
	BodyTooLarge     Code = "body-too-large"     // over server.max_body, or the limit of a small request
	BodyTimeout      Code = "body-timeout"       // the body did not arrive in time
	MediaType        Code = "unsupported-media"  // a Content-Type or Content-Encoding we do not read
	RouteNotFound    Code = "route-not-found"    // no such route
	MethodNotAllowed Code = "method-not-allowed" // the route exists, the method does not

	IdempotencyKeyReused Code = "idempotency-key-reused" // the key came with another request before
)

// Codes of models and versions.
const (
	ModelNotFound      Code = "model-not-found"      // no model of that name
	VersionNotFound    Code = "version-not-found"    // the model has no such version
	AliasNotFound      Code = "alias-not-found"      // the model has no such alias
	ReportNotFound     Code = "report-not-found"     // the version was never examined
	DivergenceNotFound Code = "divergence-not-found" // the version was not compared with another
	ExampleNotFound    Code = "example-not-found"    // the version has no golden set
	NothingDeployed    Code = "nothing-deployed"     // the model has versions, but none is deployed
	NotLoaded          Code = "not-loaded"           // the version exists, but is not loaded
	Quarantined        Code = "quarantined"          // stored state is damaged; see tenon verify
	Unloadable         Code = "unloadable"           // the deployed version could not be loaded
	StaleExpected      Code = "stale-expected"       // somebody else changed it first
	VersionInUse       Code = "version-in-use"       // deployed or aliased, so it cannot be deleted

	SignatureIncompatible Code = "signature-incompatible" // it breaks the callers of the stable version; see errors[]
)

// Codes of uploads.
const (
	InvalidBundle  Code = "invalid-bundle"   // not a bundle: tar, manifest, digests, file names
	ModelRefused   Code = "model-refused"    // the ONNX file cannot be served
	ParityFailed   Code = "parity-failed"    // the server's answers are not the pipeline's; see report
	NameMismatch   Code = "name-mismatch"    // the URL and the manifest name different models
	UploadTooLarge Code = "upload-too-large" // over registry.max_upload or registry.max_files
)

// Codes of operations.
const (
	NothingToReplay   Code = "nothing-to-replay"   // no request was captured, and the version has no golden set
	OperationNotFound Code = "operation-not-found" // it never was, or the server has started since
)

// Codes of the server's own state.
const (
	Overloaded      Code = "overloaded"      // the queue is full; see Retry-After
	Deadline        Code = "deadline"        // the run did not end in time
	ClientGone      Code = "client-gone"     // the client closed the connection
	ShuttingDown    Code = "shutting-down"   // the server is draining
	NotReady        Code = "not-ready"       // /readyz: live versions are still loading
	WorkerDied      Code = "worker-died"     // the process that runs the model ended; it is started again
	RunFailed       Code = "run-failed"      // ONNX Runtime refused this input
	InternalError   Code = "internal"        // ours; the request id finds it in the log
	StorageFailed   Code = "storage-failed"  // the registry could not write; nothing was acknowledged
	Unauthenticated Code = "unauthenticated" // no valid credentials
	AccessDenied    Code = "access-denied"   // the principal may not do this
)
