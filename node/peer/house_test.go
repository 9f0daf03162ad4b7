package peer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// house is the folder of one registry's certificates, and its authority.
type house struct {
	dir       string
	authority *Authority
}

func newHouse(t *testing.T) *house {
	t.Helper()
	a, err := NewAuthority("test", time.Now().Add(-100*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{dir: t.TempDir(), authority: a}
	cert, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	write(t, h.path("ca"), cert)
	return h
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name+".pem") }

// issue writes the files of a node and gives the configuration that uses them.
func (h *house) issue(t *testing.T, name string) Config {
	t.Helper()
	return h.issueAt(t, name, h.authority, time.Now(), name)
}

// issueAt writes name's files with a certificate for subject, made at that time for a day.
func (h *house) issueAt(t *testing.T, name string, by *Authority, at time.Time, subject string) Config {
	t.Helper()
	cert, key, err := by.Issue(subject, []string{"localhost", "127.0.0.1"}, at, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Name: name, Listen: "127.0.0.1:0", Cert: h.path(name + "-cert"), Key: h.path(name + "-key"), CA: h.path("ca")}
	write(t, c.Cert, cert)
	write(t, c.Key, key)
	return c
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	// A new file in its place, as an operator's tool does it: its time differs from the former's.
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, c Config) *Mesh {
	t.Helper()
	m, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// clientConfig is what a stranger with these files would dial with.
func clientConfig(t *testing.T, c Config) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: pool, ServerName: "n1", MinVersion: tls.VersionTLS12}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		// Unlike Certificates, this sends it also to a server that does not name its issuer.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// eventually waits for a condition; what the test then says is in want.
func eventually(t *testing.T, want string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("expected %s", want)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (m *Mesh) counted(k kind) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count[k]
}

func (m *Mesh) listed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.links)
}

// expectEnd fails unless the other end closes the connection without saying anything more to us in clear.
func expectEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 512)
	for {
		_, err := conn.Read(b)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Fatal("the connection is still open")
		}
		if err != nil {
			return
		}
	}
}

func mention(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, expected one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, expected it to mention %q", err, part)
		}
	}
}
