package wire

import (
	"encoding/json"
	"fmt"
	"time"
)

// Report is what an examination found: the server's own answers to the golden
// set, against those of the original pipeline.
type Report struct {
	Model   string `json:"model"`
	Digest  string `json:"digest"`
	Passed  bool   `json:"passed"`
	Summary string `json:"summary"` // one sentence for people
	// Loosened says in words what the answers that passed were held to, where
	// that is less than the defaults: "agreement ≥ 99 %".
	Loosened string    `json:"loosened,omitempty"`
	Engine   string    `json:"engine"`
	Created  time.Time `json:"created"`
	Seconds  float64   `json:"seconds"`
	// Requests and Rows are how much was compared; Why counts the rows by the
	// reason they were chosen for.
	Requests int            `json:"requests"`
	Rows     int            `json:"rows"`
	Why      map[string]int `json:"why"`
	// FailedRows is how many rows have at least one output beyond its tolerance.
	FailedRows int            `json:"failed_rows"`
	Outputs    []OutputReport `json:"outputs"`
	// Worst lists rows beyond tolerance, worst first, at most 20.
	Worst []RowReport `json:"worst"`
	// Causes is what a failed comparison probably is, best first, at most 5.
	Causes []Cause `json:"causes,omitempty"`
	// Coverage is what the golden rows reach, as the bundle's
	// golden/coverage.json says: categories, bins, leaves of trees.
	Coverage json.RawMessage `json:"coverage,omitempty"`
	// Columns shows the distance by input column, those that tell most first, at
	// most 50.
	Columns []ColumnReport `json:"columns,omitempty"`
	// Environment is what the bundle was exported with, and Notes are sentences
	// on what of it differs from the server in a way that matters.
	Environment json.RawMessage `json:"environment,omitempty"`
	Notes       []string        `json:"notes,omitempty"`
}

// OutputReport is one output over all rows.
type OutputReport struct {
	Name      string        `json:"name"`
	Kind      string        `json:"kind"`
	Type      string        `json:"type"`
	Tolerance ToleranceUsed `json:"tolerance"`
	Scale     float64       `json:"scale"`  // the largest finite expected value of the data's rows
	Values    int           `json:"values"` // numbers or labels compared
	Failed    int           `json:"failed"` // rows beyond tolerance
	// Worst is the largest distance over all rows, and Allowed what was allowed
	// there; both 0 for outputs that are compared for equality.
	Worst   float64 `json:"worst"`
	Allowed float64 `json:"allowed"`
	// Agreement is the share of equal labels, where that is the tolerance.
	Agreement *float64 `json:"agreement,omitempty"`
	// MadeUp are the rows beside that share: those that were made up to sit on
	// edges, where the golden set has rows of the data.
	MadeUp *MadeUp `json:"made_up,omitempty"`
	// Plot is expected against got; reports of releases before it have none.
	Plot *Plot `json:"plot,omitempty"`
}

// MadeUp says of how many made-up rows how many agree.
type MadeUp struct {
	Rows  int `json:"rows"`
	Agree int `json:"agree"`
}

// ToleranceUsed is the rule that an output was held to; Exact outputs must be equal.
type ToleranceUsed struct {
	Exact     bool     `json:"exact,omitempty"`
	Rel       float64  `json:"rel,omitempty"`
	Abs       float64  `json:"abs,omitempty"`
	Agreement *float64 `json:"agreement,omitempty"`
	Cosine    *float64 `json:"cosine,omitempty"`
	// Declared is set where the bundle's signature asks for it, and not the
	// default of the output's kind and type.
	Declared bool `json:"declared,omitempty"`
}

// Words are the rule in a few words.
func (t ToleranceUsed) Words() string {
	switch {
	case t.Exact:
		return "equal"
	case t.Agreement != nil:
		return fmt.Sprintf("agreement ≥ %.6g %%", 100**t.Agreement)
	case t.Cosine != nil:
		return fmt.Sprintf("cosine ≥ %.6g", *t.Cosine)
	default:
		return fmt.Sprintf("rel %.3g, abs %.3g", t.Rel, t.Abs)
	}
}

// RowReport is one row of one request that is beyond tolerance.
type RowReport struct {
	Request  string          `json:"request"` // id in the golden set
	Row      int             `json:"row"`     // within the request, from zero
	Why      string          `json:"why,omitempty"`
	Output   string          `json:"output"`
	Expected json.RawMessage `json:"expected"`
	Got      json.RawMessage `json:"got"`
	Distance float64         `json:"distance"`
	Allowed  float64         `json:"allowed"`
	Detail   string          `json:"detail"`
	Input    json.RawMessage `json:"input,omitempty"`
}
