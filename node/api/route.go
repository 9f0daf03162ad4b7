package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dcann/dcann/registry/wire"
)

// route is one path with the methods that one handler answers.
type route struct {
	name      string // the path's pattern, a label of metrics and log lines: never holds an identifier
	methods   []string
	handle    echo.HandlerFunc
	metrics   *routeMetrics
	unlimited bool // not counted by the limits per address: what watches the node
}

// route registers handle under path. What would be middleware elsewhere is composed here once, since echo
// builds its chain anew for every request.
func (s *Server) route(methods []string, path string, handle echo.HandlerFunc) *route {
	r := &route{name: path, methods: methods, handle: handle, metrics: s.metrics.route(path)}
	s.routes = append(s.routes, r)
	wrapped := s.wrap(r)
	for _, m := range methods {
		s.echo.Add(m, path, wrapped)
	}
	s.echo.Add(http.MethodOptions, path, s.preflight(path))
	return r
}

// wrap is what every request goes through: limits, the handler, errors, metrics.
func (s *Server) wrap(rt *route) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		if id := c.Request().Header["X-Request-Id"]; id != nil {
			takeRequestID(c, id[0])
		}
		err := s.guarded(c, rt)
		if err != nil {
			s.reply(c, rt, err)
		}
		status := c.Response().Status
		if status == http.StatusOK {
			rt.metrics.ok.Inc()
		} else {
			s.metrics.requests.WithLabelValues(rt.name, strconv.Itoa(status)).Inc()
		}
		rt.metrics.seconds.Observe(time.Since(start).Seconds())
		return nil
	}
}

// guarded runs the handler unless the address is over its limit. A panic is a defect of ours and becomes
// an internal error; http.ErrAbortHandler keeps its meaning.
func (s *Server) guarded(c echo.Context, rt *route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			err = caught(p)
		}
	}()
	if !rt.unlimited {
		if err := s.limits.request(c.Request()); err != nil {
			s.metrics.limited.WithLabelValues("requests").Inc()
			return err
		}
	}
	return rt.handle(c)
}

// preflight answers a browser's question before a request across origins. Any origin may read, and may
// write too: what is written is signed, and no browser sends along anything that would authorise it.
func (s *Server) preflight(path string) echo.HandlerFunc {
	return func(c echo.Context) error {
		var methods []string
		for _, r := range s.routes {
			if r.name == path {
				methods = append(methods, r.methods...)
			}
		}
		slices.Sort(methods)
		h := c.Response().Header()
		h.Set("Allow", strings.Join(append(methods, http.MethodOptions), ", "))
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
		h.Set("Access-Control-Allow-Headers", "Accept, Content-Type, If-None-Match, "+wire.HeaderLastEventID+", "+wire.HeaderRequestID)
		h.Set("Access-Control-Max-Age", "86400")
		return c.NoContent(http.StatusNoContent)
	}
}

// The header values that every answer shares. They are assigned as they are, so nothing may append to them.
var (
	valueAnyOrigin = []string{"*"}
	valueExposed   = []string{"Dcann-Index, Dcann-Sealed, Dcann-Staleness, Etag, Retry-After, X-Request-Id"}
	valueNoSniff   = []string{"nosniff"}
	valueNoStore   = []string{"no-store"}
	// Anything may change within the second that a revocation takes to be seen everywhere, so caches ask
	// again, which an ETag makes cheap.
	valueRevalidate = []string{"public, no-cache"}
	valueJSON       = []string{wire.TypeJSON}
	valueNDJSON     = []string{wire.TypeNDJSON}
)

// common sets the headers of every answer.
func common(h http.Header) {
	h["Access-Control-Allow-Origin"] = valueAnyOrigin
	h["Access-Control-Expose-Headers"] = valueExposed
	h["X-Content-Type-Options"] = valueNoSniff
}

// writeJSON replies with v, a body of wire, that is not to be cached.
func writeJSON(c echo.Context, status int, v any) error {
	body, err := wire.Encode(v)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	common(h)
	h["Content-Type"] = valueJSON
	h["Cache-Control"] = valueNoStore
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(body) // the reader is gone: nobody to tell
	return nil
}

// metrics are the server's.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	cached   *prometheus.CounterVec
	hits     prometheus.Counter
	misses   prometheus.Counter
	limited  *prometheus.CounterVec
	streams  prometheus.Gauge
	ids      prometheus.Counter
}

// routeMetrics are those of one route, looked up once.
type routeMetrics struct {
	ok      prometheus.Counter
	seconds prometheus.Observer
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dcann_http_requests_total", Help: "Requests answered, by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dcann_http_request_seconds", Help: "Time from a request's headers to its answer.",
			Buckets: []float64{50e-6, 200e-6, 1e-3, 5e-3, 25e-3, 100e-3, 500e-3, 2.5, 10}}, []string{"route"}),
		cached: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dcann_http_rendered_total", Help: "Look-ups of rendered answers, by result."}, []string{"result"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dcann_http_limited_total", Help: "Requests refused by a limit per address."}, []string{"limit"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dcann_http_event_streams", Help: "Streams of events being served."}),
		ids: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dcann_http_batch_identifiers_total", Help: "Identifiers resolved in batches."}),
	}
	m.hits, m.misses = m.cached.WithLabelValues("hit"), m.cached.WithLabelValues("miss")
	reg.MustRegister(m.requests, m.seconds, m.cached, m.limited, m.streams, m.ids)
	return m
}

func (m *metrics) route(name string) *routeMetrics {
	return &routeMetrics{ok: m.requests.WithLabelValues(name, "200"), seconds: m.seconds.WithLabelValues(name)}
}

// notFound answers for a path that no route has.
func notFound(c echo.Context) error {
	return &httpError{problem: wire.BlankProblem(http.StatusNotFound, "no such path: /openapi.yaml lists them")}
}
