package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestStrangers lets them in to n1 one by one, and expects that they get nothing but a closed connection, and
// the operator a line that says why.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		visit func(t *testing.T, h *house, addr string) (net.Conn, error)
		log   string
		says  string // to a node of this registry
	}{
		{"no client certificate", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			return knock(addr, clientConfig(t, Config{CA: h.path("ca")}), "R")
		}, "client didn't provide a certificate", ""},
		{"wrong CA", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			c := h.issueAt(t, "n2", newHouse(t).authority, time.Now(), "n2")
			return knock(addr, clientConfig(t, c), "R")
		}, "unknown authority", ""},
		{"expired", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			c := h.issueAt(t, "n2", h.authority, time.Now().Add(-48*time.Hour), "n2")
			return knock(addr, clientConfig(t, c), "R")
		}, "expired", ""},
		{"TLS 1.2", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			config := clientConfig(t, h.issue(t, "n2"))
			config.MaxVersion = tls.VersionTLS12
			return knock(addr, config, "R")
		}, "unsupported versions", ""},
		{"not admitted", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			return knock(addr, clientConfig(t, h.issue(t, "n9")), "R")
		}, `does not admit a node named \"n9\"`, "does not admit"},
		{"unknown first byte", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			return knock(addr, clientConfig(t, h.issue(t, "n2")), "X")
		}, "first byte 0x58", "first byte 0x58"},
		{"kind of the inside", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			return knock(addr, clientConfig(t, h.issue(t, "n2")), "\x00")
		}, "first byte 0x00", "first byte 0x00"},
		{"no server for calls", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			return knock(addr, clientConfig(t, h.issue(t, "n2")), "C")
		}, "takes no calls", "takes no calls"},
		{"garbage", func(_ *testing.T, _ *house, addr string) (net.Conn, error) {
			return send(addr, strings.Repeat("\xff\x00\x16\x03", 50))
		}, "TLS", ""},
		{"plain HTTP", func(_ *testing.T, _ *house, addr string) (net.Conn, error) {
			return send(addr, "GET / HTTP/1.1\r\nHost: n1\r\n\r\n")
		}, "first record does not look like a TLS handshake", ""},
		{"silent", func(_ *testing.T, _ *house, addr string) (net.Conn, error) { return send(addr, "") }, "i/o timeout", ""},
		{"silent after the handshake", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			return knock(addr, clientConfig(t, h.issue(t, "n2")), "")
		}, "expected a first byte within", ""},
		{"gone", func(t *testing.T, h *house, addr string) (net.Conn, error) {
			conn, err := send(addr, "\x16")
			if err == nil {
				conn.Close()
			}
			return nil, err
		}, "EOF", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			c := h.issue(t, "n1")
			var log lines
			c.Log = log.logger()
			c.Admit = func(name string) bool { return name != "n9" }
			c.HandshakeTimeout = 20 * time.Second
			if strings.HasPrefix(tt.name, "silent") {
				c.HandshakeTimeout = 200 * time.Millisecond
			}
			m := open(t, c)
			layer := m.Raft()
			go func() {
				if conn, err := layer.Accept(); err == nil {
					t.Errorf("Raft got a connection of %q", NameOf(conn))
					conn.Close()
				}
			}()
			conn, err := tt.visit(t, h, m.Addr())
			if conn != nil {
				defer conn.Close()
				if err == nil && tt.says != "" {
					if err = hear(conn); err == nil || !strings.Contains(err.Error(), tt.says) {
						t.Errorf("heard %v, expected %q", err, tt.says)
					}
				}
				expectEnd(t, conn)
			}
			eventually(t, "a line that says "+tt.log, func() bool { return strings.Contains(log.String(), tt.log) })
			eventually(t, "no connection on the list", func() bool { return m.listed() == 0 })
		})
	}
}

// knock does the handshake, as far as the server lets it, and says the first bytes.
func knock(addr string, config *tls.Config, first string) (net.Conn, error) {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		return raw, err
	}
	_, err = io.WriteString(conn, first)
	return conn, err
}

func send(addr, text string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(conn, text)
	return conn, err
}

// TestDialRefuses expects errors that name the node, where it is, and what was expected of it.
func TestDialRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c1 := h.issue(t, "n1")
	c1.Admit = func(name string) bool { return name != "n9" }
	m1, m2, m9 := open(t, c1), open(t, h.issue(t, "n2")), open(t, h.issue(t, "n9"))
	echo(t, m1.Raft())
	r2 := m2.Raft()

	_, err := r2.Dial(raftTarget(m2)+"x", 0)
	mention(t, err, "node n2 at")
	_, err = r2.Dial("127.0.0.1:1", 0)
	mention(t, err, "expected NAME=HOST:PORT")

	at := "node n3 at " + m1.Addr()
	other := &Mesh{config: Config{Name: "n3"}, listener: m1.listener}
	_, err = r2.Dial(raftTarget(other), 0)
	mention(t, err, at, `certificate for "n3"`, "valid for n1")

	_, err = m9.Raft().Dial(raftTarget(m1), 0)
	mention(t, err, "node n1 at "+m1.Addr(), `does not admit a node named \"n9\"`)

	// An impostor of another CA, who would take anybody.
	foreign := newHouse(t)
	impostor := open(t, foreign.issue(t, "n1"))
	_, err = r2.Dial(raftTarget(impostor), 0)
	mention(t, err, "node n1 at "+impostor.Addr(), h.path("ca"), "unknown authority")

	// One who listens and says nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(nil) })
	_, err = m2.dial(ctx, "n1", silent.Addr().String(), kindCalls, nil)
	mention(t, err, "node n1 at", "context canceled")
	mute := &Mesh{config: Config{Name: "n1"}, listener: silent}
	_, err = r2.Dial(raftTarget(mute), 50*time.Millisecond)
	mention(t, err, "node n1 at")
	// One who does the handshake, and does not answer.
	pair, err := tls.LoadX509KeyPair(c1.Cert, c1.Key)
	if err != nil {
		t.Fatal(err)
	}
	shy := tls.NewListener(silent, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13})
	ctx, cancel = context.WithCancelCause(t.Context())
	gone := errors.New("no longer wanted")
	go func() {
		for {
			conn, err := shy.Accept()
			if err != nil {
				return
			}
			go func() {
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					cancel(gone)
				}
			}()
		}
	}()
	_, err = m2.dial(ctx, "n1", silent.Addr().String(), kindCalls, nil)
	mention(t, err, "node n1 at", gone.Error())
	if n := m2.listed(); n != 0 {
		t.Errorf("%d connections stay on the list", n)
	}
}

// TestWildcard: a certificate for any name must not stand for a node.
func TestWildcard(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := open(t, h.issue(t, "n2"))
	cert, key, err := h.authority.Issue("n1", []string{"*.example"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Name: "n1", Listen: "127.0.0.1:0", Cert: h.path("w"), Key: h.path("wk"), CA: h.path("ca")}
	write(t, c.Cert, cert)
	write(t, c.Key, key)
	w := open(t, c)
	echo(t, w.Calls())
	_, err = m.dial(t.Context(), "n3.example", w.Addr(), kindCalls, nil)
	mention(t, err, "node n3.example", `certificate is for "n1", "*.example"`)
}

func TestMaxConns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.issue(t, "n1")
	c.MaxConns = 2
	m1, m2 := open(t, c), open(t, h.issue(t, "n2"))
	echo(t, m1.Raft())
	echo(t, m1.Calls())
	dial := func(k kind) (net.Conn, error) { return m2.dial(t.Context(), "n1", m1.Addr(), k, nil) }
	var calls []net.Conn
	for range 2 {
		conn, err := dial(kindCalls)
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, conn)
	}
	_, err := dial(kindCalls)
	mention(t, err, "too many connections", "node n1 has 2 for calls")
	raft, err := dial(kindRaft)
	if err != nil {
		t.Fatalf("calls keep Raft out: %v", err)
	}
	ping(t, raft)
	ping(t, calls[1])
	calls[0].Close()
	eventually(t, "a place for one more", func() bool {
		conn, err := dial(kindCalls)
		if err == nil {
			ping(t, conn)
		}
		return err == nil
	})
}

func TestMaxHandshakes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.issue(t, "n1")
	var log lines
	c.Log = log.logger()
	c.MaxHandshakes = 2
	c.HandshakeTimeout = time.Hour
	m1, m2 := open(t, c), open(t, h.issue(t, "n2"))
	echo(t, m1.Raft())
	dial := func() (net.Conn, error) { return m2.dial(t.Context(), "n1", m1.Addr(), kindRaft, nil) }
	known, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	var strangers []net.Conn
	for range 2 {
		conn, err := send(m1.Addr(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		strangers = append(strangers, conn)
	}
	eventually(t, "two handshakes", func() bool { return m1.counted(kindNew) == 2 })
	one, err := send(m1.Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	expectEnd(t, one)
	ping(t, known)
	eventually(t, "a line that says so", func() bool { return strings.Contains(log.String(), "2 handshakes are under way") })
	strangers[0].Close()
	eventually(t, "a place for one more", func() bool { _, err := dial(); return err == nil })
}

// TestNobodyAccepts: a layer that nobody serves does not collect connections.
func TestNobodyAccepts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.issue(t, "n1")
	c.HandshakeTimeout = 300 * time.Millisecond
	var log lines
	c.Log = log.logger()
	m1, m2 := open(t, c), open(t, h.issue(t, "n2"))
	m1.Calls()
	var conn net.Conn
	eventually(t, "a connection", func() (ok bool) { // a busy machine may miss the short deadline
		var err error
		conn, err = m2.dial(t.Context(), "n1", m1.Addr(), kindCalls, nil)
		return err == nil
	})
	expectEnd(t, conn)
	eventually(t, "an empty list and a line", func() bool { return m1.listed() == 0 && strings.Contains(log.String(), "nobody took") })
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	var r refusals
	now := time.Now()
	for i, want := range []struct {
		after  time.Duration
		silent int
		ok     bool
	}{{0, 0, true}, {time.Millisecond, 0, false}, {refusalEvery - 1, 0, false}, {refusalEvery, 2, true}, {2 * refusalEvery, 0, true}} {
		if silent, ok := r.allow("10.0.0.1", now.Add(want.after)); silent != want.silent || ok != want.ok {
			t.Errorf("%d: got %d, %v", i, silent, ok)
		}
	}
	for i := range 3 * maxRefusals {
		r.allow(fmt.Sprint(i), now)
	}
	if len(r.hosts) > maxRefusals {
		t.Errorf("%d hosts are remembered", len(r.hosts))
	}
	if _, ok := r.allow("new", now.Add(refusalEvery)); !ok {
		t.Error("a host stays without a line when the former ones are forgotten")
	}
}
