package jws

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"filippo.io/edwards25519"
)

// ofPrimeOrder is the definition: ℓp is the identity, and p is not. Scalars live modulo ℓ, so that ℓ itself cannot
// be written as one: it is (ℓ-1)p = -p that is compared.
func ofPrimeOrder(tb testing.TB, p *edwards25519.Point) bool {
	tb.Helper()
	one, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		tb.Fatal(err)
	}
	q := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(one.Negate(one), p, edwards25519.NewScalar())
	return q.Equal(new(edwards25519.Point).Negate(p)) == 1 && p.Equal(edwards25519.NewIdentityPoint()) == 0
}

// anyPoint is the point with a random y, of any order.
func anyPoint(tb testing.TB) *edwards25519.Point {
	tb.Helper()
	for {
		var b [32]byte
		_, _ = rand.Read(b[:])
		if p, err := new(edwards25519.Point).SetBytes(b[:]); err == nil {
			return p
		}
	}
}

// affine is p with Z = 1.
func affine(tb testing.TB, p *edwards25519.Point) *edwards25519.Point {
	tb.Helper()
	q, err := new(edwards25519.Point).SetBytes(p.Bytes())
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// TestInPrimeOrderSubgroup: the pairing says of every class of points what multiplying says, of p and of -p.
func TestInPrimeOrderSubgroup(t *testing.T) {
	t.Parallel()
	small := torsion(t)
	for i, s := range small {
		if inPrimeOrderSubgroup(s) {
			t.Errorf("%d times the point of order 8 is said to be of prime order", i)
		}
	}
	seen := map[bool]int{}
	for range 200 {
		p := anyPoint(t)
		eightfold := new(edwards25519.Point).MultByCofactor(p)
		for i, s := range small {
			for what, sum := range map[string]*edwards25519.Point{
				"any point": new(edwards25519.Point).Add(p, s), "a point of prime order": new(edwards25519.Point).Add(eightfold, s),
			} {
				for _, q := range []*edwards25519.Point{affine(t, sum), affine(t, new(edwards25519.Point).Negate(sum))} {
					want := ofPrimeOrder(t, q)
					if got := inPrimeOrderSubgroup(q); got != want {
						t.Fatalf("%s and %d times the point of order 8, %x: said to be of prime order: %t, and is: %t", what, i, q.Bytes(), got, want)
					}
					seen[want]++
				}
			}
		}
	}
	if seen[true] != 200*4 { // one of eight, twice, both signs
		t.Errorf("of prime order are %d, of others %d: expected 800", seen[true], seen[false])
	}
	for range 200 {
		key, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := new(edwards25519.Point).SetBytes(key)
		if err != nil || !inPrimeOrderSubgroup(p) {
			t.Fatalf("the key %x is said not to be of prime order, or no point: %v", key, err)
		}
	}
}

// FuzzInPrimeOrderSubgroup: the same of any point that can be written.
func FuzzInPrimeOrderSubgroup(f *testing.F) {
	for _, p := range torsion(f) {
		f.Add(p.Bytes())
		f.Add(affine(f, new(edwards25519.Point).Add(p, edwards25519.NewGeneratorPoint())).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := new(edwards25519.Point).SetBytes(b)
		if err != nil {
			return
		}
		if got, want := inPrimeOrderSubgroup(p), ofPrimeOrder(t, p); got != want {
			t.Errorf("%x: said to be of prime order: %t, and is: %t", b, got, want)
		}
	})
}

func BenchmarkSubgroup(b *testing.B) {
	p := affine(b, new(edwards25519.Point).MultByCofactor(anyPoint(b)))
	b.Run("pairing", func(b *testing.B) {
		for b.Loop() {
			if !inPrimeOrderSubgroup(p) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("multiplication", func(b *testing.B) {
		for b.Loop() {
			if !ofPrimeOrder(b, p) {
				b.Fatal("refused")
			}
		}
	})
}
