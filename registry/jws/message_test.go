package jws

import "testing"

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{Ed25519, ES256} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			key, err := GenerateKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Sign(key, string(key.Public().Multikey()), "test+jwt", []byte(`{"v":1}`))
			if err != nil {
				t.Fatal(err)
			}
			p, err := Parse([]byte(m.Compact()), 1000)
			if err != nil {
				t.Fatal(err)
			}
			public, err := ParseMultikey(p.Header().Kid)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(public); err != nil {
				t.Fatal(err)
			}
			if p.Name() != m.Name() {
				t.Errorf("name %s, expected %s", p.Name(), m.Name())
			}
		})
	}
}
