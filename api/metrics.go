package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/lifecycle"
	"github.com/tenon-ml/tenon/runtime/host"
)

// seconds are the buckets of all durations: a run may take microseconds, and a
// request as long as its deadline.
var seconds = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30}

// metrics are the server's numbers, in a registry of its own so that two
// handlers in one process do not share them.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	predictions *prometheus.CounterVec
	rows        *prometheus.CounterVec
	runs        *prometheus.HistogramVec
	queued      *prometheus.HistogramVec
}

func newMetrics(h *host.Host, manager *lifecycle.Manager) *metrics {
	version := []string{"model", "version"}
	histogram := func(name, help string, labels []string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:    prometheus.NewRegistry(),
		requests:    counter("tenon_requests_total", "Requests by route, method and status.", "route", "method", "status"),
		durations:   histogram("tenon_request_seconds", "Time from the first byte of a request's header to the end of its answer.", []string{"route"}),
		predictions: counter("tenon_predictions_total", "Predictions by version; code is ok or that of the error.", append(version, "code")...),
		rows:        counter("tenon_rows_total", "Rows predicted.", version...),
		runs:        histogram("tenon_run_seconds", "Time in the engine.", version),
		queued:      histogram("tenon_queue_seconds", "Time spent waiting for the engine.", version),
	}
	gauge := func(name, help string, value func(host.Gauges) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(h.Gauges())) })
	}
	restarts := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tenon_worker_restarts_total", Help: "Processes of models that were started in the place of one that died.",
	}, func() float64 { return float64(h.Gauges().Restarts) })
	m.registry.MustRegister(
		restarts,
		m.requests, m.durations, m.predictions, m.rows, m.runs, m.queued,
		gauge("tenon_runs_running", "Runs in progress.", func(g host.Gauges) int { return g.Running }),
		gauge("tenon_runs_waiting", "Requests that wait for a run.", func(g host.Gauges) int { return g.Waiting }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenon_events_dropped_total", Help: "Answers of models with a version on trial that nobody had the time to look at.",
		}, func() float64 { return float64(h.Gauges().Dropped) }),
		gauge("tenon_versions_loaded", "Versions that can answer.", func(g host.Gauges) int { return g.Loaded }),
		gauge("tenon_versions_failed", "Versions that should be loaded and could not be.", func(g host.Gauges) int { return g.Failed }),
		gauge("tenon_models_quarantined", "Models of which nothing is served, because what is stored of them is damaged.", func(g host.Gauges) int { return g.Quarantined }),
		gauge("tenon_versions_ending", "Versions without traffic that a run still holds.", func(g host.Gauges) int { return g.Ending }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if manager != nil { // there is none in an examination
		m.registry.MustRegister(probeNumbers{manager}, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenon_canary_rollbacks_total", Help: "Canaries that this server rolled back by itself.",
		}, func() float64 { return float64(manager.Rollbacks()) }))
	}
	return m
}

// probeNumbers asks the manager how live versions answer, when metrics are.
type probeNumbers struct{ manager *lifecycle.Manager }

var (
	probesTotal = prometheus.NewDesc("tenon_parity_probe_total",
		"Probes of live versions by golden requests; result is ok, failed, skipped or error.", []string{"model", "version", "result"}, nil)
	parityOK = prometheus.NewDesc("tenon_parity_ok",
		"Whether a live version answers as its pipeline did: 1, or 0 where an examination or a probe found otherwise.", []string{"model", "version"}, nil)
)

// Describe implements prometheus.Collector.
func (probeNumbers) Describe(to chan<- *prometheus.Desc) { to <- probesTotal; to <- parityOK }

// Collect implements prometheus.Collector.
func (p probeNumbers) Collect(to chan<- prometheus.Metric) {
	for _, s := range p.manager.ProbeStats() {
		number := strconv.Itoa(s.Version)
		for result, n := range s.Counts {
			to <- prometheus.MustNewConstMetric(probesTotal, prometheus.CounterValue, float64(n), s.Model, number, result)
		}
		if !s.Judged {
			continue
		}
		ok := 0.0
		if s.OK {
			ok = 1
		}
		to <- prometheus.MustNewConstMetric(parityOK, prometheus.GaugeValue, ok, s.Model, number)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe counts a request by its route's pattern, so that paths that clients
// make up do not make new series.
func (m *metrics) observe(c *gin.Context) {
	started := time.Now()
	defer func() { // also where the answer is cut off, by a panic
		route := c.FullPath()
		if route == "" {
			route = "none"
		}
		m.requests.WithLabelValues(route, method(c.Request.Method), strconv.Itoa(c.Writer.Status())).Inc()
		m.durations.WithLabelValues(route).Observe(time.Since(started).Seconds())
	}()
	c.Next()
}

// method folds methods that clients make up into one series.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return name
	}
	return "other"
}

// predicted is core's watch.
func (m *metrics) predicted(model string, version, rows int, t host.Timing, err error) {
	number := strconv.Itoa(version)
	if err != nil {
		code := string(fault.InternalError)
		if e := fault.As(err); e != nil {
			code = string(e.Code)
		}
		m.predictions.WithLabelValues(model, number, code).Inc()
		return
	}
	m.predictions.WithLabelValues(model, number, "ok").Inc()
	m.rows.WithLabelValues(model, number).Add(float64(rows))
	m.runs.WithLabelValues(model, number).Observe(t.Run.Seconds())
	m.queued.WithLabelValues(model, number).Observe(t.Queue.Seconds())
}
