package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"

	"filippo.io/edwards25519"
	"github.com/mr-tron/base58"
)

// Algorithm is the value of alg in a header, and what a key is for.
type Algorithm string

// The algorithms of DESIGN 4. There are no others, and none is a default.
const (
	Ed25519 Algorithm = "Ed25519" // RFC 9864; the older name EdDSA is refused
	ES256   Algorithm = "ES256"   // ECDSA on P-256 with SHA-256, RFC 7518
)

// Multikey is a public key as text: "z" (base58btc) and the encoding of multicodec and key bytes, 48
// characters beginning z6Mk for Ed25519, 49 beginning zDn for P-256 (W3C Controlled Identifiers).
// The type says what a text claims to be; only [ParseMultikey] says that it is one.
type Multikey string

// MaxMultikeyLen is the length in bytes of the longest Multikey.
const MaxMultikeyLen = 49

// SignatureLen is the length in bytes of a signature of either algorithm.
const SignatureLen = 64

// The codecs as unsigned varints: 0xed (ed25519-pub) and 0x1200 (p256-pub).
const (
	codecEd25519 = "\xed\x01"
	codecP256    = "\x80\x24"
)

// halfOrder is (n-1)/2 for the order n of P-256, big-endian: the largest s that is low.
var halfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1).FillBytes(make([]byte, 32))

// PublicKey is a key that was checked when it was made: there is no other way to get one. The zero
// value is no key and verifies nothing. Compare keys by [PublicKey.Multikey].
type PublicKey struct {
	text Multikey
	alg  Algorithm
	ed   ed25519.PublicKey
	p256 *ecdsa.PublicKey
}

// ParseMultikey reads a key in its one spelling. An Ed25519 key must be the canonical encoding of a
// point of the prime-order subgroup, so neither of small nor of mixed order and with y < p; a P-256
// key must be the compressed encoding of a point of the curve. The error's kind is Invalid.
//
// It costs about a third of what verifying a signature does for Ed25519, and less for P-256 (BenchmarkParseMultikey). It is pure: keep the result where the same key comes again.
func ParseMultikey(s string) (PublicKey, error) {
	if len(s) == 0 || len(s) > MaxMultikeyLen || s[0] != 'z' {
		return PublicKey{}, invalid("key %s: expected a Multikey, z6Mk… or zDn…, of at most %d bytes", quoted(s), MaxMultikeyLen)
	}
	raw, err := base58.Decode(s[1:])
	if err != nil {
		return PublicKey{}, invalid("key %s: expected base58btc after the z", quoted(s))
	}
	if len(raw) < 2 {
		return PublicKey{}, invalid("key %s: no multicodec, expected ed25519-pub or p256-pub", quoted(s))
	}
	var k PublicKey
	switch codec, body := string(raw[:2]), raw[2:]; codec {
	case codecEd25519:
		k, err = newEd25519(body)
	case codecP256:
		k, err = newP256(body)
	default:
		return PublicKey{}, invalid("key %s: multicodec bytes %x, expected ed25519-pub (ed01) or p256-pub (8024)", quoted(s), codec)
	}
	if err != nil {
		return PublicKey{}, invalid("key %s: %v", quoted(s), err)
	}
	// Leading ones, which are zero bytes, fail at the codec already; this holds whatever the decoder lets pass.
	if string(k.text) != s {
		return PublicKey{}, invalid("key %s: the canonical spelling is %s", quoted(s), k.text)
	}
	return k, nil
}

// NewPublicKey takes an ed25519.PublicKey or an *ecdsa.PublicKey on P-256 and makes the checks of
// [ParseMultikey]. The error's kind is Invalid.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	var k PublicKey
	var err error
	switch key := key.(type) {
	case ed25519.PublicKey:
		k, err = newEd25519(key)
	case *ecdsa.PublicKey:
		// Bytes panics on a key without coordinates.
		//lint:ignore SA1019 they are only compared with nil
		if key == nil || key.Curve != elliptic.P256() || key.X == nil || key.Y == nil {
			return PublicKey{}, invalid("ECDSA key: expected one on P-256")
		}
		// Bytes refuses a point that is not on the curve.
		point, perr := key.Bytes()
		if perr != nil {
			return PublicKey{}, invalid("ECDSA key: %v", perr)
		}
		compressed := append([]byte{2 | point[64]&1}, point[1:33]...)
		k, err = newP256(compressed)
	default:
		return PublicKey{}, invalid("key of type %T: expected Ed25519 or ECDSA on P-256", key)
	}
	if err != nil {
		return PublicKey{}, invalid("key: %v", err)
	}
	return k, nil
}

func newEd25519(b []byte) (PublicKey, error) {
	if len(b) != ed25519.PublicKeySize {
		return PublicKey{}, invalid("%d bytes, expected %d for Ed25519", len(b), ed25519.PublicKeySize)
	}
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		return PublicKey{}, invalid("not a point of the Ed25519 curve")
	}
	// SetBytes takes y ≥ p, as the standard library's verification does. It also takes a sign on x = 0, but
	// the points with that x are of order 1 and 2, and fall to the next check.
	if !belowFieldPrime(b) {
		return PublicKey{}, invalid("not the canonical encoding of its Ed25519 point: y is not below 2^255-19")
	}
	if !inPrimeOrderSubgroup(p) {
		return PublicKey{}, invalid("an Ed25519 point of small or mixed order, expected one of the prime-order subgroup")
	}
	return PublicKey{text: multikey(codecEd25519, b), alg: Ed25519, ed: bytes.Clone(b)}, nil
}

// belowFieldPrime reports whether y, little-endian with the sign of x in its top bit, is below 2^255-19.
// It is asked instead of encoding the point again, which costs a field inversion.
func belowFieldPrime(b []byte) bool {
	if b[31]&0x7f != 0x7f || b[0] < 0xed {
		return true
	}
	for _, c := range b[1:31] {
		if c != 0xff {
			return true
		}
	}
	return false
}

func newP256(b []byte) (PublicKey, error) {
	if len(b) != 33 || b[0] != 2 && b[0] != 3 {
		return PublicKey{}, invalid("%d bytes, expected 33 for a compressed P-256 point", len(b))
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), b)
	if x == nil {
		return PublicKey{}, invalid("not a point of P-256")
	}
	point := make([]byte, 65)
	point[0] = 4
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return PublicKey{}, invalid("not a point of P-256")
	}
	return PublicKey{text: multikey(codecP256, b), alg: ES256, p256: key}, nil
}

func multikey(codec string, key []byte) Multikey {
	var buf [2 + 33]byte
	raw := append(append(buf[:0], codec...), key...)
	return Multikey("z" + base58.Encode(raw))
}

// Multikey is the key's one spelling, empty for the zero value.
func (k PublicKey) Multikey() Multikey { return k.text }

// Algorithm is the only one the key may be used with, empty for the zero value.
func (k PublicKey) Algorithm() Algorithm { return k.alg }

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k.alg == "" }

// String is the Multikey.
func (k PublicKey) String() string { return string(k.text) }

// Verify checks sig over signingInput (DESIGN 4). The error's kind is BadSignature.
func (k PublicKey) Verify(signingInput, sig []byte) error {
	if err := k.checkForm(sig); err != nil {
		return err
	}
	var ok bool
	switch k.alg {
	case Ed25519:
		ok = ed25519.Verify(k.ed, signingInput, sig)
	case ES256:
		digest := sha256.Sum256(signingInput)
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		ok = ecdsa.Verify(k.p256, digest[:], r, s)
	}
	if !ok {
		return badSignature("the signature is not by the key %s over this content", k.text)
	}
	return nil
}

// checkForm checks what can be said of a signature without its content.
func (k PublicKey) checkForm(sig []byte) error {
	if k.IsZero() {
		return badSignature("no key to verify with")
	}
	if len(sig) != SignatureLen {
		return badSignature("signature of %d bytes, expected %d", len(sig), SignatureLen)
	}
	// With s, n-s would verify too: a third party could make a second signature from a first.
	if k.alg == ES256 && bytes.Compare(sig[32:], halfOrder) > 0 {
		return badSignature("P-256 signature with a high s, expected the low one, n-s")
	}
	return nil
}
