package peer

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// The limits of a mesh, where Config does not say otherwise.
const (
	// DefaultHandshakeTimeout is for the handshake, the first byte, and for somebody to take the connection.
	DefaultHandshakeTimeout = 5 * time.Second
	// DefaultDialTimeout is for everything until the other node has let us in.
	DefaultDialTimeout = 5 * time.Second
	// DefaultLayerWait is how long a connection waits for Raft to begin anew. Were it refused, the leader would
	// try again later and later, and let a node that took a second to open a state wait for ten.
	DefaultLayerWait = 2 * time.Second
	// DefaultMaxConns lets four other nodes make CallsPerNode calls at a time.
	DefaultMaxConns = 256
	// DefaultMaxHandshakes keeps strangers from taking all of a node's memory and processors. It lets four other
	// nodes, which were silent until now, open all their connections at the same moment: to a leader that many
	// clients begin to write to, through its followers, these are no strangers.
	DefaultMaxHandshakes = DefaultMaxConns + CallsPerNode
	// CallsPerNode is how many calls one RoundTripper makes to one node at a time; others wait for these.
	CallsPerNode = 64
	// UserTimeout is how long sent bytes may stay unacknowledged before a connection fails (TCP_USER_TIMEOUT).
	// Without it, a write into a partition fails after a quarter of an hour.
	UserTimeout = 10 * time.Second
)

// keepAlive lets a connection on which nobody says anything notice within 12 s that the other end is gone.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 6 * time.Second, Interval: 2 * time.Second, Count: 3}
}

// Config says who a node is and whom it talks to. The zero value of a limit is its default.
type Config struct {
	// Name is the node's own: the first DNS name of its certificate. Up to 253 letters, digits, '-', '_', '.'.
	Name string
	// Listen is the host:port to bind. Port 0 picks a free one, see Mesh.Addr.
	Listen string
	// Cert, Key and CA are PEM files of at most 1 MiB: the certificate with what is between it and the CA, its
	// private key, which others must not be able to read, and the certificates of the CA. The certificate is
	// for servers and clients.
	Cert, Key, CA string
	// Admit says whether the node of that name may talk to us. It is asked once for each connection, from
	// many goroutines, and must not wait. Nil admits whoever the CA signed.
	Admit func(name string) bool
	// Log is told who was refused, and why. Nil tells nobody.
	Log *slog.Logger

	// HandshakeTimeout covers an accepted connection until Raft or the HTTP server has it.
	HandshakeTimeout time.Duration
	// LayerWait is how long of that it may wait until Raft or calls are open.
	LayerWait time.Duration
	// DialTimeout covers a call's dial until the other node has let us in. Raft brings its own.
	DialTimeout time.Duration
	// MaxConns is how many accepted connections there are at most, for Raft and for calls each: no number of
	// calls keeps Raft from connecting.
	MaxConns int
	// MaxHandshakes is how many accepted connections there are at most that have not yet said who they are.
	MaxHandshakes int
}

func (c *Config) setDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Admit == nil {
		c.Admit = func(string) bool { return true }
	}
	def(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	def(&c.LayerWait, min(DefaultLayerWait, c.HandshakeTimeout/2))
	def(&c.DialTimeout, DefaultDialTimeout)
	def(&c.MaxConns, DefaultMaxConns)
	def(&c.MaxHandshakes, DefaultMaxHandshakes)
}

func def[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

func (c *Config) validate() error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	if c.HandshakeTimeout < 0 || c.DialTimeout < 0 || c.LayerWait < 0 {
		return fmt.Errorf("handshake timeout %s, wait for a layer %s, dial timeout %s: expected more than 0", c.HandshakeTimeout, c.LayerWait, c.DialTimeout)
	}
	if c.MaxConns < 0 || c.MaxHandshakes < 0 {
		return fmt.Errorf("at most %d connections and %d handshakes: expected more than 0", c.MaxConns, c.MaxHandshakes)
	}
	return nil
}

// checkName refuses a name that a certificate could not carry as a DNS name, or that Target could not hold.
func checkName(name string) error {
	if len(name) < 1 || len(name) > 253 {
		return fmt.Errorf("node name of %d bytes: expected 1 to 253", len(name))
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return fmt.Errorf("node name %q: expected letters, digits, '-', '_' and '.' only", name)
		}
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("node name %q: expected a DNS name, such as n1 or n1.registry.example", name)
		}
	}
	if net.ParseIP(name) != nil {
		return fmt.Errorf("node name %q: expected a name, not an address", name)
	}
	return nil
}
