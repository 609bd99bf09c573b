package wire

import (
	"encoding/json"
	"time"
)

// Divergence says how far the answers of one version are from another's to the
// same requests: a shadow's or a canary's from those of the stable version, or
// two versions' in a rehearsal.
type Divergence struct {
	Model   string         `json:"model"`
	From    DivergenceSide `json:"from"` // the version that is compared with
	To      DivergenceSide `json:"to"`
	Since   time.Time      `json:"since"`
	Summary string         `json:"summary"` // one sentence for people
	// Replayed says what a rehearsal has sent to both: captured requests, or the
	// golden ones of the version that is rehearsed. "": they were live ones.
	Replayed string `json:"replayed,omitempty"`
	// Requests and Rows are how much both versions answered, and so was compared.
	Requests int `json:"requests"`
	Rows     int `json:"rows"`
	// DisagreeingRows differ in at least one output by more than is allowed, and
	// Disagreement is their share of Rows.
	DisagreeingRows int     `json:"disagreeing_rows"`
	Disagreement    float64 `json:"disagreement"`
	// Skipped is how many requests were not compared, because there was no time
	// or no room for it.
	Skipped int `json:"skipped"`
	// Outputs are those that both versions have, OnlyFrom and OnlyTo the others.
	Outputs  []DivergenceOutput `json:"outputs"`
	OnlyFrom []string           `json:"only_from,omitempty"`
	OnlyTo   []string           `json:"only_to,omitempty"`
	// Examples lists the rows to look at, worst first, at most 10.
	Examples []DivergenceExample `json:"examples"`
}

// What a rehearsal replays.
const (
	ReplayedCaptured = "captured"
	ReplayedGolden   = "golden"
)

// Rehearse is the body of POST /v1/models/{name}/rehearsals.
type Rehearse struct {
	Version int `json:"version"`
	// Against is the version that it is compared with; 0: the stable one.
	Against int `json:"against,omitempty"`
	// Limit is how many requests are replayed at most; 0: 1,000.
	Limit int `json:"limit,omitempty"`
}

// DivergenceSide is one of the two versions.
type DivergenceSide struct {
	Version int `json:"version"`
	// Failed is how many requests it had no answer to, and Failures the last
	// sentence of each code.
	Failed   int                 `json:"failed"`
	Failures []DivergenceFailure `json:"failures,omitempty"`
	// InvalidRows are those with NaN or an infinite number, a label that is none
	// of the classes, or a probability that is none.
	InvalidRows int `json:"invalid_rows"`
	// RunSeconds is how long its runs took, without waiting for one.
	RunSeconds *Quantiles `json:"run_seconds,omitempty"`
}

// DivergenceFailure counts the failed runs of one code.
type DivergenceFailure struct {
	Code  string `json:"code"`
	Count int    `json:"count"`
	Last  string `json:"last"`
}

// Quantiles are the middle and the end of a distribution, to 2 %.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// DivergenceOutput is one output over all rows.
type DivergenceOutput struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // label, probabilities or value
	Rows int    `json:"rows"`
	// Agree is how many rows are within what is allowed, and Agreement their share.
	Agree     int     `json:"agree"`
	Agreement float64 `json:"agreement"`
	// Incomparable is how many rows have no distance: NaN or an infinite number
	// against another, or a value of another shape or type. They disagree.
	Incomparable int `json:"incomparable,omitempty"`
	// Scale is the unit of the distances. The distance of probabilities is the
	// largest difference of one class, its scale 1; that of values the largest
	// difference of one number in parts of the scale. Labels, strings and bools
	// are equal or not; they have neither.
	Scale    float64              `json:"scale,omitempty"`
	Distance *DivergenceDistances `json:"distance,omitempty"`
	// Changes are the most frequent pairs of labels that differ, at most 20.
	Changes []DivergenceChange `json:"changes,omitempty"`
}

// DivergenceDistances are over the rows that have one, those that are equal
// with them.
type DivergenceDistances struct {
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
	Quantiles
}

// DivergenceChange is a label that became another one.
type DivergenceChange struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Count is at least how often, and just how often while an output has no
	// more than 256 such pairs.
	Count int `json:"count"`
}

// DivergenceExample is one row that the versions answer otherwise.
type DivergenceExample struct {
	RequestID string    `json:"request_id"`
	Row       int       `json:"row"` // within the request, from zero
	Time      time.Time `json:"time"`
	// Output is the one that differs most, and Distance its distance, left out
	// where it has none.
	Output    string   `json:"output"`
	Distance  *float64 `json:"distance,omitempty"`
	Disagrees bool     `json:"disagrees"`
	// Input is the row as an instance of a request, From and To are the answers
	// to it. A text in place of one says that it was too long to keep.
	Input json.RawMessage `json:"input,omitempty"`
	From  json.RawMessage `json:"from"`
	To    json.RawMessage `json:"to"`
}
