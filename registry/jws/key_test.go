package jws

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"filippo.io/edwards25519"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multicodec"
	"github.com/multiformats/go-varint"
)

// encodeKey writes any bytes as a Multikey, by the multiformats' own libraries.
func encodeKey(tb testing.TB, base multibase.Encoding, codec multicodec.Code, key []byte) string {
	tb.Helper()
	s, err := multibase.Encode(base, append(varint.ToUvarint(uint64(codec)), key...))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func fromHex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// wantError fails unless err is an *Error of the kind whose message holds part.
func wantError(tb testing.TB, err error, kind Kind, part string) {
	tb.Helper()
	var e *Error
	if !errors.As(err, &e) {
		tb.Fatalf("got error %v (%T), expected an *Error of kind %s", err, err, kind)
	}
	if !errors.Is(err, kind) {
		tb.Errorf("got kind %s (%v), expected %s", e.Kind, err, kind)
	}
	if !strings.Contains(err.Error(), part) {
		tb.Errorf("got message %q, expected it to hold %q", err, part)
	}
}

// The keys of RFC 8032 section 7.1, the did:key method's test vectors, and RFC 7515 appendix A.3.
func TestKnownMultikeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		alg  Algorithm
		key  string // hex, where the source gives it
	}{
		{"z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw", Ed25519, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},
		{"z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", Ed25519, ""},
		{"z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG", Ed25519, ""},
		{"zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv", ES256, ""},
		{"zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169", ES256, ""},
		{"", ES256, "037fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445"},
	} {
		codec := multicodec.Ed25519Pub
		if c.alg == ES256 {
			codec = multicodec.P256Pub
		}
		if c.key != "" {
			text := encodeKey(t, multibase.Base58BTC, codec, fromHex(t, c.key))
			if c.text != "" && text != c.text {
				t.Errorf("the multiformats libraries write %s, expected %s", text, c.text)
			}
			c.text = text
		}
		k, err := ParseMultikey(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if k.Algorithm() != c.alg || string(k.Multikey()) != c.text || k.String() != c.text || k.IsZero() {
			t.Errorf("got %s, %s, zero %v; expected %s, %s", k.Algorithm(), k.Multikey(), k.IsZero(), c.alg, c.text)
		}
	}
}

func TestMultikeyForm(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey(Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	ed := []byte(key.Public().ed)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	full, err := p256.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	compressed := append([]byte{2 | full[64]&1}, full[1:33]...)
	good := string(key.Public().Multikey())
	b58 := multibase.Encoding(multibase.Base58BTC)

	for name, c := range map[string]struct{ text, message string }{
		"empty":                 {"", "Multikey"},
		"z alone":               {"z", "base58btc"},
		"one byte":              {"z5", "multicodec"},
		"no multibase":          {good[1:], "Multikey"},
		"upper-case multibase":  {"Z" + good[1:], "Multikey"},
		"flickr alphabet":       {encodeKey(t, multibase.Base58Flickr, multicodec.Ed25519Pub, ed), "Multikey"},
		"base64url":             {encodeKey(t, multibase.Base64url, multicodec.Ed25519Pub, ed), "Multikey"},
		"base16":                {encodeKey(t, multibase.Base16, multicodec.Ed25519Pub, ed), "Multikey"},
		"letter outside base58": {good[:10] + "0" + good[11:], "base58btc"},
		"not ASCII":             {good[:10] + "é" + good[12:], "base58btc"},
		"space after":           {good + " ", "base58btc"},
		"newline after":         {good + "\n", "base58btc"},
		"NUL":                   {good[:47] + "\x00", "base58btc"},
		"leading one":           {"z1" + good[1:], "multicodec"},
		"too long":              {good + "zz", "at most 49 bytes"},
		"very long":             {"z" + strings.Repeat("2", 1<<20), "at most 49 bytes"},
		"one character less":    {good[:len(good)-1], "key"},
		"X25519":                {encodeKey(t, b58, multicodec.X25519Pub, ed), "multicodec"},
		"secp256k1":             {encodeKey(t, b58, multicodec.Secp256k1Pub, compressed), "multicodec"},
		"P-384's codec":         {encodeKey(t, b58, multicodec.P384Pub, compressed), "multicodec"},
		"Ed25519's secret":      {encodeKey(t, b58, multicodec.Ed25519Priv, ed), "multicodec"},
		"long varint":           {"z" + mustBase58(t, append([]byte{0xed, 0x81, 0x00}, ed[:31]...)), "multicodec"},
		"codec without varint":  {"z" + mustBase58(t, append([]byte{0xed}, ed...)), "key"},
		"Ed25519 of 31 bytes":   {encodeKey(t, b58, multicodec.Ed25519Pub, ed[:31]), "31 bytes"},
		"Ed25519 of 33 bytes":   {encodeKey(t, b58, multicodec.Ed25519Pub, append(bytes.Clone(ed), 0)), "33 bytes"},
		"Ed25519 as P-256":      {encodeKey(t, b58, multicodec.P256Pub, ed), "32 bytes"},
		"P-256 as Ed25519":      {encodeKey(t, b58, multicodec.Ed25519Pub, compressed), "33 bytes"},
		"P-256 uncompressed":    {encodeKey(t, b58, multicodec.P256Pub, full), "at most 49 bytes"},
		"P-256 x alone":         {encodeKey(t, b58, multicodec.P256Pub, compressed[1:]), "32 bytes"},
		"P-256 hybrid":          {encodeKey(t, b58, multicodec.P256Pub, append([]byte{6}, compressed[1:]...)), "compressed"},
		"P-256 prefix 4":        {encodeKey(t, b58, multicodec.P256Pub, append([]byte{4}, compressed[1:]...)), "compressed"},
		"P-256 infinity":        {encodeKey(t, b58, multicodec.P256Pub, []byte{0}), "compressed"},
		// x = 1 has no point: 1 - 3 + b is not a square. x = p is 0 written again.
		"P-256 off the curve": {encodeKey(t, b58, multicodec.P256Pub, append([]byte{2}, append(make([]byte, 31), 1)...)), "not a point"},
		"P-256 x not below p": {encodeKey(t, b58, multicodec.P256Pub, append([]byte{2}, elliptic.P256().Params().P.Bytes()...)), "not a point"},
		// y = 2 has no point.
		"Ed25519 off the curve": {encodeKey(t, b58, multicodec.Ed25519Pub, append([]byte{2}, make([]byte, 31)...)), "not a point"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := ParseMultikey(c.text)
			wantError(t, err, Invalid, c.message)
			if !k.IsZero() {
				t.Error("a key came with the error")
			}
			if len(err.Error()) > 600 {
				t.Errorf("the message is %d bytes long", len(err.Error()))
			}
		})
	}
	for _, b := range [][]byte{compressed, ed} {
		codec := multicodec.P256Pub
		if len(b) == 32 {
			codec = multicodec.Ed25519Pub
		}
		if _, err := ParseMultikey(encodeKey(t, b58, codec, b)); err != nil {
			t.Errorf("the key that the cases above spoil is itself refused: %v", err)
		}
	}
}

func mustBase58(tb testing.TB, b []byte) string {
	tb.Helper()
	s, err := multibase.Encode(multibase.Base58BTC, b)
	if err != nil {
		tb.Fatal(err)
	}
	return s[1:]
}

// torsion is the eight points of small order.
func torsion(tb testing.TB) []*edwards25519.Point {
	tb.Helper()
	t8, err := new(edwards25519.Point).SetBytes(fromHex(tb, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
	if err != nil {
		tb.Fatal(err)
	}
	points := []*edwards25519.Point{edwards25519.NewIdentityPoint()}
	for i := 1; i < 8; i++ {
		points = append(points, new(edwards25519.Point).Add(points[i-1], t8))
		if points[i].Equal(points[0]) == 1 {
			tb.Fatalf("the generator of the small subgroup has order %d, expected 8", i)
		}
	}
	return points
}

func TestEd25519Subgroup(t *testing.T) {
	t.Parallel()
	refused := func(what string, b []byte, message string) {
		t.Helper()
		_, err := ParseMultikey(encodeKey(t, multibase.Base58BTC, multicodec.Ed25519Pub, b))
		if err == nil {
			t.Errorf("%s (%x) was accepted", what, b)
			return
		}
		wantError(t, err, Invalid, message)
		if _, err := NewPublicKey(ed25519.PublicKey(b)); err == nil {
			t.Errorf("%s (%x) was accepted by NewPublicKey", what, b)
		}
	}
	small := torsion(t)
	for _, p := range small {
		refused("a point of small order", p.Bytes(), "small or mixed order")
	}
	for range 8 {
		key, err := GenerateKey(Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		p, err := new(edwards25519.Point).SetBytes(key.Public().ed)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range small[1:] {
			refused("a point of mixed order", new(edwards25519.Point).Add(p, s).Bytes(), "small or mixed order")
		}
	}
	// Every y that is not below p = 2^255-19, with either sign of x: some are points, none is a key.
	points := 0
	for low := 0xed; low <= 0xff; low++ {
		for _, top := range []byte{0x7f, 0xff} {
			b := bytes.Repeat([]byte{0xff}, 32)
			b[0], b[31] = byte(low), top
			message := "not a point"
			if _, err := new(edwards25519.Point).SetBytes(b); err == nil {
				message = "y is not below"
				points++
			}
			refused("y not below p", b, message)
		}
	}
	if points == 0 {
		t.Error("none of them is a point, so that the check was not tested")
	}
	// x = 0 with a sign, at y = 1 and y = -1.
	one := append([]byte{1}, make([]byte, 31)...)
	one[31] = 0x80
	refused("minus zero at y = 1", one, "")
	minus := small[4].Bytes()
	minus[31] |= 0x80
	refused("minus zero at y = -1", minus, "")
}

// belowFieldPrime against encoding the point again, on the borders.
func TestBelowFieldPrime(t *testing.T) {
	t.Parallel()
	seen := map[bool]int{}
	for low := range 256 {
		for _, top := range []byte{0x7e, 0x7f, 0xfe, 0xff} {
			for _, middle := range []byte{0xfe, 0xff} {
				b := bytes.Repeat([]byte{0xff}, 32)
				b[0], b[17], b[31] = byte(low), middle, top
				p, err := new(edwards25519.Point).SetBytes(b)
				if err != nil || p.Equal(new(edwards25519.Point).Negate(p)) == 1 {
					continue // no point, or x = 0, where the sign of x is the other thing to be wrong
				}
				canonical := bytes.Equal(p.Bytes(), b)
				seen[canonical]++
				if got := belowFieldPrime(b); got != canonical {
					t.Errorf("%x: got %v, expected %v", b, got, canonical)
				}
			}
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Fatalf("the cases do not cover both answers: %v", seen)
	}
}

func TestNewPublicKey(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{
		"nil": nil, "P-384": &p384.PublicKey, "by value": p384.PublicKey, "no ECDSA key": (*ecdsa.PublicKey)(nil),
		"empty ECDSA key": &ecdsa.PublicKey{}, "ECDSA key without a point": &ecdsa.PublicKey{Curve: elliptic.P256()},
		"RSA": &rsa.PublicKey{}, "short Ed25519": ed25519.PublicKey{1}, "bytes": make([]byte, 32),
	} {
		if _, err := NewPublicKey(key); err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			wantError(t, err, Invalid, "")
		}
	}
	raw := make(ed25519.PublicKey, 32)
	key, err := GenerateKey(Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	copy(raw, key.Public().ed)
	k, err := NewPublicKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] ^= 1
	if !bytes.Equal(k.ed, key.Public().ed) {
		t.Error("the key changes with the slice it was made from")
	}
}
