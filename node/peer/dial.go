package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// idleCall is how long a connection for calls stays open without one.
const idleCall = 90 * time.Second

// maxAnswerHeader is the size of the largest header of an answer, in bytes.
const maxAnswerHeader = 64 << 10

// dial connects to the node of that name, which may have moved, but not changed its name. Every error names
// the node and the address.
func (m *Mesh) dial(ctx context.Context, name, hostport string, k kind, owner *layer) (*tls.Conn, error) {
	conn, err := m.connect(ctx, name, hostport, k, owner)
	if err != nil {
		return nil, fmt.Errorf("dial node %s at %s: %w", name, hostport, err)
	}
	return conn, nil
}

func (m *Mesh) connect(ctx context.Context, name, hostport string, k kind, owner *layer) (*tls.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: keepAlive()}
	raw, err := dialer.DialContext(ctx, "tcp", hostport)
	if err != nil {
		return nil, err
	}
	l, err := m.add(raw, kindOut, owner)
	if err != nil {
		raw.Close()
		return nil, err
	}
	// Cancelling ends what the deadline would end later.
	stop := context.AfterFunc(ctx, func() { l.Close() })
	conn, err := m.introduce(ctx, l, name, k)
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return conn, nil
}

// introduce does the handshake, says what the connection is for, and hears whether it is welcome.
func (m *Mesh) introduce(ctx context.Context, l *link, name string, k kind) (*tls.Conn, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(m.config.DialTimeout)
	}
	if err := prepare(l, deadline); err != nil {
		return nil, err
	}
	config := m.identity.Load().tlsConfig()
	config.ServerName = name
	// The library lets a wildcard stand for any node.
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if names := state.PeerCertificates[0].DNSNames; !slices.Contains(names, name) {
			return fmt.Errorf("certificate is for %s", quoted(names))
		}
		return nil
	}
	conn := tls.Client(l, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("expected TLS 1.3 with a certificate for %q signed by %s: %w", name, m.config.CA, err)
	}
	if _, err := conn.Write([]byte{byte(k)}); err != nil {
		return nil, err
	}
	if err := hear(conn); err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// hear reads the acceptor's answer. TLS 1.3 tells a client only here that its certificate was refused.
func hear(conn io.Reader) error {
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("it did not let this node in: %w", err)
	}
	switch answer[0] {
	case answerYes:
		return nil
	case answerNo:
		if _, err := io.ReadFull(conn, answer[:]); err != nil {
			return fmt.Errorf("it refused, and did not say why: %w", err)
		}
		reason := make([]byte, answer[0])
		if _, err := io.ReadFull(conn, reason); err != nil {
			return fmt.Errorf("it refused, and did not say why: %w", err)
		}
		return fmt.Errorf("it refused: %q", reason)
	}
	return fmt.Errorf("it answered with byte 0x%02x, expected '+' or '-'", answer[0])
}

// RoundTripper makes calls to other nodes: the host of a URL is the node's name, as in http://n2/path, the
// scheme is http, since the TLS is beneath, and address says where that node listens, or that it is not
// known. Connections are kept for the next call, and at most CallsPerNode are open to one node: further
// calls wait. Only the request's context limits how long an answer may take.
func (m *Mesh) RoundTripper(address func(name string) (hostport string, ok bool)) http.RoundTripper {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, hostport string) (net.Conn, error) {
			name, _, err := net.SplitHostPort(hostport) // the library adds the port
			if err != nil {
				return nil, err
			}
			where, ok := address(name)
			if !ok {
				return nil, fmt.Errorf("dial node %s: its address is not known", name)
			}
			// The library does not cancel a dial with the request, since another may use the connection.
			ctx, cancel := context.WithTimeout(ctx, m.config.DialTimeout)
			defer cancel()
			conn, err := m.dial(ctx, name, where, kindCalls, nil)
			if err != nil {
				return nil, err // not a conn that is nil but for its type
			}
			return conn, nil
		},
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("calls between nodes have URLs of the form http://NAME/path")
		},
		MaxConnsPerHost:        CallsPerNode,
		MaxIdleConnsPerHost:    CallsPerNode,
		IdleConnTimeout:        idleCall,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
	}
}
