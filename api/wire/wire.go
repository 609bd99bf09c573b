// Package wire is the JSON of the management API: what the server answers and
// what clients read, in one place, so that the two cannot differ. Predictions
// are not here: they are written by internal/tensor.
//
// The server's api/v1 and internal/lifecycle fill these types; api/client and
// the command line read them. Field names are kept for ever once released.
package wire

import (
	"encoding/json"
	"time"
)

// Problem is every error answer (RFC 9457, application/problem+json).
type Problem struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Code      string          `json:"code"`
	Detail    string          `json:"detail"`
	RequestID string          `json:"request_id,omitempty"`
	Errors    []Finding       `json:"errors,omitempty"`
	Report    json.RawMessage `json:"report,omitempty"`
}

// Finding is one fault inside a request: path counts from zero
// (instances[3].age).
type Finding struct {
	Path   string `json:"path"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Models is the answer of GET /v1/models.
type Models struct {
	Models []Model `json:"models"`
}

// Model is one named line of versions. It is TensorFlow Serving's model status
// and KServe v1's readiness, too.
type Model struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Stable int    `json:"stable"` // the version that takes traffic; 0: none
	Latest int    `json:"latest"` // the newest version
	// Versions is how many there are.
	Versions   int            `json:"versions"`
	Aliases    map[string]int `json:"aliases"`
	Parity     string         `json:"parity,omitempty"`   // of the stable version
	Loosened   string         `json:"loosened,omitempty"` // of the stable version
	Deployment *Deployment    `json:"deployment"`
	Trial      *Trial         `json:"trial,omitempty"`   // of the canary
	Problem    string         `json:"problem,omitempty"` // why it is not ready
	Probe      *Probe         `json:"probe,omitempty"`   // of the stable version
	// Captures says what is kept of the requests, where one model is asked for and
	// something is, or is to be.
	Captures *Captures   `json:"captures,omitempty"`
	Status   []TFSStatus `json:"model_version_status"`
	// Signature is of the version that the reference names, where one is loaded.
	Signature *Signature `json:"signature,omitempty"`
}

// Probe is what a few golden requests to a live version found, the last time.
type Probe struct {
	OK      bool      `json:"ok"`
	At      time.Time `json:"at"`
	Rows    int       `json:"rows"`
	Summary string    `json:"summary"`
}

// TFSStatus is TensorFlow Serving's status of one loaded version.
type TFSStatus struct {
	Version string    `json:"version"`
	State   string    `json:"state"`
	Status  TFSReason `json:"status"`
}

// TFSReason is TensorFlow Serving's error, OK for a version that serves.
type TFSReason struct {
	Code    string `json:"error_code"`
	Message string `json:"error_message"`
}

// Signature is what people see of a version: its columns and outputs. Unused
// columns may stand in a request and mean nothing.
type Signature struct {
	Inputs  []Column `json:"inputs"`
	Unused  []string `json:"unused,omitempty"`
	Outputs []Column `json:"outputs"`
}

// Column is one logical input or output.
type Column struct {
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Shape   []int64 `json:"shape,omitempty"`   // of one row's value; -1 where the request decides
	Missing string  `json:"missing,omitempty"` // inputs: allowed or refused
	Kind    string  `json:"kind,omitempty"`    // outputs: label, probabilities or value
	Domain  []any   `json:"domain,omitempty"`  // inputs: the values known from training
	Unknown string  `json:"unknown,omitempty"` // inputs: what happens to other values
	// Minimum and Maximum are the least and the greatest number that an input
	// accepts; none where a side is open.
	Minimum json.Number `json:"minimum,omitempty"`
	Maximum json.Number `json:"maximum,omitempty"`
	Classes []any       `json:"classes,omitempty"` // outputs: the classes of probabilities
	Finite  bool        `json:"finite,omitempty"`  // outputs: a row with NaN or an infinity is refused
}

// Versions is the answer of GET /v1/models/{name}/versions, newest first.
type Versions struct {
	Versions []Version `json:"versions"`
}

// Version is one registered bundle.
type Version struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
	Size    int64  `json:"size"`
	Parity  string `json:"parity"`
	// Loosened says in words what it was held to when it was proven, where that
	// is less than the defaults: "agreement ≥ 99 %".
	Loosened    string            `json:"loosened,omitempty"`
	Created     time.Time         `json:"created"`
	Actor       string            `json:"actor"`
	RequestID   string            `json:"request_id,omitempty"`
	Stable      bool              `json:"stable"`
	Role        string            `json:"role,omitempty"` // stable, canary or shadow of the deployment in force
	Loaded      bool              `json:"loaded"`
	Deleted     bool              `json:"deleted,omitempty"`
	Problem     string            `json:"problem,omitempty"` // why it is not loaded although it should be
	Probe       *Probe            `json:"probe,omitempty"`
	Task        string            `json:"task,omitempty"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Metrics     map[string]any    `json:"metrics,omitempty"`
	Signature   *Signature        `json:"signature,omitempty"`
	// Notes are sentences on what it was exported with that differs from this
	// server in a way that matters.
	Notes []string `json:"notes,omitempty"`
	// Isolation is where a loaded version runs, shared or process, and
	// IsolationReason why.
	Isolation       string `json:"isolation,omitempty"`
	IsolationReason string `json:"isolation_reason,omitempty"`
}

// Published is the answer of a push: 201, or 200 where the bundle was a
// version already.
type Published struct {
	Model    string `json:"model"`
	Version  int    `json:"version"`
	Digest   string `json:"digest"`
	Parity   string `json:"parity"`
	Loosened string `json:"loosened,omitempty"` // what it was held to, where that is less than the defaults
	Report   string `json:"report,omitempty"`   // its path; none for a version that was not examined
	Existing bool   `json:"existing,omitempty"`

	Replayed bool `json:"-"` // as of a Deployment
}

// Ready is the answer of GET /readyz.
type Ready struct {
	Ready  bool         `json:"ready"`
	Models []ModelReady `json:"models"`
}

// ModelReady is what /readyz says of one model.
type ModelReady struct {
	Model   string `json:"model"`
	Version int    `json:"version,omitempty"`
	// State is loading, live, behind, unloadable, quarantined or not-deployed.
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// About is the answer of GET /version.
type About struct {
	Version  string `json:"version"`
	Engine   string `json:"engine"`
	ORT      string `json:"onnxruntime,omitempty"`
	Registry string `json:"registry"` // the registry's id
	Go       string `json:"go"`
}

// Operations is the answer of GET /v1/operations, newest first.
type Operations struct {
	Operations []Operation `json:"operations"`
}

// Operation is work that may outlast the request that began it: the
// examination of a push, or a rehearsal. It is forgotten when the server starts.
type Operation struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind"` // push or rehearsal
	Model   string     `json:"model"`
	State   string     `json:"state"`           // queued, running, succeeded or failed
	Phase   string     `json:"phase,omitempty"` // loading or replaying
	Created time.Time  `json:"created"`
	Done    int        `json:"done"` // requests
	Total   int        `json:"total"`
	Result  *Published `json:"result,omitempty"` // of a push
	// Divergence is the result of a rehearsal.
	Divergence *Divergence `json:"divergence,omitempty"`
	Error      *Problem    `json:"error,omitempty"`
}

// SetAlias is the body of PUT /v1/models/{name}/aliases/{alias}.
type SetAlias struct {
	Version int `json:"version"`
	// Expected is the version that it pointed to when the caller looked (0: none).
	Expected *int `json:"expected,omitempty"`
}

// Alias is the answer to a change of an alias; version 0 is one that is gone.
type Alias struct {
	Model   string `json:"model"`
	Alias   string `json:"alias"`
	Version int    `json:"version"`

	Replayed bool `json:"-"` // as of a Deployment
}

// Deleted is the answer to DELETE of a version.
type Deleted struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	Reason  string `json:"reason,omitempty"`

	Replayed bool `json:"-"` // as of a Deployment
}

// The headers of a change that happens once, however often it is sent.
const (
	IdempotencyKey     = "Idempotency-Key"
	IdempotentReplayed = "Idempotent-Replayed"
)

// Log is the answer of GET /v1/models/{name}/log, oldest first: the records of
// the registry as they are stored.
type Log struct {
	Records []json.RawMessage `json:"records"`
}
