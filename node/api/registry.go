package api

import (
	_ "embed"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

//go:embed openapi.yaml
var openAPI []byte

// registry answers GET /.well-known/dcann-registry: who this is.
func (s *Server) registry(c echo.Context) error {
	if _, err := query(c.Request()); err != nil {
		return err
	}
	p := s.state.Policy()
	if p == nil {
		return refuse(registry.Unavailable, "this registry has no policy yet: its operator has to give it one")
	}
	s.asOf().put(c.Response().Header())
	return writeJSON(c, http.StatusOK, wire.Registry{
		Country: p.Country, Version: s.config.Version,
		AccreditationKeys: texts(p.Accreditation), ServiceKeys: texts(p.Service),
		Policy: *p,
		Limits: wire.Limits{
			OperationBytes: wire.MaxOperation, StatementBytes: wire.MaxStatement,
			ResolveIDs: wire.MaxResolve, ResolveBytes: wire.MaxResolveBytes,
			BatchOperations: wire.MaxBatch, BatchBytes: wire.MaxBatchBytes, Page: wire.MaxPage,
			RequestsPerSecond: s.config.RequestsPerSecond, CreationsPerHour: s.config.CreationsPerHour,
			StreamsAtATime: wire.MaxStreamsPerAddress, BatchesAtATime: wire.MaxBatchesPerAddress, ResolvesAtATime: wire.MaxResolvesPerAddress,
		},
	})
}

func texts(keys []jws.Multikey) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = string(k)
	}
	return list
}

// live answers GET /livez: this process serves requests.
func (s *Server) live(c echo.Context) error { return text(c, "ok\n") }

// ready answers GET /readyz: this node may be sent requests, or why not. A registry without a policy refuses
// them all.
func (s *Server) ready(c echo.Context) error {
	if err := s.cluster.Ready(); err != nil { // first: a node that has not caught up may lack the policy too
		unready := &registry.Error{Kind: registry.Unavailable, Detail: "not ready: " + err.Error()}
		if own, ok := errors.AsType[*registry.Error](err); ok {
			unready.RetryAfter = own.RetryAfter
		}
		return unready
	}
	if s.state.Policy() == nil {
		return refuse(registry.Unavailable, "not ready: the registry has no policy in force yet")
	}
	return text(c, "ok\n")
}

// openAPI answers GET /openapi.yaml.
func (s *Server) openAPI(c echo.Context) error {
	h := c.Response().Header()
	common(h)
	h["Cache-Control"] = valueRevalidate
	return c.Blob(http.StatusOK, wire.TypeYAML, openAPI)
}

func text(c echo.Context, body string) error {
	h := c.Response().Header()
	common(h)
	h["Cache-Control"] = valueNoStore
	return c.String(http.StatusOK, body)
}

// serveMetrics answers GET /metrics in the format of Prometheus.
func (s *Server) serveMetrics() echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(s.config.Metrics, promhttp.HandlerOpts{}))
}
