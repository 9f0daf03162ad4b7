package jws

import (
	"crypto/rand"
	"testing"
)

// message is a signed text of the size of a usual create operation.
func message(tb testing.TB, alg Algorithm) (PrivateKey, Message) {
	tb.Helper()
	key, err := GenerateKey(alg)
	if err != nil {
		tb.Fatal(err)
	}
	kid := string(key.Public().Multikey())
	payload := `{"v":1,"act":"create","country":"fr","seq":0,"iat":1795000000,"record":{"kind":"passport","rotation":["` +
		kid + `"],"keys":[{"id":"grant-1","key":"` + kid + `","use":["grant"]}],"strands":[`
	for i := range 8 {
		if i > 0 {
			payload += ","
		}
		digest := make([]byte, 32)
		if _, err := rand.Read(digest); err != nil {
			tb.Fatal(err)
		}
		payload += `{"...":"` + EncodeBase64(digest) + `"}`
	}
	m, err := Sign(key, kid, "dcann-op+sd-jwt", []byte(payload+`]}}`))
	if err != nil {
		tb.Fatal(err)
	}
	return key, m
}

func BenchmarkParse(b *testing.B) {
	_, m := message(b, Ed25519)
	text := []byte(m.Compact())
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text, len(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromParts(b *testing.B) {
	_, m := message(b, Ed25519)
	header, payload, sig := m.Parts()
	b.ReportAllocs()
	for b.Loop() {
		if len(FromParts(header, payload, sig).text) == 0 {
			b.Fatal("empty")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []Algorithm{Ed25519, ES256} {
		b.Run(string(alg), func(b *testing.B) {
			key, m := message(b, alg)
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Verify(key.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range []Algorithm{Ed25519, ES256} {
		b.Run(string(alg), func(b *testing.B) {
			key, m := message(b, alg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Sign(key, m.header.Kid, m.header.Typ, m.payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseMultikey(b *testing.B) {
	for _, alg := range []Algorithm{Ed25519, ES256} {
		b.Run(string(alg), func(b *testing.B) {
			key, err := GenerateKey(alg)
			if err != nil {
				b.Fatal(err)
			}
			text := string(key.Public().Multikey())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseMultikey(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	_, m := message(b, Ed25519)
	b.SetBytes(int64(len(m.payload)))
	b.ReportAllocs()
	for b.Loop() {
		var v struct {
			V       int    `json:"v"`
			Act     string `json:"act"`
			Country string `json:"country"`
			Seq     *int64 `json:"seq"`
			Iat     int64  `json:"iat"`
			Record  struct {
				Kind     string     `json:"kind"`
				Rotation []Multikey `json:"rotation"`
				Keys     []struct {
					ID  string   `json:"id"`
					Key Multikey `json:"key"`
					Use []string `json:"use"`
				} `json:"keys"`
				Strands []struct {
					Digest string `json:"..."`
				} `json:"strands"`
			} `json:"record"`
		}
		if err := DecodeJSON(m.payload, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkName(b *testing.B) {
	_, m := message(b, Ed25519)
	name := m.Name()
	b.Run("of", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			name = m.Name()
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseName(name); err != nil {
				b.Fatal(err)
			}
		}
	})
}
