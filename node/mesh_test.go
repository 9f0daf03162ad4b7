package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/node/peer"
)

// house issues certificates of one authority, into files of a directory.
type house struct {
	t         *testing.T
	dir       string
	authority *peer.Authority
}

func newHouse(t *testing.T) house {
	t.Helper()
	authority, err := peer.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return house{t, t.TempDir(), authority}
}

// issue returns the paths of what a node of that name needs.
func (h house) issue(name string) (cert, key, ca string) {
	h.t.Helper()
	trusted, _, err := h.authority.PEM()
	if err != nil {
		h.t.Fatal(err)
	}
	certPEM, keyPEM, err := h.authority.Issue(name, nil, time.Now(), time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	file := func(kind string, data []byte) string {
		path := filepath.Join(h.dir, name+"-"+kind)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			h.t.Fatal(err)
		}
		return path
	}
	return file("cert", certPEM), file("key", keyPEM), file("ca", trusted)
}

// openPeers opens the ports of two nodes, each with a certificate of its own.
func openPeers(t *testing.T) (a, b *peer.Mesh) {
	t.Helper()
	h := newHouse(t)
	open := func(name string) *peer.Mesh {
		c := peer.Config{Name: name, Listen: "127.0.0.1:0"}
		c.Cert, c.Key, c.CA = h.issue(name)
		m, err := peer.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	return open("a"), open("b")
}

// connect begins to use both ports: b answers by answer, and a calls it.
func connect(t *testing.T, answer cluster.Answer) (a, b cluster.Links) {
	t.Helper()
	pa, pb := openPeers(t)
	address := func(name string) (string, bool) { return pb.Addr(), name == "b" }
	var err error
	if b, err = (&mesh{peer: pb, log: slog.New(slog.DiscardHandler)}).Connect(address, answer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if a, err = (&mesh{peer: pa, log: slog.New(slog.DiscardHandler)}).Connect(address, answer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, b
}

// Writes that waited for the leader took all connections to it. The node that forwarded them then heard nothing
// of its leader any more, and answered no reads.
func TestWaitingWritesDoNotKeepANodeFromItsLeader(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var waiting atomic.Int64
	a, _ := connect(t, func(_ context.Context, _, method string, _ []byte) ([]byte, error) {
		if method == cluster.MethodSubmit {
			waiting.Add(1)
			<-gate
		}
		return []byte(method), nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	t.Cleanup(func() { cancel(); close(gate); writers.Wait() })
	for range 4 * peer.CallsPerNode {
		writers.Go(func() { _, _ = a.Call(ctx, "b", cluster.MethodSubmit, nil) })
	}
	for seen := int64(-1); seen != waiting.Load() || seen <= 0; time.Sleep(100 * time.Millisecond) {
		seen = waiting.Load() // until no more come
	}
	for range 3 {
		for _, method := range []string{"follow", "read-index", "confirm", "membership"} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			reply, err := a.Call(ctx, "b", method, nil)
			cancel()
			if err != nil || string(reply) != method {
				t.Fatalf("%s, while %d writes wait: %q, %v", method, waiting.Load(), reply, err)
			}
		}
	}
}

// What a node was still answering went on in a cluster that was closed, and in a state that was.
func TestLinksCloseWhenNothingIsAnsweredAnyMore(t *testing.T) {
	t.Parallel()
	gate, begun := make(chan struct{}), make(chan struct{})
	var answered atomic.Bool
	a, b := connect(t, func(context.Context, string, string, []byte) ([]byte, error) {
		close(begun)
		<-gate
		answered.Store(true)
		return nil, nil
	})
	var caller sync.WaitGroup
	caller.Go(func() { _, _ = a.Call(t.Context(), "b", "follow", nil) })
	<-begun
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if !answered.Load() {
			t.Error("the links are closed, and a call is still being answered")
		}
	}()
	caller.Wait() // Close has ended the connection
	select {
	case <-closed: // too early, as is told above
	case <-time.After(100 * time.Millisecond): // where it is to wait, nothing tells that it does
	}
	close(gate)
	<-closed
}

// Raft sends no message to a node before it was answered the one before: with more of them under way, its default,
// one that is rejected can stop replication for ever (TestARejectedMessageStopsNoReplication in node/cluster).
func TestRaftSendsOneMessageAtATime(t *testing.T) {
	t.Parallel()
	a, _ := connect(t, func(context.Context, string, string, []byte) ([]byte, error) { return nil, nil })
	trans, err := a.Transport()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if closer, ok := trans.(io.Closer); ok {
			_ = closer.Close()
		}
	})
	if _, err := trans.AppendEntriesPipeline("b", ""); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("a pipeline to another node: %v: expected %v", err, raft.ErrPipelineReplicationNotSupported)
	}
}
