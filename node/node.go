package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dcann/dcann/node/api"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// The directories under Config.Data.
const (
	stateDir = "state"
	raftDir  = "raft"
)

// Node is one running node of a registry: Open, Run, Close.
type Node struct {
	config  Config
	log     *slog.Logger
	lock    *dirLock
	cert    *certificate // nil without TLS
	store   *state.Store
	cluster *cluster.Cluster
	api     *api.Server
	metrics *prometheus.Registry

	public, admin net.Listener // admin is nil when it is off
	handlers      handlers     // of both
	ready         chan struct{}
	closeOnce     sync.Once
	closeErr      error
}

// Open takes the data directory, opens what is in it and binds the listeners; nothing is answered before
// Run. version is the software's. ctx bounds the opening only. The caller closes the node, also after Run.
//
// The error's kind is Invalid for a configuration that cannot be, Unavailable when another process has the
// directory.
func Open(ctx context.Context, config Config, version string, log *slog.Logger) (*Node, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	data, err := filepath.Abs(config.Data)
	if err != nil {
		return nil, err
	}
	config.Data = data
	config = config.withDefaults()
	if err := config.Validate(); err != nil { // once more: the path of the socket has become longer
		return nil, err
	}
	n := &Node{config: config, log: log, metrics: prometheus.NewRegistry(), ready: make(chan struct{})}
	if n.lock, err = lockDir(data); err != nil {
		return nil, err
	}
	if err := n.open(ctx, version); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// open fills n in, as far as it gets: Close closes what is there.
func (n *Node) open(ctx context.Context, version string) (err error) {
	data := n.config.Data
	if err := checkSpace(data, min(startFree, n.config.MinFree)); err != nil {
		return err
	}
	// A first start that cannot end well leaves nothing behind.
	switch begun, err := checkData(data); {
	case err != nil:
		return err
	case !begun:
		if _, err := firstPolicy(n.config); err != nil {
			return err
		}
	}
	if n.config.TLSCert != "" {
		if n.cert, err = openCertificate(n.config.TLSCert, n.config.TLSKey); err != nil {
			return err
		}
	}
	if n.public, err = listenHTTP(n.config.HTTP, n.cert); err != nil {
		return err
	}
	if n.admin, err = listenAdmin(n.config.Admin); err != nil {
		return err
	}
	// In this order: checkData takes a state without a log for a log that was lost.
	for _, name := range []string{raftDir, stateDir} {
		if err := closeDir(filepath.Join(data, name)); err != nil {
			return fmt.Errorf("keep others out of the data: %w", err)
		}
	}
	n.store, err = state.Open(filepath.Join(data, stateDir), state.Options{
		CacheBytes:        n.config.CacheBytes,
		OnBackgroundError: func(err error) { n.log.Error("state cannot be written, trying again", "error", err) },
	})
	if err != nil {
		return fmt.Errorf("open the state under %s: %w", data, err)
	}
	if p := n.store.Policy(); p != nil {
		if err := agree(n.config, p); err != nil {
			return err
		}
	}
	n.cluster, err = cluster.Open(ctx, cluster.Config{
		Dir: filepath.Join(data, raftDir), Name: n.config.Name, MinFree: n.config.MinFree,
	}, n.store, n.log)
	if err != nil {
		return fmt.Errorf("open the Raft log under %s: %w", data, err)
	}
	n.registerMetrics()
	n.api, err = api.New(api.Config{
		Version: version, TrustedProxies: n.config.TrustedProxies, LimitLoopback: n.config.LimitLoopback,
		RequestsPerSecond: n.config.RequestsPerSecond, CreationsPerHour: n.config.CreationsPerHour,
		Metrics: n.metrics,
	}, n.cluster, n.store, n.log)
	return err
}

// URL is where the public listener answers, without trailing slash.
func (n *Node) URL() string {
	scheme := "http"
	if n.cert != nil {
		scheme = "https"
	}
	return scheme + "://" + n.public.Addr().String()
}

// Admin is where the operator's listener is, "unix:<path>" or host:port; "off" if there is none.
func (n *Node) Admin() string {
	if n.admin == nil {
		return AdminOff
	}
	if addr := n.admin.Addr(); addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return n.admin.Addr().String()
}

// Ready is closed once the node answers and has a policy. It never is when Run fails before.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Close closes what Open opened, in the order that loses nothing: the listeners, Raft, the state. Run
// must have returned. Calling it again returns the same.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		var errs []error
		if n.api != nil {
			n.api.Close()
		}
		for _, l := range []net.Listener{n.public, n.admin} {
			if l != nil {
				if err := l.Close(); !errors.Is(err, net.ErrClosed) {
					errs = append(errs, err)
				}
			}
		}
		if n.cluster != nil {
			errs = append(errs, n.cluster.Close())
		}
		if n.store != nil {
			errs = append(errs, n.store.Close())
		}
		errs = append(errs, n.lock.release())
		n.closeErr = errors.Join(errs...)
	})
	return n.closeErr
}

// Run answers requests until parent is done, then stops taking new ones, lets those under way end within
// Config.ShutdownGrace and returns nil. It returns an error when the node cannot go on: the process must
// then end, and may be started again. Call it once.
func (n *Node) Run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	var work sync.WaitGroup
	start := func(what string, f func() error) {
		work.Go(func() {
			if err := f(); err != nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	public := n.api.HTTPServer()
	public.Handler = n.handlers.track(public.Handler)
	servers := []*http.Server{public}
	start("http listener", func() error { return serve(public, n.public) })
	if n.admin != nil {
		operator := n.adminServer()
		operator.Handler = n.handlers.track(operator.Handler)
		servers = append(servers, operator)
		start("admin listener", func() error { return serve(operator, n.admin) })
	}
	start("policy", func() error {
		if err := n.establish(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // stopped before it began
			}
			return err
		}
		n.log.Info("ready", "http", n.URL(), "admin", n.Admin(), "country", n.store.Policy().Country)
		close(n.ready)
		return nil
	})
	start("housekeeping", func() error { n.keepHouse(ctx); return nil })

	var failure error
	select {
	case <-n.cluster.Done():
		failure = fmt.Errorf("the node cannot go on: %w", n.cluster.Err())
		cancel(failure)
	case <-ctx.Done():
		if parent.Err() == nil { // not asked to stop: something failed
			failure = context.Cause(ctx)
		}
	}
	n.log.Info("stopping")
	n.api.Close()
	n.drain(servers)
	work.Wait()
	return failure
}

// serve is Serve without the error that means a shutdown.
func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drain waits for the requests under way, and cuts off what takes longer than the grace. When it returns no
// handler runs: what they use may be closed.
func (n *Node) drain(servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), n.config.ShutdownGrace)
	defer cancel()
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			n.log.Warn("requests cut off at shutdown", "grace", n.config.ShutdownGrace, "error", err)
			_ = s.Close()
		}
	}
	n.handlers.end()
}

// Country is the registry's, once Ready.
func (n *Node) Country() registry.Country { return n.store.Policy().Country }
