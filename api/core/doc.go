// Package core is what every dialect of the API shares: reading a body within
// limits, the way of a predict request from bytes to bytes, and the one place
// where an error becomes an HTTP answer.
//
// The dialects (api/v1 and its later siblings) translate their wire form to a
// frame and back through a Codec and leave the rest to this package. It knows
// net/http, but no router.
package core
