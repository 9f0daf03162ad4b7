package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
)

// writeCertificate writes a self-signed pair for 127.0.0.1 with a serial number, and moves its time so
// that files written within a clock tick differ.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_700_000_000+serial, 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writeCertificate(t, certFile, keyFile, 1)
	c, err := openCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		pair, err := c.config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	if changed, err := c.reload(); changed || err != nil {
		t.Errorf("nothing changed, but: %v, %v", changed, err)
	}
	writeCertificate(t, certFile, keyFile, 2)
	if changed, err := c.reload(); !changed || err != nil || serial() != 2 {
		t.Errorf("after a change: %v, %v, serial %d", changed, err, serial())
	}
	// Half of a change: the certificate is new, the key is not. The old pair stays until both fit.
	writeCertificate(t, certFile, filepath.Join(dir, "other.pem"), 3)
	if _, err := c.reload(); err == nil || serial() != 2 {
		t.Errorf("a pair that does not fit: %v, serial %d: expected an error and the old pair", err, serial())
	}
	if err := os.Rename(filepath.Join(dir, "other.pem"), keyFile); err != nil {
		t.Fatal(err)
	}
	if changed, err := c.reload(); !changed || err != nil || serial() != 3 {
		t.Errorf("the other half: %v, %v, serial %d", changed, err, serial())
	}
}

func TestCertificateThatIsNotThere(t *testing.T) {
	t.Parallel()
	if _, err := openCertificate("none.pem", "none.key"); err == nil {
		t.Error("expected an error")
	}
}

// TestKeyThatAllCanRead: a key that somebody else may have copied is refused, and one that is missing is a
// mistake in the configuration.
func TestKeyThatAllCanRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writeCertificate(t, certFile, keyFile, 1)
	for mode, want := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o644: false, 0o604: false} {
		if err := os.Chmod(keyFile, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := openCertificate(certFile, keyFile); (err == nil) != want || err != nil && !errors.Is(err, registry.Invalid) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if _, err := openCertificate(certFile, filepath.Join(dir, "none.pem")); !errors.Is(err, registry.Invalid) {
		t.Errorf("a key that is not there: %v: expected invalid", err)
	}
}
