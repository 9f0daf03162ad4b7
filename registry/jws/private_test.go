package jws

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	stdjson "encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
)

func TestPrivateKeyPEM(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{Ed25519, ES256} {
		key, err := GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.PEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePrivateKey(append([]byte("\n"), append(text, "\r\n "...)...))
		if err != nil {
			t.Fatal(err)
		}
		if again.Public().Multikey() != key.Public().Multikey() || again.Public().Algorithm() != alg {
			t.Errorf("%s came back as %s", key.Public(), again.Public())
		}
		sig, err := again.Sign([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Public().Verify([]byte("x"), sig); err != nil {
			t.Error(err)
		}
	}
	_, err := GenerateKey("EdDSA")
	wantError(t, err, Invalid, `"EdDSA"`)
	// The zero value signs and writes nothing.
	var zero PrivateKey
	_, err = zero.PEM()
	wantError(t, err, Invalid, "none")
	_, err = zero.Sign([]byte("x"))
	wantError(t, err, Invalid, "no private key")
	_, err = Sign(zero, "k", "t", []byte("{}"))
	wantError(t, err, Invalid, "no key")
	if !zero.Public().IsZero() {
		t.Error("the zero value has a public key")
	}
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	good, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	encode := func(kind string, headers map[string]string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der}))
	}
	pkcs8 := func(key any, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(mustPEM(t, key))
	}
	sec1, err := x509.MarshalECPrivateKey(key.secret().p256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.secret().p256.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	for name, c := range map[string]struct {
		text    string
		kind    Kind
		message string
	}{
		"nothing":        {"", Invalid, "expected one PEM block"},
		"text":           {"secret", Invalid, "expected one PEM block"},
		"text before":    {"x\n" + string(good), Invalid, "no text before"},
		"text after":     {string(good) + "x", Invalid, "text after"},
		"two blocks":     {string(good) + string(good), Invalid, "exactly one block"},
		"headers":        {encode(pemType, map[string]string{"A": "b"}, block.Bytes), Invalid, "headers"},
		"SEC 1":          {encode("EC PRIVATE KEY", nil, sec1), Invalid, `"EC PRIVATE KEY", expected PRIVATE KEY`},
		"encrypted":      {encode("ENCRYPTED PRIVATE KEY", nil, block.Bytes), Invalid, "not encrypted"},
		"public":         {encode("PUBLIC KEY", nil, public), Invalid, "PUBLIC KEY"},
		"public, named":  {encode(pemType, nil, public), Invalid, "not PKCS#8"},
		"SEC 1, renamed": {encode(pemType, nil, sec1), Invalid, "not PKCS#8"},
		"cut":            {encode(pemType, nil, block.Bytes[:40]), Invalid, "not PKCS#8"},
		"bytes after":    {encode(pemType, nil, append(bytes.Clone(block.Bytes), 0)), Invalid, "1 bytes after the key"},
		"P-384":          {pkcs8(p384, err), Invalid, "P-256"},
		"RSA":            {pkcs8(rsa.GenerateKey(rand.Reader, 2048)), Invalid, "Ed25519 or P-256"},
		"too long":       {string(good) + strings.Repeat("\n", maxPEM), TooLarge, "at most 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePrivateKey([]byte(c.text))
			wantError(t, err, c.kind, c.message)
		})
	}
}

// However a key is printed, its secret stays inside.
func TestPrivateKeyHidesItsSecret(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{Ed25519, ES256} {
		key, err := GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		var scalar []byte
		if alg == Ed25519 {
			scalar = key.secret().ed.Seed()
		} else if scalar, err = key.secret().p256.Bytes(); err != nil {
			t.Fatal(err)
		}
		list := strings.Trim(fmt.Sprint(scalar[:8]), "[]")
		secrets := []string{
			string(scalar), fmt.Sprintf("%x", scalar[:8]), fmt.Sprintf("%X", scalar[:8]), list, strings.ReplaceAll(list, " ", ","),
			strings.ReplaceAll(list, " ", ", "), new(big.Int).SetBytes(scalar).String(), EncodeBase64(scalar)[:16],
			strings.Trim(fmt.Sprintf("%#v", scalar[:8]), "[]byte{}"),
		}
		var logged bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
			slog.New(h).Info("key", "key", key, "pointer", &key, "in", struct{ K PrivateKey }{key}, "hidden", struct{ k PrivateKey }{key})
		}
		printed := logged.String()
		if !strings.Contains(printed, string(key.Public().Multikey())) {
			t.Error("the log does not show the public key")
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%b", "%t", "%o", "%T", "%p", "%+d"} {
			for _, v := range []any{key, &key, []PrivateKey{key}, struct{ k PrivateKey }{key}, struct{ k *PrivateKey }{&key},
				map[string]PrivateKey{"k": key}, struct{ s Signer }{key}, struct{ K any }{key}} {
				printed += fmt.Sprintf(verb, v) + "\n"
			}
		}
		asJSON, err := stdjson.Marshal(map[string]any{"k": key, "p": &key})
		if err != nil {
			t.Fatal(err)
		}
		printed += string(asJSON) + key.String() + key.GoString() + fmt.Sprint(errors.New(key.String()))
		for _, s := range secrets {
			if strings.Contains(printed, s) {
				t.Errorf("%s: the secret is printed as %q", alg, s)
			}
		}
	}
}

// A signer elsewhere, as in hardware, may be wrong in these ways; Sign finds it.
type badSigner struct {
	PrivateKey
	sig []byte
	err error
}

func (s badSigner) Sign([]byte) ([]byte, error) { return s.sig, s.err }

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := key.secret().p256.Sign(rand.Reader, make([]byte, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	high := append(make([]byte, 32), bytes.Repeat([]byte{0xff}, 32)...)
	for name, s := range map[string]badSigner{
		"DER": {key, der, nil}, "high s": {key, high, nil}, "none": {key, nil, nil}, "short": {key, high[:63], nil},
	} {
		if _, err := Sign(s, "k", "t", []byte("{}")); !errors.Is(err, Invalid) {
			t.Errorf("%s: got %v, expected it to be refused", name, err)
		}
	}
	locked := errors.New("the token is locked")
	if _, err := Sign(badSigner{key, nil, locked}, "k", "t", []byte("{}")); !errors.Is(err, locked) {
		t.Errorf("got %v, expected the signer's own error", err)
	}
	for _, c := range []struct{ kid, typ, payload string }{
		{"", "t", "{}"}, {"k", "", "{}"}, {"k", "t", ""}, {"\xff", "t", "{}"}, {"k", "\xff", "{}"},
	} {
		_, err := Sign(key, c.kid, c.typ, []byte(c.payload))
		wantError(t, err, Invalid, "sign: ")
	}
	// What JSON must escape is escaped.
	m, err := Sign(key, "a\"\\\n\x00<é\U0001f600", "t", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse([]byte(m.Compact()), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if p.Header().Kid != "a\"\\\n\x00<é\U0001f600" || m.Header() != p.Header() {
		t.Errorf("got kid %q", p.Header().Kid)
	}
}

// Signatures of P-256 come out high half of the time; the signer normalises them all.
func TestSignsWithLowS(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	for range 32 {
		sig, err := key.Sign([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Public().Verify([]byte("x"), sig); err != nil {
			t.Fatal(err)
		}
	}
	// Ed25519 ones are always the same.
	ed, err := ParsePrivateKey(mustPEM(t, ed25519.NewKeyFromSeed(make([]byte, 32))))
	if err != nil {
		t.Fatal(err)
	}
	a, errA := ed.Sign([]byte("x"))
	b, errB := ed.Sign([]byte("x"))
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("%x and %x, %v, %v", a, b, errA, errB)
	}
}

func mustPEM(tb testing.TB, key any) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
}

func FuzzPrivateKey(f *testing.F) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mustPEM(f, p256))
	f.Add(mustPEM(f, ed25519.NewKeyFromSeed(make([]byte, 32))))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParsePrivateKey(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		written, err := key.PEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePrivateKey(written)
		if err != nil || again.Public().Multikey() != key.Public().Multikey() {
			t.Fatalf("%s came back as %s, %v", key.Public(), again.Public(), err)
		}
		sig, err := key.Sign(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Public().Verify(text, sig); err != nil {
			t.Error(err)
		}
	})
}
