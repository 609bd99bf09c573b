package v1

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tenon-ml/tenon/api/core"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/tensor"
)

// maxChange bounds the JSON body of a request that changes a model.
const maxChange = 64 << 10

// fields says where the members of a JSON object go, by name: pointers, or
// an object for one that holds members itself.
type fields map[string]any

// object is a member that is an object. There is set where the request has it.
type object struct {
	fields fields
	there  *bool
}

// readDeploy reads the body of a deployment.
func (a *API) readDeploy(c *gin.Context, d *wire.Deploy) error {
	var canary wire.Canary
	var limits wire.Limits
	var capture wire.Capture
	var hasCanary, hasLimits, hasCapture bool
	err := a.readChange(c, fields{
		"stable": &d.Stable, "shadow": &d.Shadow, "isolation": &d.Isolation,
		"expected": &d.Expected, "reason": &d.Reason, "force": &d.Force,
		"canary": object{fields{"version": &canary.Version, "steps": &canary.Steps, "step": &canary.Step}, &hasCanary},
		"limits": object{fields{
			"min_requests": &limits.MinRequests, "min_time": &limits.MinTime, "max_error_rate": &limits.MaxErrorRate,
			"max_latency_ratio": &limits.MaxLatencyRatio, "max_invalid_rate": &limits.MaxInvalidRate,
			"max_disagreement": &limits.MaxDisagreement,
		}, &hasLimits},
		"capture": object{fields{"share": &capture.Share, "redact": &capture.Redact}, &hasCapture},
	})
	if hasCanary {
		d.Canary = &canary
	}
	if hasLimits {
		d.Limits = &limits
	}
	if hasCapture {
		d.Capture = &capture
	}
	return err
}

// readChange reads a small JSON object into its members. It is strict, which
// encoding/json is not: a member that is misspelt or stands twice must not be
// taken for one that was left out.
func (a *API) readChange(c *gin.Context, into fields) error {
	if err := core.CheckJSON(c.Request, false); err != nil {
		return err
	}
	body, err := core.ReadBody(c.Writer, c.Request, core.Limits{Body: maxChange, Timeout: a.Body.Timeout})
	if err != nil {
		return err
	}
	scan := tensor.NewScanner(body)
	if err := into.read(scan, ""); err != nil {
		return err
	}
	return scan.End()
}

// read reads an object, whose path ends in a dot where it is not the outermost.
func (m fields) read(scan *tensor.Scanner, path string) error {
	seen := map[string]bool{}
	more, err := scan.Open('{', '}')
	for more && err == nil {
		if err = m.readOne(scan, path, seen); err == nil {
			more, err = scan.More('}')
		}
	}
	return err
}

func (m fields) readOne(scan *tensor.Scanner, path string, seen map[string]bool) error {
	raw, err := scan.Key()
	if err != nil {
		return err
	}
	key := string(raw)
	into, known := m[key]
	switch {
	case !known:
		return invalid(fmt.Sprintf("%s%.64s", path, key), "the key is not known: there are "+
			strings.Join(slices.Sorted(maps.Keys(m)), ", "))
	case seen[key]:
		return invalid(path+key, "the key stands twice")
	}
	seen[key] = true
	if inner, ok := into.(object); ok && scan.Peek() == '{' {
		*inner.there = true
		return inner.fields.read(scan, path+key+".")
	}
	literal, err := scan.Skip()
	if err != nil {
		return err
	}
	if _, ok := into.(object); ok && string(literal) == "null" {
		return nil
	}
	if json.Unmarshal(literal, into) != nil {
		return invalid(path+key, fmt.Sprintf("expected %s, got %.64s", wanted(into), literal))
	}
	return nil
}

// wanted words what a member holds.
func wanted(into any) string {
	switch into.(type) {
	case object:
		return "an object"
	case *string, **string:
		return "a string"
	case *bool:
		return "true or false"
	case *float64, **float64:
		return "a number"
	case *[]int:
		return "a list of whole numbers"
	case *[]string:
		return "a list of strings"
	default:
		return "a whole number"
	}
}
