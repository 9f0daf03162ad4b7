package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// Peer is a node by its name, and where it is reached, host:port.
type Peer struct{ Name, Address string }

func (p Peer) validate() error {
	if !IsName(p.Name) {
		return fmt.Errorf("node name %q: expected 1 to 63 of a-z, 0-9, . and -", p.Name)
	}
	if host, port, err := net.SplitHostPort(p.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("node %s at %q: expected host:port", p.Name, p.Address)
	}
	return nil
}

// Network is how a node reaches the others of its registry (DESIGN 9: mutual TLS on one port). Package
// node makes one of node/peer, tests one that loses messages.
type Network interface {
	// Connect begins to answer other nodes' calls by answer. address says where a node is. At most one
	// Links is open at a time.
	Connect(address func(name string) (hostport string, ok bool), answer Answer) (Links, error)
}

// Answer replies to one call of another node. from is its name, which the network has verified.
type Answer func(ctx context.Context, from, method string, request []byte) (reply []byte, err error)

// Links are a node's connections to the others. All methods are safe for concurrent use.
type Links interface {
	// Transport begins to take Raft's messages; it is called at most once. Whoever closes Links closes it.
	Transport() (raft.Transport, error)

	// Call asks node name. An error means that it is not known whether the other did what it was asked, unless it
	// is ErrNotSent.
	Call(ctx context.Context, name, method string, request []byte) (reply []byte, err error)

	// Close ends all connections, and returns when nothing is being answered any more.
	Close() error
}

// Interrupter is implemented by Links that can end what is being received of Raft's messages; their senders send
// again.
type Interrupter interface{ Interrupt() }

// ErrNotSent is in an error of Links.Call when the other was not reached, and so has done nothing.
var ErrNotSent = errors.New("not sent")

// transport is how Raft reaches the others. Raft sees trans; what its interface lacks is beside it.
type transport struct {
	trans raft.Transport
	stand func(raft.ServerID) // at once for election; if it fails, a heartbeat time-out does it
	links Links               // nil for a node that is alone
}

// loopback is the transport of a node that is alone and has nobody to talk to. A second, connected one
// stands for the cluster when the node is told to stand for election at once, which is an ordinary
// message of Raft (TimeoutNow): whoever is the only voter need not wait for a heartbeat that no one can send.
func loopback(name string) transport {
	addr, own := raft.NewInmemTransport(raft.ServerAddress(name))
	_, other := raft.NewInmemTransport("")
	other.Connect(addr, own)
	return transport{trans: own, stand: func(id raft.ServerID) {
		_ = other.TimeoutNow(id, addr, timeoutNow(), new(raft.TimeoutNowResponse))
	}}
}

func timeoutNow() *raft.TimeoutNowRequest {
	return &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
}

// linked is the transport over links. The only voter of a cluster tells itself to stand for election by
// way of its own port.
func linked(links Links) (transport, error) {
	trans, err := links.Transport()
	if err != nil {
		return transport{}, err
	}
	return transport{trans: trans, links: links, stand: func(id raft.ServerID) {
		go func() { _ = trans.TimeoutNow(id, trans.LocalAddr(), timeoutNow(), new(raft.TimeoutNowResponse)) }()
	}}, nil
}

// call asks another node and reads its reply into reply, which may be nil.
func (c *Cluster) call(ctx context.Context, name, method string, request, reply any) error {
	if c.links == nil {
		return unavailable("node %s cannot be asked: this node is alone", name)
	}
	data, err := encode(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx) // whoever asks, the answer is of no use to a node that closes
	defer cancel()
	defer c.atQuit(cancel)()
	answer, err := c.links.Call(ctx, name, method, data)
	if err != nil {
		return &unreachedError{name: name, cause: err}
	}
	return openAnswer(answer, reply)
}

// unreachedError is a call without an answer. Its kind is Unavailable.
type unreachedError struct {
	name  string
	cause error
}

func (e *unreachedError) Error() string {
	return fmt.Sprintf("node %s cannot be reached: %v", e.name, e.cause)
}

func (e *unreachedError) Unwrap() []error {
	return []error{&registry.Error{Kind: registry.Unavailable, RetryAfter: retryAfter}, e.cause}
}

// addressOf is where a node is reached: as this node was told, else as the Raft configuration says. What it
// was told comes first, so that all nodes can move at once without one that knows where the others went.
func (c *Cluster) addressOf(name string) (string, bool) {
	if name == c.cfg.Name {
		return c.cfg.Address, true
	}
	if i := slices.IndexFunc(c.cfg.Nodes, func(p Peer) bool { return p.Name == name }); i >= 0 {
		return c.cfg.Nodes[i].Address, true
	}
	for _, s := range c.members().Servers {
		if s.ID == raft.ServerID(name) {
			return string(s.Address), true
		}
	}
	return c.told.where(name)
}

// members is the newest Raft configuration that this node knows of.
func (c *Cluster) members() raft.Configuration {
	if r := c.running.Load(); r != nil {
		return r.GetConfiguration().Configuration()
	}
	if data, _ := c.st.Configuration(); len(data) > 0 {
		return raft.DecodeConfiguration(data)
	}
	return raft.Configuration{}
}

// Knows reports whether a node of that name belongs to this registry, as far as this node can tell: who
// may connect to it.
func (c *Cluster) Knows(name string) bool {
	if slices.ContainsFunc(c.cfg.Nodes, func(p Peer) bool { return p.Name == name }) {
		return true
	}
	if member(c.members(), name) {
		return true
	}
	_, ok := c.told.where(name)
	return ok
}
