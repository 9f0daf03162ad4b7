package peer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// maxPEM is the size of the largest file that is read, in bytes.
const maxPEM = 1 << 20

// identity is what a node shows of itself and whom it believes. It never changes.
type identity struct {
	pair tls.Certificate
	ca   *x509.CertPool
}

// load reads the three files and refuses what other nodes would refuse: then the operator hears of it here,
// with the file's name, and not from all the other nodes at once.
func (c *Config) load(now time.Time) (*identity, error) {
	pair, err := LoadPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("node-%w", err)
	}
	caPEM, err := readPEM(c.CA)
	if err != nil {
		return nil, fmt.Errorf("node-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(caPEM) {
		return nil, fmt.Errorf("node-ca %s: expected at least one certificate in PEM", c.CA)
	}
	if err := c.check(&pair, pool, now); err != nil {
		return nil, err
	}
	return &identity{pair: pair, ca: pool}, nil
}

func (c *Config) check(pair *tls.Certificate, pool *x509.CertPool, now time.Time) error {
	leaf := pair.Leaf
	if !slices.Contains(leaf.DNSNames, c.Name) {
		return fmt.Errorf("node-cert %s is for %s, expected %q", c.Cert, quoted(leaf.DNSNames), c.Name)
	}
	if leaf.DNSNames[0] != c.Name {
		return fmt.Errorf("node-cert %s is for %s: other nodes would take this one for %q, expected %q as the first name", c.Cert, quoted(leaf.DNSNames), leaf.DNSNames[0], c.Name)
	}
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("node-cert %s expired on %s", c.Cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("node-cert %s is valid only from %s", c.Cert, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			return fmt.Errorf("node-cert %s, expected one signed by %s, for servers and clients: %w", c.Cert, c.CA, err)
		}
	}
	return nil
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "no DNS name"
	}
	return `"` + strings.Join(names, `", "`) + `"`
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readCapped(f)
}

func readCapped(f *os.File) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, err
	}
	if n > maxPEM {
		return nil, fmt.Errorf("%s: expected at most %d bytes", f.Name(), maxPEM)
	}
	return b.Bytes(), nil
}

// readKey looks at the mode of the file that it reads, not of one that had its name a moment ago.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: everybody can read it; expected 0600 or 0640 (chmod 600 %s)", path, mode, path)
	}
	return readCapped(f)
}

// tlsConfig is for one connection: without tickets and a session cache, each is verified in full, by the
// certificates of now.
func (id *identity) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.pair},
		RootCAs:                id.ca,
		ClientCAs:              id.ca,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true,
	}
}

// Reload looks at the three files, and if one changed, new connections use the new set. A set that Open
// would refuse is refused here too, once: the error comes again only after another change, while a set
// that becomes good by itself (a certificate of the near future) is taken when it is. Connections that
// exist live on until closed, also those of a node whose certificate is no longer valid.
func (m *Mesh) Reload() (changed bool, err error) {
	m.reloading.Lock()
	defer m.reloading.Unlock()
	fresh, err := m.seen.Changed(m.config.Cert, m.config.Key, m.config.CA)
	if err != nil {
		return false, fmt.Errorf("node-cert, node-key or node-ca: %w", err)
	}
	if !fresh && !m.refused {
		return false, nil
	}
	id, err := m.config.load(time.Now())
	m.refused = err != nil
	switch {
	case err != nil && !fresh:
		return false, nil
	case err != nil:
		return false, err
	}
	m.identity.Store(id)
	return true, nil
}
