package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Mesh is a node's end of the links to all others. Safe for concurrent use.
type Mesh struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
	identity atomic.Pointer[identity]
	refusals refusals
	done     chan struct{} // closed by Close
	running  sync.WaitGroup

	reloading sync.Mutex // guards what is below, up to the next empty line
	seen      Stamps     // of what was last tried, good or bad
	refused   bool       // what was last tried was bad

	mu     sync.Mutex // guards what is below; no I/O under it
	closed bool
	links  map[*link]struct{}
	count  map[kind]int
	layers map[kind]*layer // those that are open
	opened chan struct{}   // closed, and made anew, when one is opened
}

// kind is the first byte of a connection, or what else it is counted under.
type kind byte

const (
	kindRaft  kind = 'R'
	kindCalls kind = 'C'
	kindNew   kind = 0 // accepted, has not said yet who it is
	kindOut   kind = 1 // dialled by us: as many as Raft and the RoundTripper want
)

func (k kind) String() string {
	switch k {
	case kindRaft:
		return "Raft"
	case kindCalls:
		return "calls"
	case kindNew:
		return "handshakes"
	case kindOut:
		return "dialled"
	}
	return fmt.Sprintf("byte 0x%02x", byte(k))
}

// link is the TCP connection beneath the TLS, listed in the mesh until it is closed by whoever has it.
type link struct {
	net.Conn
	mesh  *Mesh
	kind  kind   // guarded by mesh.mu
	owner *layer // the Raft layer that it ends with, or nil; guarded by mesh.mu
}

// Close takes the link off the list.
func (l *link) Close() error {
	l.mesh.mu.Lock()
	if _, ok := l.mesh.links[l]; ok {
		delete(l.mesh.links, l)
		l.mesh.count[l.kind]--
	}
	l.mesh.mu.Unlock()
	return l.Conn.Close()
}

// Open checks the files, binds the port, and accepts connections from now on. The error says which file it
// is about, and what was expected of it.
func Open(c Config) (*Mesh, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	m := &Mesh{
		config: c, log: c.Log, done: make(chan struct{}),
		links: map[*link]struct{}{}, count: map[kind]int{}, layers: map[kind]*layer{}, opened: make(chan struct{}),
	}
	if _, err := m.Reload(); err != nil {
		return nil, err
	}
	listen := net.ListenConfig{KeepAliveConfig: keepAlive()}
	var err error
	if m.listener, err = listen.Listen(context.Background(), "tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("node-listen: %w", err)
	}
	m.running.Go(m.accept)
	return m, nil
}

// Addr is the host:port that the mesh is bound to.
func (m *Mesh) Addr() string { return m.listener.Addr().String() }

// Raft is the stream layer of a raft.NetworkTransport. Its Dial takes what Target makes. Closing it closes
// its connections, accepted and dialled; then Raft may be called again, for a Raft that starts anew. While
// there is none, other nodes wait for a while, and are told so. A layer that is still open is closed first.
func (m *Mesh) Raft() raft.StreamLayer { return raftLayer{m.openLayer(kindRaft)} }

// Calls is the listener of an http.Server for the calls of other nodes: HTTP/1.1, each connection a
// *tls.Conn with the handshake done. Closing it leaves those that were accepted to the server, which may
// be finishing them. As with Raft, it may be called again.
func (m *Mesh) Calls() net.Listener { return m.openLayer(kindCalls) }

// NameOf is the name of the node at the other end of an accepted connection, as its verified certificate
// has it; "" for a connection that is none of a mesh. For http.Server.ConnContext.
func NameOf(conn net.Conn) string {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return ""
	}
	state := t.ConnectionState()
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates[0].DNSNames) == 0 {
		return ""
	}
	return state.PeerCertificates[0].DNSNames[0]
}

// Close closes the port, both layers and every connection, and waits for the goroutines of the mesh. Those
// of the users of its connections end by an error of theirs. A second Close does nothing.
func (m *Mesh) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		m.running.Wait()
		return nil
	}
	m.closed = true
	close(m.done)
	var links []*link
	for l := range m.links {
		links = append(links, l)
	}
	for _, l := range m.layers {
		l.end()
	}
	clear(m.layers)
	m.mu.Unlock()

	err := m.listener.Close()
	for _, l := range links {
		l.Close()
	}
	m.running.Wait()
	return err
}

var errFull = errors.New("too many connections")

// add lists a connection. After an error the caller still has to close it.
func (m *Mesh) add(conn net.Conn, k kind, owner *layer) (*link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed || owner != nil && owner.ended:
		return nil, net.ErrClosed
	case k == kindNew && m.count[k] >= m.config.MaxHandshakes:
		return nil, fmt.Errorf("%w: %d handshakes are under way", errFull, m.count[k])
	}
	l := &link{Conn: conn, mesh: m, kind: k, owner: owner}
	m.links[l] = struct{}{}
	m.count[k]++
	return l, nil
}

// enrol moves a connection that said who it is to the layer that it asked for. If that is not open, opened is
// closed when a layer is opened.
func (m *Mesh) enrol(l *link, k kind) (to *layer, opened <-chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to = m.layers[k]
	if _, listed := m.links[l]; !listed {
		return nil, nil, net.ErrClosed
	}
	switch {
	case to == nil:
		return nil, m.opened, fmt.Errorf("node %s takes no %s connections at the moment", m.config.Name, k)
	case m.count[k] >= m.config.MaxConns:
		return nil, nil, fmt.Errorf("%w: node %s has %d for %s", errFull, m.config.Name, m.count[k], k)
	}
	m.count[l.kind]--
	l.kind = k
	m.count[k]++
	if k == kindRaft {
		l.owner = to
	}
	return to, nil, nil
}
