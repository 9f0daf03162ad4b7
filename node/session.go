package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dcann/dcann/node/api"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// retryOpening is what callers are told while there is no session.
const retryOpening = 2 * time.Second

// session is a node's state, its part in the cluster, and what answers from them. A node has one after the
// other: when another node's state was installed, the next begins on that, in the same process.
type session struct {
	store    *state.Store
	cluster  *cluster.Cluster
	api      *api.Server
	metrics  *prometheus.Registry
	handlers handlers // that use all of these
	ended    context.Context
	end      context.CancelFunc
}

// openSession opens what lies under Config.Data. With others it returns only when this node has its place
// among them, or when ctx ends.
func (n *Node) openSession(ctx context.Context) (err error) {
	s := &session{metrics: prometheus.NewRegistry()}
	s.ended, s.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	data := n.config.Data
	place, err := cluster.OpenPlace(vfs.Default, data)
	if err != nil {
		return fmt.Errorf("open the state under %s: %w", data, err)
	}
	// In this order: checkData takes a state without a log for a log that was lost.
	for _, dir := range []string{filepath.Join(data, raftDir), place.State()} {
		if err := closeDir(dir); err != nil {
			return fmt.Errorf("keep others out of the data: %w", err)
		}
	}
	s.store, err = state.Open(place.State(), state.Options{
		CacheBytes:        n.config.CacheBytes,
		OnBackgroundError: func(err error) { n.log.Error("state cannot be written, trying again", "error", err) },
	})
	if err != nil {
		return fmt.Errorf("open the state under %s: %w", data, err)
	}
	if p := s.store.Policy(); p != nil {
		if err := agree(n.config, p); err != nil {
			return err
		}
	}
	s.cluster, err = cluster.Open(ctx, n.clusterConfig(), s.store, place, n.log)
	if err != nil {
		return fmt.Errorf("open the Raft log under %s: %w", data, err)
	}
	n.registerMetrics(s)
	s.api, err = api.New(n.apiConfig(s.metrics), s.cluster, s.store, n.log)
	if err != nil {
		return err
	}
	n.current.Store(s)
	return nil
}

// clusterConfig is Config.cluster with what needs the running node.
func (n *Node) clusterConfig() cluster.Config {
	var links cluster.Network
	if n.mesh != nil {
		links = &mesh{peer: n.mesh, log: n.log}
	}
	c := n.config.cluster(links)
	c.Version = n.version
	c.OnWait = func(what string) {
		n.waiting.Store(&what)
		n.log.Info("waiting to begin", "for", what)
	}
	c.OnChange = func(what string) { n.log.Warn("cluster", "what", what) }
	return c
}

func (n *Node) apiConfig(metrics *prometheus.Registry) api.Config {
	return api.Config{
		Version: n.version, TrustedProxies: n.config.TrustedProxies, LimitLoopback: n.config.LimitLoopback,
		RequestsPerSecond: n.config.RequestsPerSecond, CreationsPerHour: n.config.CreationsPerHour,
		Metrics: metrics,
	}
}

// close ends a session, as far as it was opened. Requests that still run are answered, or told that the node
// shuts down, before the state is closed under them.
func (s *session) close() error {
	var errs []error
	s.end()
	if s.api != nil {
		s.api.Close()
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	s.handlers.end()
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// live has one session after the other until ctx is done. The error is why the node cannot go on.
func (n *Node) live(ctx context.Context) error {
	announced := false
	for {
		if n.current.Load() == nil {
			if err := n.openSession(ctx); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
		s := n.current.Load()
		if err := n.establish(ctx, s); err != nil {
			if ctx.Err() != nil {
				return nil // stopped before it began
			}
			if s.cluster.Err() == nil { // else it is said below
				return err
			}
		} else if !announced {
			announced = true
			n.log.Info("ready", "http", n.URL(), "admin", n.Admin(), "country", n.Country())
			close(n.ready)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.cluster.Done():
		}
		if err := s.cluster.Err(); !errors.Is(err, cluster.ErrReplaced) {
			close(n.broken)
			return fmt.Errorf("the node cannot go on: %w", err)
		}
		n.installed.Add(1)
		n.log.Info("another node's state was installed, opening it")
		n.current.Store(nil)
		if err := s.close(); err != nil {
			return err
		}
	}
}

// publicHandler answers requests from the session there is.
func (n *Node) publicHandler() http.Handler {
	return n.inSession(func(s *session) http.Handler { return s.api.Handler() }, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wire.PathLive {
			_, _ = w.Write([]byte("ok\n"))
			return
		}
		n.refuse(w, n.whyNot())
	})
}

// inSession has the handler of the present session answer, and without answer when there is none.
func (n *Node) inSession(of func(*session) http.Handler, without http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := n.current.Load()
		if s == nil || !s.handlers.run(func() { of(s).ServeHTTP(w, r) }) {
			without(w, r)
		}
	})
}

// whyNot says why there is no session. Its kind is Unavailable.
func (n *Node) whyNot() error {
	why := "this node is opening its data"
	if waiting := n.waiting.Load(); waiting != nil {
		why = "this node waits for " + *waiting
	}
	return &registry.Error{Kind: registry.Unavailable, Detail: why, RetryAfter: retryOpening}
}

// refuse answers with a problem that the operator or a client may read.
func (n *Node) refuse(w http.ResponseWriter, err error) {
	p := wire.ProblemOf(err)
	p.Detail = err.Error()
	body, err := wire.Encode(p)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", wire.TypeProblem)
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}
