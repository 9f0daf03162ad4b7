package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime/pprof"
	"strings"
	"testing"
)

// TestClose has connections of every kind and state open, and expects that no goroutine stays: those that
// come of what a test does under a label have it too.
func TestClose(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c1, c2 := h.issue(t, "n1"), h.issue(t, "n2")
	label := "mesh-of-" + t.Name()
	pprof.Do(t.Context(), pprof.Labels("test", label), func(ctx context.Context) {
		m1, m2 := open(t, c1), open(t, c2)
		echo(t, m1.Raft())
		serveCalls(t, m1)
		r2 := m2.Raft()
		raftConn, err := r2.Dial(raftTarget(m1), 0)
		if err != nil {
			t.Fatal(err)
		}
		ping(t, raftConn)
		waiting := make(chan error, 1)
		client := caller(m2, m1)
		go func() {
			_, err := call(context.WithoutCancel(ctx), client, "http://n1/wait")
			waiting <- err
		}()
		stranger, err := send(m1.Addr(), "\x16")
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		eventually(t, "three connections", func() bool {
			return m1.counted(kindRaft) == 1 && m1.counted(kindCalls) == 1 && m1.counted(kindNew) == 1
		})
		for _, m := range []*Mesh{m1, m2} {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if n := m.listed(); n != 0 {
				t.Errorf("%s: %d connections on the list", m.config.Name, n)
			}
		}
		expectEnd(t, stranger)
		if _, err := raftConn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.ErrNoProgress) {
			t.Errorf("read from a closed mesh: %v", err)
		}
		if err := <-waiting; err == nil {
			t.Error("a call outlived the mesh")
		}
		if _, err := r2.Dial(raftTarget(m1), 0); err == nil {
			t.Error("a closed mesh dials")
		}
		if _, err := m2.Raft().Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed mesh accepts: %v", err)
		}
		if _, err := net.Dial("tcp", m1.Addr()); err == nil {
			t.Error("the port is still open")
		}
	})
	eventually(t, "no goroutine", func() bool {
		var b bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(b.String(), label)
	})
}

// TestDialAfterClose: a Raft that was closed, or whose mesh was, opens no connection that nobody would close.
func TestDialAfterClose(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m1, m2 := open(t, h.issue(t, "n1")), open(t, h.issue(t, "n2"))
	echo(t, m1.Raft())
	former := m2.Raft()
	former.Close()
	present := m2.Raft()
	if _, err := former.Dial(raftTarget(m1), 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed layer: %v", err)
	}
	conn, err := present.Dial(raftTarget(m1), 0)
	if err != nil {
		t.Fatal(err)
	}
	ping(t, conn)
	m2.Close()
	if _, err := m2.dial(t.Context(), "n1", m1.Addr(), kindRaft, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed mesh: %v", err)
	}
}
