package node

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/dcann/dcann/node/peer"
)

// certificateEvery is how often the files of a certificate are looked at for a change.
const certificateEvery = 10 * time.Second

// certificate is a TLS key pair that follows its files. Safe for concurrent use, but for reload, which
// one goroutine calls.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
	seen              peer.Stamps // of what was last tried, good or bad
}

// openCertificate loads the pair for the first time. The error's kind is Invalid, Unavailable for two that are no pair.
func openCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if _, err := c.reload(); err != nil {
		return nil, unopened("tls-cert", err)
	}
	return c, nil
}

// reload loads the pair if a file changed since the last try. After an error the pair in use stays.
func (c *certificate) reload() (changed bool, err error) {
	changed, err = c.seen.Changed(c.certFile, c.keyFile)
	if err != nil {
		return false, fmt.Errorf("tls-cert or tls-key: %w", err)
	}
	if !changed {
		return false, nil
	}
	pair, err := peer.LoadPair(c.certFile, c.keyFile)
	if err != nil {
		return false, fmt.Errorf("tls-%w", err)
	}
	c.current.Store(&pair)
	return true, nil
}

// follow is one look at the files, for the housekeeping.
func (c *certificate) follow(log *slog.Logger) {
	switch changed, err := c.reload(); {
	case err != nil:
		log.Error("certificate not reloaded, the old one stays", "error", err)
	case changed:
		log.Info("certificate reloaded", "file", c.certFile, "expires", c.current.Load().Leaf.NotAfter)
	}
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
