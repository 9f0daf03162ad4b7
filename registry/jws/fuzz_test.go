package jws

import (
	"bytes"
	"errors"
	"testing"

	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multicodec"
)

// FuzzParse: whatever is parsed encodes to the same bytes again, and comes back from its parts.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Compact))
		f.Add([]byte(v.Compact + "\n"))
	}
	sig := make([]byte, 64)
	f.Add([]byte(compact(`{"alg":"ES256","kid":"k","typ":"t"}`, "x", sig)))
	f.Add([]byte(compact(`{ "typ":"t", "\u0061lg":"Ed25519","kid":"k"}`, "\xff", sig)))
	f.Add([]byte(compact(`{"alg":"none","kid":"k","typ":"t"}`, "{}", sig)))
	f.Add([]byte(".."))
	key, err := GenerateKey(Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text, 1<<16)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind != Invalid && e.Kind != TooLarge || (e.Kind == TooLarge) != (len(text) > 1<<16) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		if m.Compact() != string(text) {
			t.Errorf("%q came back as %q", text, m.Compact())
		}
		header, payload, sig := m.Parts()
		again := FromParts(header, payload, sig)
		if again.Compact() != string(text) || again.Header() != m.Header() || again.Name() != m.Name() ||
			!bytes.Equal(again.SigningInput(), m.SigningInput()) {
			t.Errorf("%q came back from its parts as %q", text, again.Compact())
		}
		if h := m.Header(); h.Kid == "" || h.Typ == "" || h.Alg != Ed25519 && h.Alg != ES256 || len(sig) != SignatureLen || len(payload) == 0 {
			t.Errorf("parsed %+v with a payload of %d and a signature of %d bytes", h, len(payload), len(sig))
		}
		if err := m.Verify(key.Public()); !errors.Is(err, BadSignature) {
			t.Errorf("verified by a key that did not sign it: %v", err)
		}
	})
}

// FuzzMultikey: whatever is parsed is what the multiformats' own libraries write of the key.
func FuzzMultikey(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Multikey)
		f.Add("Z" + v.Multikey[1:])
		f.Add("z1" + v.Multikey[1:])
	}
	for _, p := range torsion(f) {
		f.Add(encodeKey(f, multibase.Base58BTC, multicodec.Ed25519Pub, p.Bytes()))
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseMultikey(s)
		if err != nil {
			wantError(t, err, Invalid, "")
			if !k.IsZero() {
				t.Errorf("%q: a key came with the error", s)
			}
			return
		}
		var text string
		var again PublicKey
		switch k.Algorithm() {
		case Ed25519:
			text = encodeKey(t, multibase.Base58BTC, multicodec.Ed25519Pub, k.ed)
			again, err = NewPublicKey(k.ed)
		case ES256:
			point, perr := k.p256.Bytes()
			if perr != nil {
				t.Fatal(perr)
			}
			text = encodeKey(t, multibase.Base58BTC, multicodec.P256Pub, append([]byte{2 | point[64]&1}, point[1:33]...))
			again, err = NewPublicKey(k.p256)
		}
		if err != nil || text != s || string(k.Multikey()) != s || string(again.Multikey()) != s {
			t.Errorf("%q: the libraries write %q, the key %q, again %q, %v", s, text, k.Multikey(), again.Multikey(), err)
		}
	})
}
