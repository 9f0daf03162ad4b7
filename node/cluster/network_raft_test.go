package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// memListener is what Raft's transport sees: its Close leaves calls alone.
type memListener struct {
	*memLinks
	once  sync.Once
	ended chan struct{}
}

// Close implements net.Listener: no connection of Raft is left.
func (l *memListener) Close() error {
	l.once.Do(func() { close(l.ended) })
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.net.nodes[l.name] == l.memLinks {
		l.net.breakPipes(l.name)
	}
	return nil
}

// Addr implements net.Listener.
func (l *memListener) Addr() net.Addr { return memAddr(l.name) }

// Accept implements net.Listener.
func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.down:
	case <-l.ended:
	}
	return nil, net.ErrClosed
}

// Dial implements raft.StreamLayer.
func (l *memListener) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	name := string(to)
	if err := errors.Join(l.pass(ctx, l.name, name), l.pass(ctx, name, l.name), l.net.admitted(name, l.name)); err != nil {
		return nil, err
	}
	n := l.net
	n.mu.Lock()
	defer n.mu.Unlock()
	other, err := l.reach(name)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.ended:
		return nil, net.ErrClosed
	default:
	}
	there, back := &pipe{net: n, from: l.name, to: name}, &pipe{net: n, from: name, to: l.name, answers: true}
	select {
	case other.accept <- &memConn{in: there, out: back}:
	default:
		return nil, errors.New("too many connections wait")
	}
	n.pipes[there], n.pipes[back] = true, true
	return &memConn{in: back, out: there}, nil
}

// memTransport is Raft's own transport with an ear at what it sends.
type memTransport struct {
	*raft.NetworkTransport
	links *memLinks
}

func (t *memTransport) hook(id raft.ServerID, rpc string) error {
	if t.links.net.onRPC == nil {
		return nil
	}
	return t.links.net.onRPC(t.links.name, string(id), rpc)
}

// AppendEntriesPipeline implements raft.Transport.
func (t *memTransport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err == nil {
		t.links.net.mu.Lock()
		t.links.net.pipelines = append(t.links.net.pipelines, p)
		t.links.net.mu.Unlock()
	}
	return p, err
}

// closePipelines ends pipelining where it hangs, which Raft cannot.
func (n *memNet) closePipelines() {
	n.mu.Lock()
	all := slices.Clone(n.pipelines)
	n.mu.Unlock()
	for _, p := range all {
		_ = p.Close()
	}
}

// TimeoutNow implements raft.Transport.
func (t *memTransport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, q *raft.TimeoutNowRequest, a *raft.TimeoutNowResponse) error {
	if err := t.hook(id, "TimeoutNow"); err != nil {
		return err
	}
	return t.NetworkTransport.TimeoutNow(id, target, q, a)
}

// RequestVote implements raft.Transport.
func (t *memTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	if err := t.hook(id, "RequestVote"); err != nil {
		return err
	}
	return t.NetworkTransport.RequestVote(id, target, q, a)
}

// RequestPreVote implements raft.WithPreVote.
func (t *memTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	if err := t.hook(id, "RequestPreVote"); err != nil {
		return err
	}
	return t.NetworkTransport.RequestPreVote(id, target, q, a)
}

// InstallSnapshot implements raft.Transport.
func (t *memTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, q *raft.InstallSnapshotRequest, a *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.hook(id, "InstallSnapshot"); err != nil {
		return err
	}
	if t.links.net.onInstall != nil {
		data = t.links.net.onInstall(t.links.name, string(id), data)
	}
	return t.NetworkTransport.InstallSnapshot(id, target, q, a, data)
}
