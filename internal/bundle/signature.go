package bundle

import (
	"github.com/tenon-ml/tenon/internal/tensor"
)

// Missing says whether an input may be null.
type Missing string

// The policies for missing values. Refused is the default.
const (
	MissingRefused Missing = "refused"
	MissingAllowed Missing = "allowed"
)

// Unknown says what happens to a value outside an input's domain.
type Unknown string

// The policies for values outside the domain. Accept is the default.
const (
	UnknownAccept Unknown = "accept"
	UnknownRefuse Unknown = "refuse"
)

// Kind says what an output means.
type Kind string

// The kinds of outputs.
const (
	KindLabel         Kind = "label"         // a class, a cluster, an outlier flag
	KindProbabilities Kind = "probabilities" // one number per class, keyed by class
	KindValue         Kind = "value"         // a number, a vector, anything else
)

// Signature is what people see of a model: logical inputs (columns) and
// outputs, and how they map to the graph's tensors. It is checked inside
// itself only; whether the graph has such tensors is the plan's question.
type Signature struct {
	Inputs []Input `json:"inputs"`
	// Unused names columns of the training data that the pipeline never reads.
	// A request may hold them, whatever their values are, and need not.
	Unused  []string `json:"unused,omitempty"`
	Outputs []Output `json:"outputs"`
}

// Input is one logical column.
type Input struct {
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	Type        tensor.Type `json:"type"`
	// Shape is that of one row's value, without the batch: empty for a scalar,
	// -1 for a dimension that is not known.
	Shape   []int64 `json:"shape,omitempty"`
	Missing Missing `json:"missing,omitempty"`
	// Sentinel is the string that stands for a missing one in the feed; only
	// string columns have it, and those that allow missing values must.
	Sentinel string   `json:"sentinel,omitempty"`
	Domain   []Scalar `json:"domain,omitempty"`
	Unknown  Unknown  `json:"unknown,omitempty"`
	// Minimum and Maximum are the least and the greatest number that the model
	// answers for; the zero Scalar leaves a side open.
	Minimum Scalar `json:"minimum,omitzero"`
	Maximum Scalar `json:"maximum,omitzero"`
	// Feed is the graph input; the column's own name where the file says none.
	Feed string `json:"feed,omitempty"`
	// Column is the place in a matrix feed that several columns share; nil
	// where the column is the whole feed.
	Column *int `json:"column,omitempty"`
}

// Bounded reports whether the input has a minimum or a maximum.
func (in *Input) Bounded() bool { return in.Minimum != Scalar{} || in.Maximum != Scalar{} }

// Output is one logical output.
type Output struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Kind        Kind   `json:"kind"`
	// From is the graph output; the output's own name where the file says none.
	From string `json:"from,omitempty"`
	// Type is tensor.Invalid where the file says none: then the graph's holds.
	Type tensor.Type `json:"type,omitzero"`
	// Shape is that of one row's value, without the batch; nil where the file
	// says none.
	Shape []int64 `json:"shape,omitempty"`
	// Classes names the probabilities in the order of the tensor's last
	// dimension; only probabilities have it, and they must.
	Classes []Scalar `json:"classes,omitempty"`
	// Column is the place in a matrix that several outputs share.
	Column    *int       `json:"column,omitempty"`
	Tolerance *Tolerance `json:"tolerance,omitempty"`
	// Finite outputs are never NaN or infinite: a row for which the graph says
	// so is one that the pipeline has no answer for.
	Finite bool `json:"finite,omitempty"`
}

// LoosestDistance is the most that a tolerance may say for rel and abs: a tenth
// of the answer, and of the output's largest. A bundle that asks for more could
// be called proven whatever it answers.
const LoosestDistance = 0.1

// Tolerance says how far an answer may be from the original pipeline's. One
// form is set: rel and abs (either may be nil), agreement or cosine.
type Tolerance struct {
	Rel       *float64 `json:"rel,omitempty"`
	Abs       *float64 `json:"abs,omitempty"`
	Agreement *float64 `json:"agreement,omitempty"`
	Cosine    *float64 `json:"cosine,omitempty"`
}

// ClassKeys returns the keys under which an answer gives the probabilities:
// the JSON text of each class ("0", "true", "Adelie").
func (o *Output) ClassKeys() []string {
	keys := make([]string, len(o.Classes))
	for i, class := range o.Classes {
		keys[i] = class.Key()
	}
	return keys
}

// ParseSignature reads signature.json and checks everything that can be
// checked without the graph. Members that this version does not know are
// refused, because ignoring one could change answers.
func ParseSignature(data []byte) (*Signature, error) {
	f := newSignatureFindings()
	root, ok := parseObject(data, f)
	if !ok {
		return nil, f.err()
	}
	s := decodeSignature(root)
	if err := f.err(); err != nil {
		return nil, err
	}
	s.check(f)
	if err := f.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Check holds a signature that was made in code (for a bare model) to the same
// rules as a file.
func (s *Signature) Check() error {
	f := newSignatureFindings()
	s.check(f)
	return f.err()
}

func newSignatureFindings() *findings {
	return &findings{
		file:   SignatureFile,
		remedy: "export the model again with the kit, or correct the places below",
	}
}
