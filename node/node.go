package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dcann/dcann/node/api"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/node/peer"
	"github.com/dcann/dcann/registry"
)

// raftDir is the directory of the Raft log under Config.Data; the states beside it are cluster.Place's.
const raftDir = "raft"

// Node is one running node of a registry: Open, Run, Close.
type Node struct {
	config  Config
	version string
	log     *slog.Logger
	lock    *dirLock
	cert    *certificate // nil without TLS
	mesh    *peer.Mesh   // nil for a node that is alone
	current atomic.Pointer[session]
	waiting atomic.Pointer[string] // what a start waits for, while there is no session

	installed atomic.Uint64 // states of other nodes, each of which began another session

	public, admin net.Listener // admin is nil when it is off
	ready, broken chan struct{}
	closeOnce     sync.Once
	closeErr      error
}

// Open takes the data directory, opens what is in it and binds the listeners; nothing is answered before
// Run. version is the software's. ctx bounds the opening only. The caller closes the node, also after Run.
//
// A node of several opens the rest in Run, where it can wait for the others and answer meanwhile.
//
// The error's kind is Invalid for a configuration that cannot be, Unavailable when another process has the
// directory or an address, or a certificate and its key are no pair.
func Open(ctx context.Context, config Config, version string, log *slog.Logger) (*Node, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	n := &Node{config: config, version: version, log: log, ready: make(chan struct{}), broken: make(chan struct{})}
	if n.lock, err = lockDir(config.Data); err != nil {
		return nil, err
	}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// complete is c with all defaults, validated.
func (c Config) complete() (Config, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return c, err
	}
	c.Data = data
	c = c.withDefaults()
	return c, c.Validate() // once more: the path of the socket has become longer
}

// open fills n in, as far as it gets: Close closes what is there.
func (n *Node) open(ctx context.Context) (err error) {
	data := n.config.Data
	if err := checkSpace(data, min(startFree, n.config.MinFree)); err != nil {
		return err
	}
	// A first start that cannot end well leaves nothing behind.
	begun, err := checkData(data)
	if err != nil {
		return err
	}
	if !begun && (n.founds() || n.config.Policy != "") {
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
	if n.config.clustered() {
		n.mesh, err = openMesh(n)
		return err
	}
	return n.openSession(ctx)
}

// founds reports whether this node may be the one that proposes the first policy: one that is joined later
// finds it in force.
func (n *Node) founds() bool {
	return !n.config.clustered() || slices.ContainsFunc(n.config.Nodes, func(p cluster.Peer) bool { return p.Name == n.config.Name })
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

// Broken is closed when a fault of its own makes the node unfit to go on. Run returns then, and Close is to be
// called, but either may wait for ever for a disk that hangs: whoever runs the process ends it after a while.
func (n *Node) Broken() <-chan struct{} { return n.broken }

// Close closes what Open opened, in the order that loses nothing: the listeners, Raft, the state. Run
// must have returned. Calling it again returns the same.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		var errs []error
		for _, l := range []net.Listener{n.public, n.admin} {
			if l != nil {
				if err := l.Close(); !errors.Is(err, net.ErrClosed) {
					errs = append(errs, err)
				}
			}
		}
		if s := n.current.Swap(nil); s != nil {
			errs = append(errs, s.close())
		}
		if n.mesh != nil {
			errs = append(errs, n.mesh.Close())
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
	public := api.HTTPServer(n.apiConfig(nil), n.publicHandler(), n.log)
	servers := []*http.Server{public}
	start("http listener", func() error { return serve(public, n.public) })
	if n.admin != nil {
		operator := n.adminServer()
		servers = append(servers, operator)
		start("admin listener", func() error { return serve(operator, n.admin) })
	}
	start("registry", func() error { return n.live(ctx) })
	start("housekeeping", func() error { n.keepHouse(ctx); return nil })

	var failure error
	<-ctx.Done()
	if parent.Err() == nil { // not asked to stop: something failed
		failure = context.Cause(ctx)
	}
	n.log.Info("stopping")
	if s := n.current.Load(); s != nil {
		s.api.Close()
	}
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
	if s := n.current.Load(); s != nil {
		s.handlers.end()
	}
}

// Country is the registry's, once Ready.
func (n *Node) Country() registry.Country {
	if s := n.current.Load(); s != nil && s.store.Policy() != nil {
		return s.store.Policy().Country
	}
	return n.config.Country
}
