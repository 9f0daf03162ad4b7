package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func raftTarget(m *Mesh) raft.ServerAddress {
	return raft.ServerAddress(Target(m.config.Name, m.Addr()))
}

// echo gives back whatever arrives at a listener.
func echo(t *testing.T, l net.Listener) {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
}

func ping(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	var b [4]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil || string(b[:]) != "ping" {
		t.Fatalf("got %q, %v", b, err)
	}
}

func transport(m *Mesh) *raft.NetworkTransport {
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: m.Raft(), MaxPool: 2, Timeout: 10 * time.Second, Logger: hclog.NewNullLogger(),
	})
}

// TestRaft exchanges requests between two of Raft's own transports, also after one of them started anew.
func TestRaft(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m1, m2 := open(t, h.issue(t, "n1")), open(t, h.issue(t, "n2"))
	t2 := transport(m2)
	defer t2.Close()
	for round := range 2 {
		t1 := transport(m1)
		if got := t1.LocalAddr(); got != raftTarget(m1) {
			t.Errorf("local address %q, expected %q", got, raftTarget(m1))
		}
		answer(t, t1, 7)
		answer(t, t2, 8)
		var vote raft.RequestVoteResponse
		if err := t1.RequestVote("n2", raftTarget(m2), &raft.RequestVoteRequest{Term: 3}, &vote); err != nil || vote.Term != 8 {
			t.Fatalf("round %d: n2 said %d, %v", round, vote.Term, err)
		}
		t2.CloseStreams() // it would first notice with its next request that n1 closed its end
		if err := t2.RequestVote("n1", raftTarget(m1), &raft.RequestVoteRequest{Term: 3}, &vote); err != nil || vote.Term != 7 {
			t.Fatalf("round %d: n1 said %d, %v", round, vote.Term, err)
		}
		t1.Close()
		eventually(t, "no connection of n1 after its Raft closed", func() bool { return m1.listed() == 0 && m2.counted(kindRaft) == 0 })
	}
	// Whoever comes in between waits for it.
	t2.CloseStreams()
	came := make(chan error, 1)
	go func() {
		_, err := t2.AppendEntriesPipeline("n1", raftTarget(m1))
		came <- err
	}()
	eventually(t, "a connection of n2 waits", func() bool { return m1.counted(kindNew) == 1 })
	t1 := transport(m1)
	if err := <-came; err != nil {
		t.Errorf("who came before Raft began anew was refused: %v", err)
	}
	t1.Close()

	t2.CloseStreams()
	_, err := t2.AppendEntriesPipeline("n1", raftTarget(m1))
	mention(t, err, "node n1 at "+m1.Addr(), "node n1 takes no Raft connections")
}

func answer(t *testing.T, tr *raft.NetworkTransport, term uint64) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			select {
			case rpc := <-tr.Consumer():
				rpc.Respond(&raft.RequestVoteResponse{Term: term, Granted: true}, nil)
			case <-done:
				return
			}
		}
	}()
}

type peerKey struct{}

// serveCalls runs a server that says who calls, or at /wait waits for the caller to give up.
func serveCalls(t *testing.T, m *Mesh) *http.Server {
	t.Helper()
	s := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, NameOf(c))
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				<-r.Context().Done()
				// An answer here can still reach the caller, between TLS's last word and the end of the connection.
				panic(http.ErrAbortHandler)
			}
			fmt.Fprintf(w, "%s hears %s by %s", m.config.Name, r.Context().Value(peerKey{}), r.Proto)
		}),
	}
	l := m.Calls()
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return s
}

func caller(m *Mesh, others ...*Mesh) *http.Client {
	return &http.Client{Transport: m.RoundTripper(func(name string) (string, bool) {
		for _, other := range others {
			if other.config.Name == name {
				return other.Addr(), true
			}
		}
		return "", false
	})}
}

func call(ctx context.Context, c *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return string(b), err
}

func TestCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m1, m2 := open(t, h.issue(t, "n1")), open(t, h.issue(t, "N2.registry.example"))
	serveCalls(t, m1)
	s2 := serveCalls(t, m2)
	c1, c2 := caller(m1, m1, m2), caller(m2, m1)
	for range 3 {
		if got, err := call(t.Context(), c1, "http://N2.registry.example/"); err != nil || got != "N2.registry.example hears n1 by HTTP/1.1" {
			t.Fatalf("got %q, %v", got, err)
		}
		if got, err := call(t.Context(), c2, "http://n1/"); err != nil || got != "n1 hears N2.registry.example by HTTP/1.1" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if n := m2.counted(kindCalls); n != 1 {
		t.Errorf("%d connections for calls one after the other, expected 1", n)
	}
	if got, err := call(t.Context(), c1, "http://n1/"); err != nil || got != "n1 hears n1 by HTTP/1.1" {
		t.Errorf("a node that calls itself: %q, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, c1, "http://N2.registry.example/wait"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, expected the deadline", err)
	}
	_, err := call(t.Context(), c2, "http://n3/")
	mention(t, err, "node n3", "not known")
	_, err = call(t.Context(), c2, "https://n1/")
	mention(t, err, "http://NAME/path")

	// A server that was closed, and the next one on the same mesh.
	s2.Close()
	_, err = call(t.Context(), c1, "http://N2.registry.example/")
	mention(t, err, "N2.registry.example", "takes no calls")
	serveCalls(t, m2)
	if _, err := call(t.Context(), c1, "http://N2.registry.example/"); err != nil {
		t.Error(err)
	}
}

// TestCallsFinish: a server that shuts down in good order closes its listener before it answers the last.
func TestCallsFinish(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m1, m2 := open(t, h.issue(t, "n1")), open(t, h.issue(t, "n2"))
	l := m1.Calls()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := l.Accept()
		accepted <- conn
	}()
	client, err := m2.dial(t.Context(), "n1", m1.Addr(), kindCalls, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server := <-accepted
	defer server.Close()
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	go io.Copy(server, server)
	ping(t, client)
}

func TestNameOfOther(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := NameOf(a); got != "" {
		t.Errorf("got %q for a pipe", got)
	}
	if !strings.HasPrefix(kind(9).String(), "byte 0x") {
		t.Error("no name for an unknown kind")
	}
}

// TestDeadlinesEnd: the deadlines of becoming acquainted do not end a connection that is in use.
func TestDeadlinesEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.issue(t, "n1")
	c.HandshakeTimeout = 500 * time.Millisecond
	m1, m2 := open(t, c), open(t, h.issue(t, "n2"))
	echo(t, m1.Raft())
	r2 := m2.Raft()
	var conn net.Conn
	eventually(t, "a connection", func() (ok bool) { // a busy machine may miss the short deadlines
		var err error
		conn, err = r2.Dial(raftTarget(m1), c.HandshakeTimeout)
		return err == nil
	})
	<-time.After(c.HandshakeTimeout + 50*time.Millisecond)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
