package wire

import "encoding/json"

// Plot shows one output's expected values against those that came. An output
// of numbers has points, one of labels a table.
type Plot struct {
	// Points are taken evenly out of all rows: Agree of them out of AgreeOf rows
	// within tolerance, the others out of DifferOf rows beyond it.
	Points   []Point `json:"points,omitempty"`
	Agree    int     `json:"agree,omitempty"`
	AgreeOf  int     `json:"agree_of,omitempty"`
	DifferOf int     `json:"differ_of,omitempty"`
	// Beside counts rows that no plot can show: NaN, an infinity, no answer.
	Beside int `json:"beside,omitempty"`

	Labels *Confusion `json:"labels,omitempty"`
}

// Point is one row of one output: of a list or of probabilities the number
// that is furthest off, or the likeliest class where none is.
type Point struct {
	Expected float64 `json:"expected"`
	Got      float64 `json:"got"`
	Distance float64 `json:"distance"`
	Failed   bool    `json:"failed,omitempty"`
	Of       string  `json:"of,omitempty"` // the class or the place: ".Adelie", "[3]"
}

// Confusion counts rows by the expected label and the one that came.
type Confusion struct {
	// Labels are JSON texts, at most 20; all others are counted together as the
	// last one, "…", where Others says how many they are.
	Labels []string `json:"labels"`
	Counts [][]int  `json:"counts"` // [expected][got], by Labels
	Others int      `json:"others,omitempty"`
}

// ColumnReport is how far answers are off by the values of one input column.
// Where its bins differ, look at the column, or at one that goes with it.
type ColumnReport struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Bins []Bin  `json:"bins"` // at most 20, and one each for missing and for other values
}

// Bin is the rows whose value lies in a range of numbers, or is a category.
type Bin struct {
	// From and To are the smallest and the largest value of the rows; both are
	// absent from categories.
	From *float64 `json:"from,omitempty"`
	To   *float64 `json:"to,omitempty"`
	// Value is a category's JSON text; null is a missing value. Others counts
	// the categories that are together in the bin "…".
	Value  json.RawMessage `json:"value,omitempty"`
	Others int             `json:"others,omitempty"`

	Rows   int `json:"rows"`
	Failed int `json:"failed"` // beyond tolerance in any output
	// Mean and Worst are of the rows' distances: the largest of a row's outputs,
	// each in parts of that output's scale. Labels have none.
	Mean  float64 `json:"mean"`
	Worst float64 `json:"worst"`
}
