package jws

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	stdjson "encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	jwxjwa "github.com/lestrrat-go/jwx/v3/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v3/jws"
)

// vector is one signed message and everything that follows from its text.
type vector struct {
	Note     string `json:"note"`
	Seed     string `json:"seed"` // hex, of Ed25519 only, whose signatures are deterministic
	Multikey string `json:"multikey"`
	Header   string `json:"header"`
	Payload  string `json:"payload"`
	Compact  string `json:"compact"`
	Name     string `json:"name"`
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var vs []vector
	if err := stdjson.Unmarshal(data, &vs); err != nil {
		tb.Fatal(err)
	}
	if len(vs) == 0 {
		tb.Fatal("no vectors")
	}
	return vs
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		m, err := Parse([]byte(v.Compact), len(v.Compact))
		if err != nil {
			t.Fatalf("%s: %v", v.Note, err)
		}
		key, err := ParseMultikey(v.Multikey)
		if err != nil {
			t.Fatalf("%s: %v", v.Note, err)
		}
		if err := m.Verify(key); err != nil {
			t.Errorf("%s: %v", v.Note, err)
		}
		header, payload, _ := m.Parts()
		if string(header) != v.Header || string(payload) != v.Payload || m.Name() != v.Name {
			t.Errorf("%s: got %s, %s, %s", v.Note, header, payload, m.Name())
		}
		if _, err := jwxjws.Verify([]byte(v.Compact), jwxjws.WithKey(jwxAlgorithm(key), jwxKey(key))); err != nil {
			t.Errorf("%s: jwx says %v", v.Note, err)
		}
		if v.Seed == "" {
			continue
		}
		private, err := ParsePrivateKey(mustPEM(t, ed25519.NewKeyFromSeed(fromHex(t, v.Seed))))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Sign(private, v.Multikey, m.Header().Typ, []byte(v.Payload))
		if err != nil {
			t.Fatal(err)
		}
		if again.Compact() != v.Compact {
			t.Errorf("%s: signed again it is %s", v.Note, again.Compact())
		}
	}
}

func jwxAlgorithm(k PublicKey) jwxjwa.SignatureAlgorithm {
	if k.Algorithm() == ES256 {
		return jwxjwa.ES256()
	}
	return jwxjwa.EdDSAEd25519()
}

func jwxKey(k PublicKey) any {
	if k.Algorithm() == ES256 {
		return k.p256
	}
	return k.ed
}

// TestSecondImplementation signs here and verifies with jwx, and the reverse.
func TestSecondImplementation(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{Ed25519, ES256} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			key, m := message(t, alg)
			payload, err := jwxjws.Verify([]byte(m.Compact()), jwxjws.WithKey(jwxAlgorithm(key.Public()), jwxKey(key.Public())))
			if err != nil {
				t.Fatalf("jwx refuses what was signed here: %v", err)
			}
			if !bytes.Equal(payload, m.Payload()) {
				t.Errorf("jwx reads %s, expected %s", payload, m.Payload())
			}

			headers := jwxjws.NewHeaders()
			for name, value := range map[string]string{"kid": m.Header().Kid, "typ": m.Header().Typ} {
				if err := headers.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
			var secret any = key.secret().ed
			if alg == ES256 {
				secret = key.secret().p256
			}
			// jwx does not normalise s: sign until both sorts were seen. Forty low ones in a row are no chance.
			for high, low, tries := 0, 0, 0; low == 0 || high == 0 && alg == ES256; tries++ {
				if tries == 40 {
					t.Fatalf("%d high and %d low of %d signatures", high, low, tries)
				}
				text, err := jwxjws.Sign(m.Payload(), jwxjws.WithKey(jwxAlgorithm(key.Public()), secret, jwxjws.WithProtectedHeaders(headers)))
				if err != nil {
					t.Fatal(err)
				}
				theirs, err := Parse(text, len(text))
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if alg == ES256 && bytes.Compare(theirs.Signature()[32:], halfOrder) > 0 {
					high++
					wantError(t, theirs.Verify(key.Public()), BadSignature, "high s")
					theirs = FromParts(theirs.rawHeader, theirs.payload, negateS(theirs.Signature()))
				} else {
					low++
				}
				if err := theirs.Verify(key.Public()); err != nil {
					t.Errorf("what jwx signed is refused: %v", err)
				}
				if theirs.Header() != m.Header() || !bytes.Equal(theirs.Payload(), m.Payload()) {
					t.Errorf("got %+v, %s", theirs.Header(), theirs.Payload())
				}
			}
		})
	}
}

// negateS turns s into n-s, which any verifier that does not ask for the low one accepts as well.
func negateS(sig []byte) []byte {
	out := bytes.Clone(sig)
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(out[32:])
	return out
}

// RFC 8037 appendix A.4 and RFC 7515 appendix A.3: their signatures verify, their headers are refused.
func TestRFCExamples(t *testing.T) {
	t.Parallel()
	const eddsa = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	const es256 = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ." +
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	key, err := ParseMultikey("z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw")
	if err != nil {
		t.Fatal(err)
	}
	input, sig := split(t, eddsa)
	if err := key.Verify(input, sig); err != nil {
		t.Error(err)
	}
	_, err = Parse([]byte(eddsa), 1000)
	wantError(t, err, Invalid, `alg is "EdDSA"`)

	point := fromHex(t, "04"+"7fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445"+
		"c7f144cd1bbd9b7e872cdfedb9eeb9f4b3695d6ea90b24ad8a4623288588e5ad")
	p256, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	key, err = NewPublicKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	input, sig = split(t, es256)
	wantError(t, key.Verify(input, sig), BadSignature, "high s") // as the example has it
	if err := key.Verify(input, negateS(sig)); err != nil {
		t.Error(err)
	}
	_, err = Parse([]byte(es256), 1000)
	wantError(t, err, Invalid, "kid is missing")
}

func split(tb testing.TB, text string) (input, sig []byte) {
	tb.Helper()
	i := bytes.LastIndexByte([]byte(text), '.')
	sig, err := DecodeBase64(text[i+1:])
	if err != nil {
		tb.Fatal(err)
	}
	return []byte(text[:i]), sig
}
