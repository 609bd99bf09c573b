package wire

// Cause is what a failed comparison probably is: a hypothesis that was tried
// on the rows that differ, and holds. The closed list of codes stands in
// docs/parity.md.
type Cause struct {
	Code   string `json:"code"`
	Detail string `json:"detail"` // one sentence for people
	// Columns are the inputs that it speaks of; an element of an array is "x[3]".
	Columns []string `json:"columns,omitempty"`
	// Explains is how many of the rows that it was tried on answer as the
	// pipeline did under the hypothesis; Of is how many these are.
	Explains int `json:"explains"`
	Of       int `json:"of"`
}
