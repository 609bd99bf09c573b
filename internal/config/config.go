// Package config reads the settings of the server: flags over environment over
// file over defaults, each value checked before anything starts.
//
// The struct Config is the list of settings; tags beside each field give its
// key, default and range, and config.yaml at the root of the repository shows
// all of them with comments (a test holds the two together). Settings of a
// single model are not here: they live in its deployment record.
//
// Only cmd imports this package. It reads no environment and no flags by
// itself, and hands plain values to those who need them, so that two servers
// in one process never share a setting.
package config

import (
	"fmt"
	"net"
	"time"
)

// Config is every setting of a server. A Config from Load has passed all
// checks of single values.
type Config struct {
	Server   Server   `key:"server"`
	Registry Registry `key:"registry"`
	Runtime  Runtime  `key:"runtime"`
	// Examination is of pushed versions, each in a process of its own.
	Examination Examination `key:"examination"`
	// Parity is of versions that serve.
	Parity Parity `key:"parity"`
	// Canary is of versions on trial whose deployment does not say otherwise.
	Canary Canary `key:"canary"`
	// Capture is of models whose deployment has requests kept.
	Capture Capture `key:"capture"`
	Log     Log     `key:"log"`
}

// Server is the HTTP side.
type Server struct {
	// Listen is the address of the listener, host:port; port 0 takes a free one.
	Listen string `key:"listen" default:"127.0.0.1:8080" is:"address"`
	// AllowUnauthenticated permits a Listen that others can reach although
	// nobody has to say who they are.
	AllowUnauthenticated bool `key:"allow_unauthenticated" default:"false"`

	// ReadHeaderTimeout, ReadTimeout and UploadTimeout end slow clients: while
	// they send headers, a predict body, an upload.
	ReadHeaderTimeout time.Duration `key:"read_header_timeout" default:"10s" min:"100ms" max:"10m"`
	ReadTimeout       time.Duration `key:"read_timeout" default:"60s" min:"100ms" max:"1h"`
	UploadTimeout     time.Duration `key:"upload_timeout" default:"30m" min:"1s" max:"24h"`
	// IdleTimeout closes a kept-alive connection without requests.
	IdleTimeout time.Duration `key:"idle_timeout" default:"120s" min:"1s" max:"1h"`
	// DrainTimeout is how long a stop waits for requests that run.
	DrainTimeout time.Duration `key:"drain_timeout" default:"30s" min:"0s" max:"1h"`
	// RequestTimeout is the deadline of a predict once its body is read.
	RequestTimeout time.Duration `key:"request_timeout" default:"30s" min:"1ms" max:"1h"`

	// MaxBody limits a predict body, also after gzip is undone.
	MaxBody Size `key:"max_body" default:"64MiB" min:"1KiB" max:"2GiB"`
	// AccessLog writes one JSON line a request.
	AccessLog bool `key:"access_log" default:"true"`
}

// Registry is where versions are stored.
type Registry struct {
	// Root is the folder of the registry; it is created if it is not there.
	Root string `key:"root" default:"var/registry" is:"given"`
	// MaxUpload and MaxFiles limit one bundle.
	MaxUpload Size `key:"max_upload" default:"8GiB" min:"1KiB" max:"1TiB"`
	MaxFiles  int  `key:"max_files" default:"1000" min:"2" max:"100000"`
}

// Runtime is ONNX Runtime and how much of it runs at once.
type Runtime struct {
	// Library is the path of ONNX Runtime's shared library; empty searches
	// beside the binary, in var/ and in the Python environment.
	Library string `key:"library" default:""`
	// MaxConcurrentRuns limits Runs in progress; 0 means one per core.
	MaxConcurrentRuns int `key:"max_concurrent_runs" default:"0" min:"0" max:"4096"`
	// MaxQueued limits requests that wait for a Run; the next one gets 503.
	MaxQueued int `key:"max_queued" default:"1024" min:"0" max:"1000000"`
	// IntraOpThreads is how many threads one Run may use.
	IntraOpThreads int `key:"intra_op_threads" default:"1" min:"1" max:"1024"`
	// Isolation says which models run in a process of their own; a deployment may
	// say otherwise.
	Isolation string `key:"isolation" default:"auto" oneof:"auto shared process"`
}

// Examination bounds the process that loads and compares a pushed version.
type Examination struct {
	// Timeout ends an examination, by the clock and by processor time.
	Timeout time.Duration `key:"timeout" default:"10m" min:"1s" max:"24h"`
}

// Parity is how versions that serve are watched.
type Parity struct {
	// ProbeInterval is the time between two probes; 0 is none at all.
	ProbeInterval time.Duration `key:"probe_interval" default:"1m" min:"0s" max:"24h"`
}

// Canary is what a version on trial has to keep to, and what must have been seen
// of it before it takes the next step of its traffic. A deployment may have
// limits of its own. Rates are shares from 0 to 1.
type Canary struct {
	// MinRequests and MinTime are what a step takes at least.
	MinRequests int           `key:"min_requests" default:"100" min:"1" max:"1000000"`
	MinTime     time.Duration `key:"min_time" default:"30s" min:"0s" max:"168h"`
	// MaxErrorRate and MaxInvalidRate are margins over the stable version's.
	MaxErrorRate   float64 `key:"max_error_rate" default:"0.01" min:"0" max:"1"`
	MaxInvalidRate float64 `key:"max_invalid_rate" default:"0.01" min:"0" max:"1"`
	// MaxLatencyRatio is how many times the stable version's p50 and p99 its own may be.
	MaxLatencyRatio float64 `key:"max_latency_ratio" default:"2" min:"1" max:"1000"`
	// MaxDisagreement is the share of the same rows that it may answer otherwise.
	MaxDisagreement float64 `key:"max_disagreement" default:"0.1" min:"0" max:"1"`
}

// Capture bounds the requests that are kept for rehearsals.
type Capture struct {
	// MaxBytes is what those of one model take on the disk; the oldest go first.
	MaxBytes Size `key:"max_bytes" default:"16MiB" min:"64KiB" max:"1TiB"`
}

// Log is what the server says about itself, on standard error.
type Log struct {
	Level  string `key:"level" default:"info" oneof:"debug info warn error"`
	Format string `key:"format" default:"json" oneof:"json text"`
}

// Validate checks what only matters to a server that listens: others may reach
// it only if they have to say who they are, or if that was waived by name.
func (c Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Server.Listen)
	if err != nil || isLoopback(host) || c.Server.AllowUnauthenticated {
		return err
	}
	return fmt.Errorf("server.listen is %q, which other machines can reach, and no authentication is configured: "+
		"listen on 127.0.0.1, or accept anybody with --allow-unauthenticated", c.Server.Listen)
}

// Local reports whether only this machine can reach the listener.
func (s Server) Local() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether a listener on host is out of reach for other
// machines. A name other than localhost may resolve to anything.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
