package jws

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
)

// Signer makes signatures: a [PrivateKey], or a key in hardware. Sign gets the signing input, not its
// hash, and returns 64 bytes: for P-256 r‖s with low s. It may be called concurrently.
type Signer interface {
	Public() PublicKey
	Sign(signingInput []byte) ([]byte, error)
}

// maxPEM bounds a private key's file, in bytes; one of either algorithm is about 250.
const maxPEM = 4096

const pemType = "PRIVATE KEY"

// PrivateKey is a [Signer] that holds its secret in memory. Formatted or logged in any way it shows
// its public Multikey only. The zero value is no key. It is safe for concurrent use.
type PrivateKey struct {
	public PublicKey
	// Behind a function: fmt does not call the methods of a value in an unexported field, but prints
	// what it holds, for a verb that does not fit (%s) even what a pointer points to. Of a function it
	// has nothing but the address.
	secret func() secret
}

type secret struct {
	ed   ed25519.PrivateKey
	p256 *ecdsa.PrivateKey
}

// GenerateKey makes a key from the system's random source. The error's kind is Invalid when alg is none
// of the two.
func GenerateKey(alg Algorithm) (PrivateKey, error) {
	switch alg {
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return PrivateKey{}, fmt.Errorf("generate an Ed25519 key: %w", err)
		}
		return newPrivateKey(key)
	case ES256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return PrivateKey{}, fmt.Errorf("generate a P-256 key: %w", err)
		}
		return newPrivateKey(key)
	}
	return PrivateKey{}, invalid("generate a key: algorithm %s, expected Ed25519 or ES256", quoted(string(alg)))
}

// ParsePrivateKey reads a PKCS#8 key in PEM (RFC 5958, RFC 7468): exactly one block, of type PRIVATE
// KEY, without headers and without text around it, at most 4 KiB. The error's kind is Invalid or TooLarge,
// and it never quotes the key.
func ParsePrivateKey(pemBytes []byte) (PrivateKey, error) {
	if len(pemBytes) > maxPEM {
		return PrivateKey{}, &Error{TooLarge, tooLong("private key", len(pemBytes), maxPEM)}
	}
	text := bytes.TrimSpace(pemBytes)
	block, rest := pem.Decode(text)
	switch {
	case block == nil || !bytes.HasPrefix(text, []byte("-----BEGIN ")):
		return PrivateKey{}, invalid("private key: expected one PEM block BEGIN %s and no text before it", pemType)
	case block.Type != pemType:
		return PrivateKey{}, invalid("private key: PEM block %s, expected %s (PKCS#8, not encrypted)", quoted(block.Type), pemType)
	case len(block.Headers) > 0:
		return PrivateKey{}, invalid("private key: the PEM block has headers, expected none")
	case len(bytes.TrimSpace(rest)) > 0:
		return PrivateKey{}, invalid("private key: text after the PEM block, expected exactly one block")
	}
	// x509 ignores what follows the key.
	var whole asn1.RawValue
	after, err := asn1.Unmarshal(block.Bytes, &whole)
	if err == nil && len(after) > 0 {
		return PrivateKey{}, invalid("private key: %d bytes after the key in the PEM block, expected none", len(after))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return PrivateKey{}, invalid("private key: not PKCS#8 of a key this program knows, expected Ed25519 or P-256")
	}
	return newPrivateKey(key)
}

func newPrivateKey(key any) (PrivateKey, error) {
	var k PrivateKey
	var err error
	switch key := key.(type) {
	case ed25519.PrivateKey:
		k.secret = func() secret { return secret{ed: key} }
		k.public, err = NewPublicKey(key.Public())
	case *ecdsa.PrivateKey:
		k.secret = func() secret { return secret{p256: key} }
		k.public, err = NewPublicKey(&key.PublicKey)
	default:
		err = invalid("%T, expected Ed25519 or P-256", key)
	}
	if err != nil {
		return PrivateKey{}, invalid("private key: %v", err)
	}
	return k, nil
}

// PEM writes the key as [ParsePrivateKey] reads it. The error's kind is Invalid for the zero value.
func (k PrivateKey) PEM() ([]byte, error) {
	var der []byte
	var err error
	switch k.public.alg {
	case Ed25519:
		der, err = x509.MarshalPKCS8PrivateKey(k.secret().ed)
	case ES256:
		der, err = x509.MarshalPKCS8PrivateKey(k.secret().p256)
	default:
		return nil, invalid("private key: none to write")
	}
	if err != nil {
		return nil, fmt.Errorf("write the private key of %s: %w", k.public, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// Public is the key that verifies what k signs.
func (k PrivateKey) Public() PublicKey { return k.public }

// Sign implements [Signer]. Ed25519 signatures are deterministic, P-256 ones are not. The error's kind is
// Invalid for the zero value.
func (k PrivateKey) Sign(signingInput []byte) ([]byte, error) {
	switch k.public.alg {
	case Ed25519:
		return ed25519.Sign(k.secret().ed, signingInput), nil
	case ES256:
		digest := sha256.Sum256(signingInput)
		r, s, err := ecdsa.Sign(rand.Reader, k.secret().p256, digest[:])
		if err != nil {
			return nil, fmt.Errorf("sign with %s: %w", k.public, err)
		}
		return lowS(r, s), nil
	}
	return nil, invalid("sign: no private key")
}

// lowS writes r‖s with the lower of s and n-s, the one that verifiers accept.
func lowS(r, s *big.Int) []byte {
	sig := make([]byte, SignatureLen)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	if bytes.Compare(sig[32:], halfOrder) > 0 {
		new(big.Int).Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	}
	return sig
}

// String shows the public key only.
func (k PrivateKey) String() string { return "private key of " + string(k.public.text) }

// GoString shows the public key only.
func (k PrivateKey) GoString() string { return "jws.PrivateKey(" + string(k.public.text) + ")" }

// LogValue shows the public key only.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }
