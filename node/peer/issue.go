package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

const (
	// AuthorityValidity is how long the certificate of a new Authority is valid: about ten years.
	AuthorityValidity = 10 * 365 * 24 * time.Hour
	// backdate lets a node whose clock is slow accept a certificate that was just made.
	backdate = 5 * time.Minute
)

// Authority is the certificate authority for the nodes of one registry: whoever has its key can make
// itself a node. Its keys, and those that it issues, are P-256. Safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one with a new key, valid from now for AuthorityValidity.
func NewAuthority(commonName string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(AuthorityValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs nodes, and no other authority
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %q: %w", commonName, err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// LoadAuthority reads what Authority.PEM wrote. certsPEM may hold further certificates, of other authorities:
// the one of the key is taken.
func LoadAuthority(certsPEM, keyPEM []byte) (*Authority, error) {
	certs, err := parseCerts(certsPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	for _, cert := range certs {
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(certToPEM(cert), keyPEM); err != nil {
			continue
		}
		if !cert.IsCA {
			return nil, fmt.Errorf("certificate authority: the certificate of %q is not one of an authority", cert.Subject.CommonName)
		}
		key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
		if !ok {
			return nil, errors.New("certificate authority: expected an ECDSA key")
		}
		return &Authority{cert: cert, key: key}, nil
	}
	return nil, fmt.Errorf("certificate authority: no certificate of %d is of its key: %w", len(certs), err)
}

// Issued reports whether the authority signed the first certificate of certPEM.
func (a *Authority) Issued(certPEM []byte) (bool, error) {
	certs, err := parseCerts(certPEM)
	if err != nil {
		return false, err
	}
	return certs[0].CheckSignatureFrom(a.cert) == nil, nil
}

// Expires is until when the authority's own certificate is valid, and so every one that it issues.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// parseCerts reads at least one certificate.
func parseCerts(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a PEM block is a %.40q: expected a CERTIFICATE", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate: expected one as PEM")
	}
	return certs, nil
}

// PEM is the certificate, which every node gets as its CA file, and the private key (PKCS #8), which no
// node gets.
func (a *Authority) PEM() (cert, key []byte, err error) {
	if key, err = keyToPEM(a.key); err != nil {
		return nil, nil, err
	}
	return certToPEM(a.cert), key, nil
}

// Issue makes a certificate, with a new key, for the node of that name: its DNS names are the name, then
// the hosts, of which those that are IP addresses become such. It is for servers and clients. It does not
// outlive the authority's own: then it is valid for less than was asked.
func (a *Authority) Issue(name string, hosts []string, now time.Time, validity time.Duration) (certPEM, keyPEM []byte, err error) {
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	notBefore, notAfter := now.Add(-backdate), now.Add(validity)
	if notBefore.Before(a.cert.NotBefore) {
		notBefore = a.cert.NotBefore
	}
	if notAfter.After(a.cert.NotAfter) {
		notAfter = a.cert.NotAfter
	}
	if !notAfter.After(now) {
		return nil, nil, fmt.Errorf("certificate for %s would end on %s, before it begins (authority's own: %s)", name, notAfter.UTC().Format(time.RFC3339), a.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{name},
		NotBefore:   notBefore,
		NotAfter:    notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if !slices.Contains(template.DNSNames, host) {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate for %s: %w", name, err)
	}
	if keyPEM, err = keyToPEM(key); err != nil {
		return nil, nil, err
	}
	return certToPEM(cert), keyPEM, nil
}

// sign makes a certificate for key. The library draws the serial number.
func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func certToPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func keyToPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
