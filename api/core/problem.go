package core

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

// statusClientGone is nginx's status for a client that left; it is only ever
// seen in the log.
const statusClientGone = 499

// statuses is the one mapping of faults to HTTP.
var statuses = map[fault.Kind]int{
	fault.Invalid:       http.StatusBadRequest,
	fault.Unauthorized:  http.StatusUnauthorized,
	fault.Forbidden:     http.StatusForbidden,
	fault.NotFound:      http.StatusNotFound,
	fault.NotAllowed:    http.StatusMethodNotAllowed,
	fault.Slow:          http.StatusRequestTimeout,
	fault.Conflict:      http.StatusConflict,
	fault.TooLarge:      http.StatusRequestEntityTooLarge,
	fault.Unsupported:   http.StatusUnsupportedMediaType,
	fault.Unprocessable: http.StatusUnprocessableEntity,
	fault.Canceled:      statusClientGone,
	fault.Internal:      http.StatusInternalServerError,
	fault.Unavailable:   http.StatusServiceUnavailable,
	fault.Timeout:       http.StatusGatewayTimeout,
}

// ProblemType is the prefix of a problem's type, a name and no address:
// docs/api.md has a line for every code.
const ProblemType = "urn:tenon:problem:"

// ProblemOf words an error as a problem. An error that is no fault is ours: it
// shows nothing of itself but the request's id, which finds it in the log.
func ProblemOf(err error, requestID string) wire.Problem {
	e := fault.As(err)
	if e == nil || e.Kind == fault.Internal {
		code := fault.InternalError
		detail := "Something went wrong in the server; its log has the reason under this request_id."
		if e != nil {
			code, detail = e.Code, e.Detail
		}
		e = &fault.Error{Code: code, Detail: detail}
	}
	p := wire.Problem{
		Type: ProblemType + string(e.Code), Title: title(e.Kind), Status: statuses[e.Kind],
		Code: string(e.Code), Detail: e.Detail, RequestID: requestID, Report: e.Report,
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, wire.Finding{Path: f.Path, Code: f.Code, Detail: f.Detail})
	}
	return p
}

func title(k fault.Kind) string {
	if k == fault.Canceled {
		return "Client Closed Request"
	}
	return http.StatusText(statuses[k])
}

// WriteProblem answers with an error and returns the status.
func WriteProblem(w http.ResponseWriter, err error, requestID string) int {
	p := ProblemOf(err, requestID)
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	if fault.Is(err, fault.Overloaded) || fault.Is(err, fault.WorkerDied) {
		header.Set("Retry-After", "1")
	}
	if bodyLeft(err) {
		header.Set("Connection", "close") // what is left of the body is not read
	}
	w.WriteHeader(p.Status)
	body, err := json.Marshal(p)
	if err == nil {
		_, _ = w.Write(body) // a client that left needs no answer
	}
	return p.Status
}

// bodyLeft reports whether an error left a body unread that is too large, or
// too slow, to wait for its end.
func bodyLeft(err error) bool {
	var tooBig *http.MaxBytesError
	e := fault.As(err)
	return errors.As(err, &tooBig) || e != nil && e.Kind == fault.Slow
}
