package api

import (
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// Server answers the HTTP requests of one node. It is safe for concurrent use.
type Server struct {
	config  Config
	cluster Cluster
	state   *state.Store
	log     *slog.Logger
	echo    *echo.Echo
	routes  []*route
	metrics *metrics
	cache   *cache
	limits  *limits
	index   atomic.Pointer[indexHeader]

	streams atomic.Int64  // events streams being served
	batches chan struct{} // a token for each batch of operations being taken in
	workers chan struct{} // a token for each chunk of a batch of identifiers being rendered, which may wait for the disk
	parsing chan struct{} // a token for each signature of a batch of operations being checked

	closing sync.Once
	closed  chan struct{} // ends the streams
}

// New makes the server of a node. It opens nothing. Close it before st.
func New(config Config, cl Cluster, st *state.Store, log *slog.Logger) (*Server, error) {
	config = config.withDefaults()
	s := &Server{
		config:  config,
		cluster: cl,
		state:   st,
		log:     log,
		echo:    echo.New(),
		metrics: newMetrics(config.Metrics),
		limits:  newLimits(config),
		batches: make(chan struct{}, config.MaxBatches),
		workers: make(chan struct{}, 8*runtime.GOMAXPROCS(0)),
		parsing: make(chan struct{}, runtime.GOMAXPROCS(0)),
		closed:  make(chan struct{}),
	}
	var err error
	if s.cache, err = newCache(config.CacheBytes); err != nil {
		return nil, err
	}
	s.index.Store(&indexHeader{value: []string{"0"}})
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.HTTPErrorHandler = s.fail
	s.register()
	return s, nil
}

// Handler answers all routes.
func (s *Server) Handler() http.Handler { return s.echo }

// HTTPServer is a server with the caps and time-outs that the handlers count on; the caller serves with it,
// and calls Close before Shutdown, which waits for running requests and so for streams.
func (s *Server) HTTPServer() *http.Server { return httpServer(s.config, s.echo, s.log) }

// HTTPServer is a server for handler, which has requests answered by a Server, with the caps and time-outs that
// it counts on.
func HTTPServer(config Config, handler http.Handler, log *slog.Logger) *http.Server {
	return httpServer(config.withDefaults(), handler, log)
}

// httpServer takes a config that has its defaults: given them twice, what is switched off would be on.
func httpServer(config Config, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    wire.MaxHeaderBytes,
		ReadHeaderTimeout: wire.HeaderTimeout,
		ReadTimeout:       config.ReadTimeout,
		WriteTimeout:      wire.AnswerTimeout,
		IdleTimeout:       wire.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Close ends the streams, so that a shutdown need not wait for them. Requests go on being answered.
func (s *Server) Close() {
	s.closing.Do(func() {
		close(s.closed)
		s.cache.close()
	})
}

// register lists the routes (DESIGN 12). HEAD goes with GET but for streams.
func (s *Server) register() {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	s.route(get, wire.PathIdentifiers+"*", s.identifier)
	s.route(get, wire.PathIdentifiers[:len(wire.PathIdentifiers)-1], s.identifierMissing)
	s.route(post, wire.PathIdentifiers+"*", s.postIdentifier)
	s.route(get, wire.PathRecords+":did", s.record)
	s.route(get, wire.PathRecords+":did"+wire.SuffixOperations, s.history)
	s.route(post, wire.PathResolve, s.resolveBatch)
	s.route(post, wire.PathOperations, s.operation)
	s.route(post, wire.PathBatch, s.operationBatch)
	s.route([]string{http.MethodGet}, wire.PathEvents, s.events)
	s.route(get, wire.PathOrganisations, s.organisations)
	s.route(post, wire.PathStatuses, s.status)
	s.route(post, wire.PathAcceptances, s.acceptance)
	s.route(get, wire.PathRegistry, s.registry)
	s.route(get, wire.PathOpenAPI, s.openAPI)
	s.route(get, wire.PathLive, s.live).unlimited = true
	s.route(get, wire.PathReady, s.ready).unlimited = true
	s.route(get, wire.PathMetrics, s.serveMetrics()).unlimited = true
}
