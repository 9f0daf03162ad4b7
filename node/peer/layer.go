package peer

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// layer is a listener for the accepted connections of one kind.
type layer struct {
	mesh  *Mesh
	kind  kind
	conns chan net.Conn
	done  chan struct{}
	ended bool // guarded by mesh.mu
}

// openLayer takes the place of the former layer of that kind. That of a closed mesh is closed from the start.
func (m *Mesh) openLayer(k kind) *layer {
	l := &layer{mesh: m, kind: k, conns: make(chan net.Conn), done: make(chan struct{})}
	m.mu.Lock()
	former := m.layers[k]
	m.mu.Unlock()
	if former != nil {
		former.Close()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		l.end()
		return l
	}
	m.layers[k] = l
	close(m.opened)
	m.opened = make(chan struct{})
	return l
}

// end is called with mesh.mu held.
func (l *layer) end() {
	if !l.ended {
		l.ended = true
		close(l.done)
	}
}

// Accept waits for the next connection. After Close of the layer or the mesh it is net.ErrClosed.
func (l *layer) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends the layer, and with that of Raft all its connections.
func (l *layer) Close() error {
	l.mesh.mu.Lock()
	l.end()
	if l.mesh.layers[l.kind] == l {
		delete(l.mesh.layers, l.kind)
	}
	var own []*link
	for link := range l.mesh.links {
		if link.owner == l {
			own = append(own, link)
		}
	}
	l.mesh.mu.Unlock()
	for _, link := range own {
		link.Close()
	}
	return nil
}

// Addr has the form of Target, since Raft tells other nodes of it. The host may be one that only this node
// can reach, as 0.0.0.0.
func (l *layer) Addr() net.Addr { return address(Target(l.mesh.config.Name, l.mesh.Addr())) }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// raftLayer is a layer that also dials.
type raftLayer struct{ *layer }

// Dial connects to the Raft of the node that the address, made by Target, names. A timeout of 0 is
// Config.DialTimeout.
func (l raftLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	name, hostport, err := parseTarget(string(to))
	if err != nil {
		return nil, fmt.Errorf("dial Raft: %w", err)
	}
	if timeout <= 0 {
		timeout = l.mesh.config.DialTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := l.mesh.dial(ctx, name, hostport, kindRaft, l.layer)
	if err != nil {
		return nil, err
	}
	return conn, nil
}
