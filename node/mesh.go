package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/node/peer"
	"github.com/dcann/dcann/registry/wire"
)

// cluster is the part of the configuration that is Raft's. links is nil for a node that is alone, and
// where only the form is checked.
func (c Config) cluster(links cluster.Network) cluster.Config {
	k := cluster.Config{
		Dir: filepath.Join(c.Data, raftDir), Name: c.Name, MinFree: c.MinFree,
		HeartbeatTimeout: c.ElectionTimeout, LeaseTimeout: c.leaseTimeout(),
		RemoveDeadAfter: c.RemoveDeadAfter, TrailingBytes: c.LogBytes,
	}
	if c.clustered() {
		k.Address, k.Nodes, k.Replica = c.NodeAddress, c.Nodes, c.Replica
		if k.Net = links; links == nil {
			k.Net = (*mesh)(nil)
		}
	}
	return k
}

// Bounds on node-to-node calls.
const (
	raftTimeout  = 5 * time.Second // for one message of Raft; a streamed state gets it for each 256 KiB
	maxNodeConns = 1024            // of Raft and of calls each: eight other nodes with both kinds of call at their most
	raftPool     = 3               // connections kept open to each node
	callTimeout  = 30 * time.Second

	callsHeader   = 10 * time.Second
	callsIdle     = 2 * time.Minute
	callsMaxBytes = 8 << 10 // of a header
)

// mesh is cluster.Network on node/peer: Raft's streams and node-to-node calls, which are HTTP inside, over
// one port with mutual TLS.
type mesh struct {
	peer *peer.Mesh
	log  *slog.Logger
}

// openMesh opens the port for the other nodes. Who may connect is asked of the cluster; before there is one,
// the founding members may.
func openMesh(n *Node) (*peer.Mesh, error) {
	c := n.config
	m, err := peer.Open(peer.Config{
		Name: c.Name, Listen: c.NodeListen, Cert: c.NodeCert, Key: c.NodeKey, CA: c.NodeCA, Log: n.log, MaxConns: maxNodeConns,
		Admit: func(name string) bool {
			if s := n.current.Load(); s != nil {
				return s.cluster.Knows(name)
			}
			return true
		},
	})
	if err != nil {
		return nil, unopened("node-listen "+c.NodeListen, err)
	}
	return m, nil
}

// meshLinks is one node's use of the mesh, from the start of its cluster to the end of it.
type meshLinks struct {
	mesh    *mesh
	address func(string) (string, bool)

	// Writes that wait for their leader must not keep from it what says who leads, and how far.
	control, writes *http.Client

	server    *http.Server
	served    chan struct{} // closed when server has ended
	answering handlers
	raft      *raftLayer
}

type peerName struct{}

// Connect implements cluster.Network.
func (m *mesh) Connect(address func(string) (string, bool), answer cluster.Answer) (cluster.Links, error) {
	mux := http.NewServeMux()
	l := &meshLinks{
		mesh: m, address: address, served: make(chan struct{}),
		control: &http.Client{Transport: m.peer.RoundTripper(address)}, writes: &http.Client{Transport: m.peer.RoundTripper(address)},
		server: &http.Server{
			Handler: mux, ReadHeaderTimeout: callsHeader, IdleTimeout: callsIdle, MaxHeaderBytes: callsMaxBytes,
			ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				return context.WithValue(ctx, peerName{}, peer.NameOf(c))
			},
		},
	}
	mux.HandleFunc("POST /call/{method}", func(w http.ResponseWriter, r *http.Request) {
		if !l.answering.run(func() { answerCall(w, r, answer) }) {
			http.Error(w, "this node is closing", http.StatusServiceUnavailable)
		}
	})
	calls := m.peer.Calls()
	go func() {
		defer close(l.served)
		if err := serve(l.server, calls); err != nil {
			m.log.Debug("node-to-node calls ended", "error", err)
		}
	}()
	return l, nil
}

func answerCall(w http.ResponseWriter, r *http.Request, answer cluster.Answer) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(callTimeout))
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cluster.MaxCall))
	_ = control.SetReadDeadline(time.Time{}) // else it would end a long answer
	if err != nil {
		http.Error(w, "the request could not be read", http.StatusBadRequest)
		return
	}
	from, _ := r.Context().Value(peerName{}).(string)
	reply, err := answer(r.Context(), from, r.PathValue("method"), request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/cbor")
	_, _ = w.Write(reply)
}

// Transport implements cluster.Links.
func (l *meshLinks) Transport() (raft.Transport, error) {
	l.raft = &raftLayer{StreamLayer: l.mesh.peer.Raft(), accepted: make(map[*acceptedConn]struct{})}
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		ServerAddressProvider: l, Stream: l.raft, MaxPool: raftPool, MaxRPCsInFlight: cluster.MaxRPCsInFlight,
		Timeout: raftTimeout, Logger: cluster.RaftLogger(l.mesh.log), MsgpackUseNewTimeFormat: true,
	}), nil
}

// ServerAddr implements raft.ServerAddressProvider.
func (l *meshLinks) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	address, ok := l.address(string(id))
	if !ok {
		return "", fmt.Errorf("the address of node %s is not known", id)
	}
	return raft.ServerAddress(peer.Target(string(id), address)), nil
}

// Call implements cluster.Links.
func (l *meshLinks) Call(ctx context.Context, name, method string, request []byte) ([]byte, error) {
	client := l.control
	if method == cluster.MethodSubmit {
		client = l.writes
	}
	return post(ctx, client, name, method, request)
}

func post(ctx context.Context, client *http.Client, name, method string, request []byte) ([]byte, error) {
	reached := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached = true }})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+name+"/call/"+method, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(r)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // which names the node by itself
	}
	if err != nil && !reached {
		return nil, fmt.Errorf("%w: %w", cluster.ErrNotSent, err)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(response.Body, cluster.MaxCall+1))
	switch {
	case err != nil:
		return nil, err
	case len(reply) > cluster.MaxCall:
		return nil, fmt.Errorf("the reply has more than %d bytes", cluster.MaxCall)
	case response.StatusCode != http.StatusOK || !wire.IsMediaType(response.Header.Get("Content-Type"), "application/cbor"):
		return nil, fmt.Errorf("status %d: %.200s", response.StatusCode, reply)
	}
	return reply, nil
}

// Probe implements cluster.Prober, over a connection of its own.
func (l *meshLinks) Probe(ctx context.Context, name, address, method string, request []byte) ([]byte, error) {
	client := &http.Client{Transport: l.mesh.peer.RoundTripper(func(string) (string, bool) { return address, true })}
	defer client.CloseIdleConnections()
	return post(ctx, client, name, method, request)
}

// Interrupt implements cluster.Interrupter.
func (l *meshLinks) Interrupt() {
	if l.raft != nil {
		l.raft.interrupt()
	}
}

// raftLayer are Raft's streams, of which it remembers those that others opened.
type raftLayer struct {
	raft.StreamLayer

	mu       sync.Mutex
	accepted map[*acceptedConn]struct{}
}

type acceptedConn struct {
	net.Conn
	layer *raftLayer
}

// Accept implements net.Listener.
func (l *raftLayer) Accept() (net.Conn, error) {
	conn, err := l.StreamLayer.Accept()
	if err != nil {
		return nil, err
	}
	c := &acceptedConn{conn, l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[c] = struct{}{}
	return c, nil
}

// Close implements net.Conn.
func (c *acceptedConn) Close() error {
	c.layer.mu.Lock()
	delete(c.layer.accepted, c)
	c.layer.mu.Unlock()
	return c.Conn.Close()
}

// interrupt has every read of what others send fail, upon which Raft closes the stream.
func (l *raftLayer) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.accepted {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close implements cluster.Links. Raft's transport was closed before.
func (l *meshLinks) Close() error {
	err := l.server.Close()
	<-l.served
	l.answering.end()
	l.control.CloseIdleConnections()
	l.writes.CloseIdleConnections()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
