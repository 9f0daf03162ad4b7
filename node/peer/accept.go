package peer

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// The acceptor's answer to the first byte.
const (
	answerYes = '+'
	answerNo  = '-' // one byte of length and the reason follow
)

// acceptPause is how long nothing is accepted after an error, which mostly is that there are too many files.
const acceptPause = 50 * time.Millisecond

// accept does nothing that could wait for a stranger: each connection's goroutine does.
func (m *Mesh) accept() {
	for {
		raw, err := m.listener.Accept()
		if err != nil {
			select {
			case <-m.done:
				return
			case <-time.After(acceptPause):
			}
			m.refuse(m.listener.Addr(), "", err)
			continue
		}
		l, err := m.add(raw, kindNew, nil)
		if err != nil {
			raw.Close()
			m.refuse(raw.RemoteAddr(), "", err)
			continue
		}
		m.running.Go(func() { m.welcome(l) })
	}
}

// welcome finds out who is there and what for, and hands the connection on, or closes it.
func (m *Mesh) welcome(l *link) {
	timeout := time.NewTimer(m.config.HandshakeTimeout)
	defer timeout.Stop()
	if err := prepare(l, time.Now().Add(m.config.HandshakeTimeout)); err != nil {
		l.Close()
		return
	}
	conn := tls.Server(l, m.identity.Load().tlsConfig())
	name, to, err := m.meet(l, conn)
	if err != nil {
		// The link, not the TLS connection, whose Close may wait until a stranger reads its last words.
		l.Close()
		m.refuse(l.RemoteAddr(), name, err)
		return
	}
	select {
	case to.conns <- conn:
		return
	case <-to.done:
	case <-m.done:
	case <-timeout.C:
		m.refuse(l.RemoteAddr(), name, fmt.Errorf("nobody took the %s connection within %s", to.kind, m.config.HandshakeTimeout))
	}
	l.Close()
}

// meet does the handshake, reads the first byte and answers it. The name is known also with many an error.
func (m *Mesh) meet(l *link, conn *tls.Conn) (name string, to *layer, err error) {
	if err := conn.Handshake(); err != nil {
		return "", nil, fmt.Errorf("expected TLS 1.3 with a certificate signed by %s: %w", m.config.CA, err)
	}
	name = NameOf(conn)
	if err := checkName(name); err != nil {
		return name, nil, fmt.Errorf("the certificate's first DNS name is not a node's: %w", err)
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return name, nil, fmt.Errorf("expected a first byte within %s: %w", m.config.HandshakeTimeout, err)
	}
	if to, err = m.judge(l, name, kind(first[0])); err != nil {
		// If the reason does not arrive, the closed connection says enough.
		_, _ = conn.Write(no(err))
		return name, nil, err
	}
	if _, err := conn.Write([]byte{answerYes}); err != nil {
		return name, nil, fmt.Errorf("answer: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return name, nil, err
	}
	return name, to, nil
}

func (m *Mesh) judge(l *link, name string, k kind) (*layer, error) {
	if !m.config.Admit(name) {
		return nil, fmt.Errorf("node %s does not admit a node named %q", m.config.Name, name)
	}
	if k != kindRaft && k != kindCalls {
		return nil, fmt.Errorf("first byte 0x%02x, expected 'R' for Raft or 'C' for calls", byte(k))
	}
	return m.await(l, k)
}

// await enrols a connection as soon as what it is for is open, within LayerWait.
func (m *Mesh) await(l *link, k kind) (*layer, error) {
	late := time.NewTimer(m.config.LayerWait)
	defer late.Stop()
	for {
		to, opened, err := m.enrol(l, k)
		if opened == nil {
			return to, err
		}
		select {
		case <-opened:
		case <-late.C:
			return nil, err
		case <-m.done:
			return nil, err
		}
	}
}

func no(reason error) []byte {
	text := reason.Error()
	text = text[:min(len(text), 255)]
	return append([]byte{answerNo, byte(len(text))}, text...)
}

// prepare sets the deadline for becoming acquainted, and how soon a partition is noticed.
func prepare(l *link, deadline time.Time) error {
	if tcp, ok := l.Conn.(*net.TCPConn); ok {
		if err := setUserTimeout(tcp, UserTimeout); err != nil {
			return err
		}
	}
	return l.SetDeadline(deadline)
}
