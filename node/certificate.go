package node

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certificateEvery is how often the files of a certificate are looked at for a change.
const certificateEvery = 10 * time.Second

// certificate is a TLS key pair that follows its files. Safe for concurrent use, but for reload, which
// one goroutine calls.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
	seen              [2]fileStamp // of what was last tried, good or bad
}

// fileStamp changes when a file is written anew or another is put in its place.
type fileStamp struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.ModTime(), info.Size(), info.Mode().Perm()}, nil
}

// openCertificate loads the pair for the first time. The error's kind is Invalid.
func openCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if _, err := c.reload(); err != nil {
		return nil, invalid("%v", err)
	}
	return c, nil
}

// reload loads the pair if a file changed since the last try. After an error the pair in use stays.
func (c *certificate) reload() (changed bool, err error) {
	var stamps [2]fileStamp
	for i, path := range []string{c.certFile, c.keyFile} {
		if stamps[i], err = stampOf(path); err != nil {
			return false, fmt.Errorf("TLS certificate: %w", err)
		}
	}
	if stamps == c.seen {
		return false, nil
	}
	c.seen = stamps
	if stamps[1].mode&0o007 != 0 {
		return false, fmt.Errorf("TLS key %s has mode %04o: everybody can read it; expected 0600 or 0640 (chmod 600 %s)", c.keyFile, stamps[1].mode, c.keyFile)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return false, fmt.Errorf("TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
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
