// Package fault is the one error type of tenon: a kind that decides the HTTP
// status, a code that programs compare, and a sentence that people read.
//
// Every package may return a fault; only api/core turns one into an HTTP
// answer. An error that is not a fault is an internal one: its text stays in
// the log and the client is told only that something went wrong here.
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Kind says whose fault it is, coarsely enough to choose an HTTP status.
type Kind uint8

// The kinds. The zero value is Internal so that a forgotten kind never blames
// the client.
const (
	Internal      Kind = iota // ours: 500
	Invalid                   // the request is wrong: 400
	Unauthorized              // no valid credentials: 401
	Forbidden                 // credentials without the right: 403
	NotFound                  // no such thing: 404
	NotAllowed                // no such method on this path: 405
	Slow                      // the client sent too slowly: 408
	Conflict                  // the state does not allow it now: 409
	TooLarge                  // over a limit: 413
	Unsupported               // a media type or encoding we do not read: 415
	Unprocessable             // well-formed, but refused: 422
	Canceled                  // the client went away: 499
	Unavailable               // try again later: 503
	Timeout                   // the deadline passed: 504
)

// Error is a fault. Code is one of the constants in codes.go. Detail is a
// sentence that says what is wrong, where, and what to do; it is shown to
// clients, so it never carries internals. Err is the cause, for the log only.
type Error struct {
	Kind   Kind
	Code   Code
	Detail string
	Fields []Field
	Report json.RawMessage // of the examination that failed
	Err    error
}

// Field locates one finding inside a request: a path that counts from zero
// (instances[3].age), a short code and a sentence.
type Field struct {
	Path   string `json:"path"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// New returns a fault whose detail is formatted as by fmt.Sprintf.
func New(kind Kind, code Code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Because attaches the cause, which is logged and never shown to clients.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// At adds a finding with its place in the request.
func (e *Error) At(path, code, format string, args ...any) *Error {
	e.Fields = append(e.Fields, Field{Path: path, Code: code, Detail: fmt.Sprintf(format, args...)})
	return e
}

// Error joins detail and cause; it is written for logs and command lines.
func (e *Error) Error() string {
	text := e.Detail
	for _, f := range e.Fields {
		text += "; " + f.Path + ": " + f.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// As returns the first fault in err's chain, or nil where there is none.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Is reports whether err's chain holds a fault with this code.
func Is(err error, code Code) bool {
	e := As(err)
	return e != nil && e.Code == code
}
