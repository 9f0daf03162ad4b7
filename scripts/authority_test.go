package scripts_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signer is an authority that an operator has already: it signs authorities below it, and nodes.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

// newRoot makes the authority that the nodes are told to believe.
func newRoot(t *testing.T) *signer {
	t.Helper()
	s := &signer{t: t, key: keyOf(t, "ECDSA")}
	s.cert = s.sign(authorityFor("Example root"), s.key)
	return s
}

// below makes an authority whose certificate s signs.
func (s *signer) below(name string) *signer {
	s.t.Helper()
	key := keyOf(s.t, "ECDSA")
	return &signer{t: s.t, cert: s.sign(authorityFor(name), key), key: key}
}

func authorityFor(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
}

// sign makes a certificate for key, which a root signs for itself.
func (s *signer) sign(template *x509.Certificate, key crypto.Signer) *x509.Certificate {
	s.t.Helper()
	parent := s.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	return cert
}

// equip writes cert.pem, with the authority's own certificate after the node's, and key.pem of a new key.
func (s *signer) equip(dir, name, algorithm string) {
	s.t.Helper()
	key := keyOf(s.t, algorithm)
	cert := s.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "A machine of the ministry"}, DNSNames: []string{name, name + ".registry.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	write(s.t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	write(s.t, filepath.Join(dir, "cert.pem"), certificates(cert, s.cert))
}

func certificates(certs ...*x509.Certificate) string {
	var text strings.Builder
	for _, c := range certs {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return text.String()
}

func keyOf(t *testing.T, algorithm string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch algorithm {
	case "ECDSA":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RSA":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("key of %s", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// write has mode 0600, as keys must.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// byHand is the settings of one node, as an operator writes them who never ran dcann cluster init. The values are
// not quoted, the paths are relative, and what has a default is left out.
const byHand = `name: %[1]s
country: xa
data: data
http: 127.0.0.1:740%[2]d
policy: ../policy.jwt
node-listen: 127.0.0.1:750%[2]d
node: [n1=127.0.0.1:7501, n2=127.0.0.1:7502, n3=127.0.0.1:7503]
node-cert: cert.pem
node-key: key.pem
node-ca: ../root.pem
`

// TestOwnAuthority: who has a certificate authority of their own writes by hand what dcann cluster init would. The
// nodes are told the root alone; their certificates are of authorities below it, and their keys of different kinds.
func TestOwnAuthority(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	root := newRoot(t)
	issuing := root.below("Example issuing 1")
	write(t, filepath.Join(d.dir, "D", "root.pem"), certificates(root.cert))
	d.typed("dcann key new --out accreditation.pem")
	d.typed("dcann policy new --country xa --key accreditation.pem --out D/policy.jwt")
	for i, algorithm := range []string{"ECDSA", "RSA", "Ed25519"} {
		name := fmt.Sprintf("n%d", i+1)
		dir := filepath.Join(d.dir, "D", name)
		issuing.equip(dir, name, algorithm)
		write(t, filepath.Join(dir, "node.yaml"), d.here(fmt.Sprintf(byHand, name, i+1)))
		d.start("D/" + name + "/node.yaml")
	}
	d.awaitHealthy("D/n1", 3)
	if out := d.typed("dcann cluster status --config D/n2/node.yaml"); strings.Count(out, " voter ") != 2 || strings.Count(out, " leader ") != 1 {
		t.Errorf("expected a leader and two that vote:\n%s", out)
	}
	if out := d.typed("dcann cluster check --config D/n3/node.yaml"); !strings.Contains(out, "equal: hashes of 3 nodes") {
		t.Errorf("the nodes are not equal:\n%s", out)
	}
	w := d.write("7401", "7402", "7403")
	// A further certificate is of another authority below the root, and is taken up without a restart.
	root.below("Example issuing 2").equip(filepath.Join(d.dir, "D", "n1"), "n1", "RSA")
	d.await("n1 takes up its files", func() bool {
		return strings.Contains(d.nodes["D/n1/node.yaml"].log.String(), "node certificate reloaded")
	})
	d.stop("D/n2/node.yaml")
	d.start("D/n2/node.yaml")
	d.awaitHealthy("D/n2", 3)
	d.holds(w.end(), "7401", "7402", "7403")
}
