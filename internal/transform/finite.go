package transform

import (
	"fmt"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// findNoAnswer is the code of a row that the model has no answer for.
const findNoAnswer = "no-answer"

// maxFindings bounds the rows that one answer names.
const maxFindings = 20

// HoldFinite refuses the rows of a frame to which the graph says NaN or an
// infinity where the signature says that its pipeline never does: such a row is
// one that the pipeline raises for, and a label beside NaN is no answer. It
// returns an invalid fault that names them. outs are the frame's Results.
func (p *Plan) HoldFinite(outs []tensor.Output, frame *tensor.Frame) error {
	var found *fault.Error
	count := 0
	for i := range p.Outputs {
		if !p.Outputs[i].Finite || outs[i].Whole || outs[i].AllFinite(frame.Rows) {
			continue
		}
		for row := range frame.Rows {
			if outs[i].RowFinite(row) {
				continue
			}
			if found == nil {
				found = fault.New(fault.Invalid, fault.InvalidInput, "The model has no answer for every row; errors says which it lacks.")
			}
			if count++; count > maxFindings {
				continue
			}
			found.At(frame.RowPath(row), findNoAnswer,
				"the model gives no number for row %d: its output %q would be NaN or infinite, for which the original pipeline has no answer; "+
					"look for values far outside of the training data", row, p.Outputs[i].Name)
		}
	}
	if count > maxFindings {
		found.Detail = fmt.Sprintf("The model lacks %d answers; errors lists the first %d.", count, maxFindings)
	}
	if found != nil {
		return found
	}
	return nil
}
