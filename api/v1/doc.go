// Package v1 is tenon's own dialect: its routes, and the wire form of its
// predictions. Handlers translate and call one thing; decisions are made in
// api/core and internal/lifecycle. Only package api mounts it.
package v1
