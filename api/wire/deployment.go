package wire

import "time"

// Traffic says which versions take which share of a model's traffic, and how.
// Requests, answers and the registry's records hold it in these words.
type Traffic struct {
	// Stable is the version that takes the traffic which no other takes.
	Stable int `json:"stable"`
	// Canary takes a share of the traffic, in steps.
	Canary *Canary `json:"canary,omitempty"`
	// Shadow is a version that is sent copies of requests; nobody sees its
	// answers. 0: none.
	Shadow int `json:"shadow,omitempty"`
	// Isolation is the process that they run in: auto, shared or process; "" is
	// what the server's setting says.
	Isolation string `json:"isolation,omitempty"`
	// Limits of the canary, where they are not the server's.
	Limits *Limits `json:"limits,omitempty"`
	// Capture keeps some of the requests for a rehearsal.
	Capture *Capture `json:"capture,omitempty"`
}

// Stable is all the traffic to one version.
func Stable(n int) Traffic { return Traffic{Stable: n} }

// Has reports whether version n takes traffic, or copies of it.
func (t *Traffic) Has(n int) bool {
	return n == t.Stable || n == t.Shadow || t.Canary != nil && n == t.Canary.Version
}

// Deploy is the body of POST /v1/models/{name}/deployments: everything that
// shall be in force from then on. What is left out is not in force, but for
// the stable version: without one, the present one stays.
type Deploy struct {
	Traffic
	// Expected is the number of the deployment that the caller saw (0: none);
	// left out, the last caller wins.
	Expected *int   `json:"expected,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Force lets a version in whose signature breaks the callers of the one before.
	Force bool `json:"force,omitempty"`
}

// Canary is a version on trial: it takes a rising share of a model's traffic
// until it becomes the stable one, or breaks a limit and takes none.
type Canary struct {
	Version int `json:"version"`
	// Steps are the shares in percent, rising, each from 1 to 99.
	Steps []int `json:"steps"`
	// Step is the index of the one in force; a canary begins with the first.
	Step int `json:"step"`
}

// Share is the percentage of the traffic that the canary takes now.
func (c *Canary) Share() int {
	if c == nil {
		return 0
	}
	return c.Steps[c.Step]
}

// Limits are what a canary has to keep to, and what must have been seen of it
// before it takes the next step. Members that are left out are the server's
// (canary in config.yaml). Rates are shares from 0 to 1.
type Limits struct {
	// MinRequests is how many requests of clients it must have answered in a step.
	MinRequests *int `json:"min_requests,omitempty"`
	// MinTime is how long a step lasts at least, as a duration such as "30s".
	MinTime *string `json:"min_time,omitempty"`
	// MaxErrorRate is how much larger its share of failed requests may be than
	// the stable version's.
	MaxErrorRate *float64 `json:"max_error_rate,omitempty"`
	// MaxLatencyRatio is how many times the stable version's time its own may be,
	// in the middle (p50) and at the end (p99).
	MaxLatencyRatio *float64 `json:"max_latency_ratio,omitempty"`
	// MaxInvalidRate is how much larger its share of rows may be whose answer is
	// not a number, or none of the known classes, than the stable version's.
	MaxInvalidRate *float64 `json:"max_invalid_rate,omitempty"`
	// MaxDisagreement is the share of the same rows that it may answer otherwise
	// than the stable version.
	MaxDisagreement *float64 `json:"max_disagreement,omitempty"`
}

// Capture keeps a sample of the requests to a model.
type Capture struct {
	// Share of the requests that are kept, above 0 and up to 1.
	Share float64 `json:"share"`
	// Redact names columns whose values are not kept.
	Redact []string `json:"redact,omitempty"`
}

// Captures says how many requests of a model are kept, by all servers of the
// registry.
type Captures struct {
	Requests int   `json:"requests"`
	Bytes    int64 `json:"bytes"`
	// Since is the time of the oldest one.
	Since *time.Time `json:"since,omitempty"`
	// Skipped is how many this server has drawn and not kept since it started, of
	// all models: they were too large, or came faster than they could be written.
	Skipped int64 `json:"skipped"`
}

// Deployments is the answer of GET /v1/models/{name}/deployments, newest first.
type Deployments struct {
	Deployments []Deployment `json:"deployments"`
}

// Deployment is a numbered record of what takes a model's traffic.
type Deployment struct {
	Number int    `json:"deployment"`
	Model  string `json:"model"`
	Traffic
	Reason    string    `json:"reason,omitempty"`
	Created   time.Time `json:"created"`
	Actor     string    `json:"actor"`
	RequestID string    `json:"request_id,omitempty"`

	// Replayed is set in the server where the change was made before, by a
	// request with the same Idempotency-Key; the header Idempotent-Replayed
	// tells the client.
	Replayed bool `json:"-"`
}

// Trial says how a canary is doing on this server.
type Trial struct {
	Version int       `json:"version"`
	Share   int       `json:"share"` // of the traffic, in percent
	Step    int       `json:"step"`
	Since   time.Time `json:"since"` // of the step
	// State is what is to be done with it now, and why.
	State string `json:"state"`
}

// Rollback is the body of POST /v1/models/{name}/rollback; it may be empty.
type Rollback struct {
	To       int    `json:"to,omitempty"` // a version; 0: the stable one before
	Expected *int   `json:"expected,omitempty"`
	Reason   string `json:"reason,omitempty"`
}
