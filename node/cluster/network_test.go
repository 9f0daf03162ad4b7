package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// memNet is a network in memory that fails as told. Raft runs over its own stream transport, so that
// everything but the sockets is what production has; calls are function calls with copied bytes. As with
// TCP, what is sent on a connection over a cut link is neither lost nor delivered: it arrives, late, when
// the link is mended, unless somebody has given up the connection. All names are node names, and every
// method may be called at any time.
type memNet struct {
	maxInFlight int           // of Raft's messages to one node
	timeout     time.Duration // of a dial, a call, and one message of Raft

	// onRPC, if set before the nodes start, is asked before a node sends a message of Raft that is not
	// AppendEntries: it may wait, and an error is the answer.
	onRPC func(from, to, rpc string) error

	// onCall, if set before the nodes start, is told of every call before it is sent; an error is the answer.
	onCall func(from, to, method string, request []byte) error

	// onInstall, if set before the nodes start, stands between a state and the stream on which it is sent.
	onInstall func(from, to string, data io.Reader) io.Reader

	mu    sync.Mutex
	moved sync.Cond // something has changed: whoever waits for a link or for bytes looks again
	links map[[2]string]*link
	nodes map[string]*memLinks // that are up
	pipes map[*pipe]bool

	pipelines []raft.AppendPipeline

	admits func(at, from string) bool // whether a node lets another call it, or open a connection
}

// link is one direction between two nodes.
type link struct {
	cut                       bool
	holdRequests, holdAnswers bool    // of Raft
	loss                      float64 // probability that a call is lost, or a connection breaks at a write
	delay                     time.Duration
}

func newNet() *memNet {
	n := &memNet{maxInFlight: MaxRPCsInFlight, timeout: 2 * time.Second, links: map[[2]string]*link{}, nodes: map[string]*memLinks{}, pipes: map[*pipe]bool{}}
	n.moved.L = &n.mu
	return n
}

// change changes the links from one node to another; "*" is every node that has ever been up.
func (n *memNet) change(from, to string, do func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link(from, to)
	for pair, l := range n.links {
		if pair[0] != pair[1] && (from == "*" || from == pair[0]) && (to == "*" || to == pair[1]) {
			do(l)
		}
	}
	n.moved.Broadcast()
}

// link is called with mu held.
func (n *memNet) link(from, to string) *link {
	l := n.links[[2]string{from, to}]
	if l == nil {
		l = new(link)
		n.links[[2]string{from, to}] = l
	}
	return l
}

// cutOneWay lets nothing pass from one node to another. Since a connection needs both ways, none is begun.
func (n *memNet) cutOneWay(from, to string) { n.change(from, to, func(l *link) { l.cut = true }) }

func (n *memNet) cut(a, b string) { n.cutOneWay(a, b); n.cutOneWay(b, a) }

// isolate cuts a node from all others.
func (n *memNet) isolate(name string) { n.cut(name, "*") }

// mend undoes cuts between two nodes, either of which may be "*".
func (n *memNet) mend(a, b string) {
	n.change(a, b, func(l *link) { l.cut = false })
	n.change(b, a, func(l *link) { l.cut = false })
}

// calm undoes everything.
func (n *memNet) calm() { n.change("*", "*", func(l *link) { *l = link{} }) }

// setAdmits has nodes refuse whom they do not know, as they do with certificates.
func (n *memNet) setAdmits(admits func(at, from string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.admits = admits
}

// admitted is called without mu held: who is asked may be about to use the network.
func (n *memNet) admitted(at, from string) error {
	n.mu.Lock()
	admits := n.admits
	n.mu.Unlock()
	if admits != nil && at != from && !admits(at, from) {
		return fmt.Errorf("node %s does not admit a node named %q", at, from)
	}
	return nil
}

// lose loses calls, and breaks connections, with probability p at each message.
func (n *memNet) lose(from, to string, p float64) {
	n.change(from, to, func(l *link) { l.loss = p })
}

func (n *memNet) delay(from, to string, d time.Duration) {
	n.change(from, to, func(l *link) { l.delay = d })
}

// holdRaft keeps what Raft sends from one node to another, requests and answers, until releaseAnswers or calm.
func (n *memNet) holdRaft(from, to string) {
	n.change(from, to, func(l *link) { l.holdRequests, l.holdAnswers = true, true })
}

func (n *memNet) releaseAnswers(from, to string) {
	n.change(from, to, func(l *link) { l.holdAnswers = false })
}

// answersHeld is on how many connections an answer is kept.
func (n *memNet) answersHeld(from, to string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.pipes {
		if p.answers && p.from == from && p.to == to && p.size > 0 {
			count++
		}
	}
	return count
}

// blocked is called with mu held.
func (p *pipe) blocked() bool {
	l := p.net.link(p.from, p.to)
	return p.from != p.to && (l.cut || p.answers && l.holdAnswers || !p.answers && l.holdRequests)
}

// of is the network as one node sees it, which is reached at address.
func (n *memNet) of(name, address string) Network { return &memPort{n, name, address} }

type memPort struct {
	net           *memNet
	name, address string
}

// Connect implements Network.
func (p *memPort) Connect(address func(string) (string, bool), answer Answer) (Links, error) {
	n := p.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nodes[p.name] != nil {
		return nil, fmt.Errorf("node %s is up already", p.name)
	}
	for other := range n.nodes {
		n.link(p.name, other)
		n.link(other, p.name)
	}
	l := &memLinks{memPort: *p, addressOf: address, answer: answer, accept: make(chan net.Conn, 16), down: make(chan struct{})}
	n.nodes[p.name] = l
	return l, nil
}

// crash takes a node off the network at once, as if its machine had no power: its Links are dead for ever,
// and another with its name may connect.
func (n *memNet) crash(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.nodes[name]; l != nil {
		l.disconnect()
	}
}

// memLinks implements Links, raft.StreamLayer and raft.ServerAddressProvider.
type memLinks struct {
	memPort
	addressOf func(string) (string, bool)
	answer    Answer
	accept    chan net.Conn
	down      chan struct{} // closed when it is off the network
	answering sync.WaitGroup
}

// disconnect is called with mu held.
func (l *memLinks) disconnect() {
	if l.net.nodes[l.name] != l {
		return
	}
	delete(l.net.nodes, l.name)
	close(l.down)
	l.net.breakPipes(l.name)
}

// breakPipes is called with mu held.
func (n *memNet) breakPipes(name string) {
	for p := range n.pipes {
		if p.from == name || p.to == name {
			p.broken = true
			delete(n.pipes, p)
		}
	}
	n.moved.Broadcast()
}

// Close implements Links and raft.StreamLayer.
func (l *memLinks) Close() error {
	l.net.mu.Lock()
	l.disconnect()
	l.net.mu.Unlock()
	l.answering.Wait()
	return nil
}

// Transport implements Links.
func (l *memLinks) Transport() (raft.Transport, error) {
	return &memTransport{links: l, NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		ServerAddressProvider: l, Stream: &memListener{memLinks: l, ended: make(chan struct{})}, MaxPool: 3, MaxRPCsInFlight: l.net.maxInFlight,
		Timeout: l.net.timeout, Logger: RaftLogger(slog.New(slog.DiscardHandler)), MsgpackUseNewTimeFormat: true,
	})}, nil
}

// ServerAddr implements raft.ServerAddressProvider.
func (l *memLinks) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	if _, ok := l.addressOf(string(id)); !ok {
		return "", fmt.Errorf("the address of node %s is not known", id)
	}
	return raft.ServerAddress(id), nil
}

// reach is the node of that name if it is up where it is believed to be. It is called with mu held.
func (l *memLinks) reach(name string) (*memLinks, error) {
	address, ok := l.addressOf(name)
	other := l.net.nodes[name]
	if !ok || other == nil || other.address != address || l.net.nodes[l.name] != l {
		return nil, fmt.Errorf("%s (%q): connection refused", name, address)
	}
	return other, nil
}

// Call implements Links.
func (l *memLinks) Call(ctx context.Context, name, method string, request []byte) ([]byte, error) {
	if l.net.onCall != nil {
		if err := l.net.onCall(l.name, name, method, request); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.net.timeout)
	defer cancel()
	if err := errors.Join(l.pass(ctx, l.name, name), l.net.admitted(name, l.name)); err != nil {
		return nil, err
	}
	l.net.mu.Lock()
	other, err := l.reach(name)
	if err == nil {
		other.answering.Add(1)
	}
	l.net.mu.Unlock()
	if err != nil {
		return nil, err
	}
	type outcome struct {
		reply []byte
		err   error
	}
	answered := make(chan outcome, 1)
	go func() {
		defer other.answering.Done()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			select {
			case <-other.down:
				cancel()
			case <-ctx.Done():
			}
		}()
		reply, err := other.answer(ctx, l.name, method, slices.Clone(request))
		answered <- outcome{slices.Clone(reply), err}
	}()
	select {
	case o := <-answered:
		if err := l.pass(ctx, name, l.name); err != nil {
			return nil, err
		}
		return o.reply, o.err
	case <-other.down:
	case <-l.down:
	case <-ctx.Done():
	}
	return nil, errors.New("connection lost")
}

// pass waits until a call's bytes have come from one node to another.
func (l *memLinks) pass(ctx context.Context, from, to string) error {
	n := l.net
	stop := context.AfterFunc(ctx, func() { n.mu.Lock(); n.moved.Broadcast(); n.mu.Unlock() })
	defer stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.link(from, to)
	if k.loss > rand.Float64() {
		return errors.New("connection reset")
	}
	if d := k.delay; d > 0 {
		n.mu.Unlock()
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		n.mu.Lock()
	}
	for from != to && k.cut && ctx.Err() == nil && n.nodes[l.name] == l {
		n.moved.Wait()
	}
	return ctx.Err()
}

// TestTheNetworkFailsAsTold is a test of the tests' own network.
func TestTheNetworkFailsAsTold(t *testing.T) {
	t.Parallel()
	n := newNet()
	n.timeout = 50 * time.Millisecond
	where := func(name string) (string, bool) { return name + ":1", true }
	echo := func(_ context.Context, from, _ string, request []byte) ([]byte, error) {
		return append([]byte(from+" "), request...), nil
	}
	a, err := n.of("a", "a:1").Connect(where, echo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.of("b", "b:1").Connect(where, echo); err != nil {
		t.Fatal(err)
	}
	call := func() error {
		reply, err := a.Call(t.Context(), "b", "echo", []byte("x"))
		if err == nil && string(reply) != "a x" {
			t.Errorf("reply %q", reply)
		}
		return err
	}
	for _, tt := range []struct {
		what string
		do   func()
		ok   bool
	}{
		{"calm", func() {}, true},
		{"cut there", func() { n.cutOneWay("a", "b") }, false},
		{"cut back", func() { n.calm(); n.cutOneWay("b", "a") }, false},
		{"isolated", func() { n.calm(); n.isolate("b") }, false},
		{"mended", func() { n.mend("b", "*") }, true},
		{"lossy", func() { n.lose("*", "*", 1) }, false},
		{"calm again", n.calm, true},
		{"crashed", func() { n.crash("b") }, false},
	} {
		tt.do()
		if err := call(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
}
