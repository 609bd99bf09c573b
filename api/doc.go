// Package api is the HTTP surface: one router, the middleware that every
// request passes, the server's own routes (/livez, /readyz, /metrics,
// /version), and the dialects mounted side by side.
//
// cmd/tenon builds one handler with New and hands it to a net/http server; the
// examination later drives the same handler without a listener, so that the
// path compared is the path served.
package api
