package jws

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"math/big"
	"slices"
	"testing"

	"filippo.io/edwards25519"
)

func TestVerifyOtherAlgorithm(t *testing.T) {
	t.Parallel()
	ed, m := message(t, Ed25519)
	es, n := message(t, ES256)
	wantError(t, m.Verify(es.Public()), BadSignature, `alg is "Ed25519", but the key zDn`)
	wantError(t, n.Verify(ed.Public()), BadSignature, `alg is "ES256", but the key z6Mk`)
	wantError(t, m.Verify(PublicKey{}), BadSignature, "no key")
	wantError(t, PublicKey{}.Verify(m.SigningInput(), m.Signature()), BadSignature, "no key")

	// A header of one algorithm, signed truly by a key of the other.
	header := []byte(`{"alg":"ES256","kid":"` + m.Header().Kid + `","typ":"t"}`)
	sig, err := ed.Sign(FromParts(header, []byte("{}"), nil).SigningInput())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := Parse([]byte(FromParts(header, []byte("{}"), sig).Compact()), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := ed.Public().Verify(forged.SigningInput(), forged.Signature()); err != nil {
		t.Fatalf("the signature itself should be good: %v", err)
	}
	wantError(t, forged.Verify(ed.Public()), BadSignature, "alg")

	// Another key, and another message.
	other, k := message(t, Ed25519)
	wantError(t, m.Verify(other.Public()), BadSignature, "not by the key")
	wantError(t, FromParts(m.rawHeader, k.payload, m.sig).Verify(ed.Public()), BadSignature, "not by the key")
}

func TestVerifyP256Signatures(t *testing.T) {
	t.Parallel()
	key, m := message(t, ES256)
	order := elliptic.P256().Params().N
	number := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
	zero, one := make([]byte, 32), number(big.NewInt(1))
	r, s := m.sig[:32], m.sig[32:]
	der, err := key.secret().p256.Sign(rand.Reader, make([]byte, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		sig     []byte
		message string
	}{
		"high s":            {negateS(m.sig), "high s"},
		"lowest high s":     {slices.Concat(r, number(new(big.Int).Add(new(big.Int).SetBytes(halfOrder), big.NewInt(1)))), "high s"},
		"highest low s":     {slices.Concat(r, halfOrder), "not by the key"},
		"r zero":            {slices.Concat(zero, s), "not by the key"},
		"s zero":            {slices.Concat(r, zero), "not by the key"},
		"both zero":         {slices.Concat(zero, zero), "not by the key"},
		"both one":          {slices.Concat(one, one), "not by the key"},
		"r is n":            {slices.Concat(number(order), s), "not by the key"},
		"s is n":            {slices.Concat(r, number(order)), "high s"},
		"r is s":            {slices.Concat(s, s), "not by the key"},
		"swapped":           {slices.Concat(s, r), ""},
		"all ones":          {bytes.Repeat([]byte{0xff}, 64), "high s"},
		"DER":               {der, "expected 64"},
		"empty":             {nil, "0 bytes, expected 64"},
		"63 bytes":          {m.sig[:63], "63 bytes"},
		"65 bytes":          {append(bytes.Clone(m.sig), 0), "65 bytes"},
		"96 bytes, P-384's": {make([]byte, 96), "96 bytes"},
	} {
		err := key.Public().Verify(m.SigningInput(), c.sig)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantError(t, err, BadSignature, c.message)
	}
	if !ecdsa.Verify(key.Public().p256, digestOf(m), new(big.Int).SetBytes(r), new(big.Int).SetBytes(negateS(m.sig)[32:])) {
		t.Error("the high s should be good but for the rule")
	}
}

func digestOf(m Message) []byte {
	digest, err := ParseName(m.Name())
	if err != nil {
		panic(err)
	}
	return digest[:]
}

func TestVerifyEd25519Signatures(t *testing.T) {
	t.Parallel()
	key, m := message(t, Ed25519)
	public := key.Public()
	order := new(big.Int).Lsh(big.NewInt(1), 252)
	tail, ok := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	if !ok {
		t.Fatal("order")
	}
	order.Add(order, tail)
	s := new(big.Int).SetBytes(reversed(m.sig[32:]))
	tooBig := reversed(s.Add(s, order).FillBytes(make([]byte, 32)))

	// The signer adds a point of small order to R. A verifier that multiplies by the cofactor accepts
	// that, the standard library's does not; two sorts of verifiers in one registry would fork it.
	cofactored := cofactoredSignature(t, key.secret().ed, m.SigningInput())

	zero := make([]byte, 32)
	identity := append([]byte{1}, make([]byte, 31)...)
	for name, sig := range map[string][]byte{
		"S not below the order": slices.Concat(m.sig[:32], tooBig),
		"S zero":                slices.Concat(m.sig[:32], zero),
		"R the identity":        slices.Concat(identity, m.sig[32:]),
		"zeros":                 slices.Concat(identity, zero),
		"R not a point":         slices.Concat([]byte{2}, zero[:31], m.sig[32:]),
		"mixed order R":         cofactored,
		"empty":                 nil,
		"63 bytes":              m.sig[:63],
		"65 bytes":              append(bytes.Clone(m.sig), 0),
	} {
		if err := public.Verify(m.SigningInput(), sig); !errors.Is(err, BadSignature) {
			t.Errorf("%s: got %v, expected a bad signature", name, err)
		}
	}
	// Ed25519ph and Ed25519ctx are other schemes.
	digest := sha512.Sum512(m.SigningInput())
	for name, c := range map[string]struct {
		message []byte
		options *ed25519.Options
	}{
		"Ed25519ph":  {digest[:], &ed25519.Options{Hash: 7}},
		"Ed25519ctx": {m.SigningInput(), &ed25519.Options{Context: "dcann"}},
	} {
		sig, err := key.secret().ed.Sign(nil, c.message, c.options)
		if err != nil {
			t.Fatal(err)
		}
		if err := public.Verify(m.SigningInput(), sig); !errors.Is(err, BadSignature) {
			t.Errorf("%s: got %v, expected a bad signature", name, err)
		}
	}
}

func reversed(b []byte) []byte {
	out := bytes.Clone(b)
	slices.Reverse(out)
	return out
}

// cofactoredSignature is a signature whose R has a part of order 8. It checks that the cofactored
// equation 8sB = 8R + 8kA holds of it, so that the refusal is for the right reason.
func cofactoredSignature(tb testing.TB, key ed25519.PrivateKey, input []byte) []byte {
	tb.Helper()
	hash := func(parts ...[]byte) *edwards25519.Scalar {
		h := sha512.Sum512(slices.Concat(parts...))
		s, err := edwards25519.NewScalar().SetUniformBytes(h[:])
		if err != nil {
			tb.Fatal(err)
		}
		return s
	}
	expanded := sha512.Sum512(key.Seed())
	a, err := edwards25519.NewScalar().SetBytesWithClamping(expanded[:32])
	if err != nil {
		tb.Fatal(err)
	}
	public := []byte(key[32:])
	nonce := hash(expanded[32:], input)
	point := new(edwards25519.Point).ScalarBaseMult(nonce)
	point.Add(point, torsion(tb)[1])
	k := hash(point.Bytes(), public, input)
	s := edwards25519.NewScalar().MultiplyAdd(k, a, nonce)

	pub, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		tb.Fatal(err)
	}
	left := new(edwards25519.Point).ScalarBaseMult(s)
	right := new(edwards25519.Point).Add(point, new(edwards25519.Point).ScalarMult(k, pub))
	if left.Equal(right) == 1 || left.MultByCofactor(left).Equal(right.MultByCofactor(right)) != 1 {
		tb.Fatal("the signature is not one that only a cofactored check accepts")
	}
	return append(point.Bytes(), s.Bytes()...)
}
