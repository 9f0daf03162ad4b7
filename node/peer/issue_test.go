package peer

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

func TestAuthority(t *testing.T) {
	t.Parallel()
	now := time.Now()
	made, err := NewAuthority("Registry LT nodes", now)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := made.PEM()
	if err != nil {
		t.Fatal(err)
	}
	a, err := LoadAuthority(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	nodeCert, nodeKey, err := a.Issue("n1", []string{"n1.example", "10.0.0.1", "n1"}, now, 2*AuthorityValidity)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(nodeCert, nodeKey)
	if err != nil {
		t.Fatal(err)
	}
	if got := pair.Leaf.DNSNames; !slices.Equal(got, []string{"n1", "n1.example"}) || len(pair.Leaf.IPAddresses) != 1 {
		t.Errorf("names %q and %v", got, pair.Leaf.IPAddresses)
	}
	if pair.Leaf.NotAfter.After(made.cert.NotAfter) {
		t.Error("a certificate outlives the authority")
	}
	pool := x509.NewCertPool()
	pool.AddCert(made.cert)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}

	if _, err := LoadAuthority(nodeCert, nodeKey); err == nil {
		t.Error("a node's certificate was taken for an authority's")
	}
	if _, err := LoadAuthority(certPEM, nodeKey); err == nil {
		t.Error("another key was taken for the authority's")
	}
	if issued, err := a.Issued(nodeCert); !issued || err != nil {
		t.Errorf("its own certificate is not its own: %v", err)
	}
	next, err := NewAuthority("next", now)
	if err != nil {
		t.Fatal(err)
	}
	if issued, err := next.Issued(nodeCert); issued || err != nil {
		t.Errorf("another's certificate is its own, or %v", err)
	}
	if _, err := next.Issued(keyPEM); err == nil {
		t.Error("a key was taken for a certificate")
	}
	nextCert, nextKey, err := next.PEM()
	if err != nil {
		t.Fatal(err)
	}
	for _, bundle := range []string{string(nextCert) + string(certPEM), string(certPEM) + string(nextCert)} {
		if of, err := LoadAuthority([]byte(bundle), nextKey); err != nil || !of.cert.Equal(next.cert) {
			t.Errorf("of two authorities the one of the key is not found: %v", err)
		}
	}
	for _, name := range []string{"", "a b", "*.x", "10.0.0.1", "n1="} {
		if _, _, err := a.Issue(name, nil, now, time.Hour); err == nil {
			t.Errorf("a certificate was issued for %q", name)
		}
	}
	if _, _, err := a.Issue("n1", nil, now.Add(2*AuthorityValidity), time.Hour); err == nil {
		t.Error("a certificate was issued after the authority's end")
	}
}
