package jws

import (
	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// inPrimeOrderSubgroup reports whether p, with Z = 1 as SetBytes leaves it, is of the prime order ℓ. It costs two
// exponentiations in the field, a quarter of multiplying p by ℓ (BenchmarkSubgroup), which the tests hold it against.
//
// The points of the curve are a cyclic group E of order 8ℓ, and those of the subgroup are 8E. A Tate pairing with a
// point of small order tells classes apart without multiplying p (D. Koshelev, "Subgroup membership testing on elliptic
// curves via the Tate pairing", 2022). To tell those of E/8E it would need eighth roots of one, which this field has
// not, so half of a doubling is taken off p first (T. Pornin, "Point-halving and subgroup membership in twisted Edwards
// curves", 2022):
//
//   - On the Montgomery form v² = u(u²+Au+1), doubling is an isogeny to E': Y² = X(X²-2AX+A²-4) and after it its dual
//     ψ: (X,Y) ↦ (Y²/4X², …). p is in 2E, the image of ψ, just when u is a square; then X = A+2u+2v/√u and Y = 2X√u
//     make a point q of E' with ψ(q) = p or -p.
//   - p is in 8E just when q is in the group that ψ takes there, 4E' and the kernel of ψ, O and (0,0). It has index 4 in
//     E', so it is that of the points which pair to one with a point S of order 4, if (0,0) does.
//   - The S with 2S = (A+2,0) have the tangents Y = λ(X-A-2) with λ = ±√(A+2)±2, so that their pairing with q is
//     ((Y-λ(X-A-2))²/(X-A-2)) to the power of (p-1)/4; at (0,0), -λ²(A+2) is a fourth power for one of √(A+2)±2.
//
// This is written in x and y of the Edwards form, with u = (1+y)/(1-y), v/u = c/x and c² = -(A+2), and without divisions:
// what is left out is a fourth power. Where something is zero, p is of small order, and the value is zero too.
func inPrimeOrderSubgroup(p *edwards25519.Point) bool {
	x, y, _, _ := p.ExtendedCoordinates()
	var below, r, d, n, l, m, t field.Element
	below.Subtract(&order4.one, y)
	t.Multiply(&below, t.Add(&order4.one, y))
	if _, square := r.SqrtRatio(&t, &order4.one); square == 0 { // r = √(1-y²), so that √u = r/(1-y)
		return false
	}
	d.Multiply(x, &below) // X-A-2 = n/d
	n.Add(n.Multiply(x, y), n.Multiply(x, y))
	n.Add(&n, t.Multiply(&order4.c, &r))
	n.Add(&n, &n)
	l.Add(&n, t.Multiply(&order4.a2, &d)) // X = l/d
	l.Multiply(l.Add(&l, &l), &r)         // Y = l/(d(1-y))
	l.Subtract(&l, t.Multiply(&order4.lambda, t.Multiply(&n, &below)))

	m.Multiply(&d, &n) // the value is l²/(m(1-y)²): times (m(1-y))⁴
	t.Multiply(&l, t.Multiply(&m, &below))
	t.Multiply(t.Square(&t), &m)
	n.Pow22523(&t) // to the power of (p-5)/8
	t.Multiply(&t, n.Square(&n))
	return t.Equal(&order4.one) == 1
}

// order4 is what inPrimeOrderSubgroup has to know of the curve and of its S.
var order4 = newTangent()

type tangent struct {
	one, a2, c, lambda field.Element // a2 is A+2
}

func newTangent() tangent {
	var k tangent
	var root, t field.Element
	k.one.One()
	k.a2.Mult32(&k.one, 486662+2)
	k.c.SqrtRatio(t.Negate(&k.a2), &k.one)
	root.SqrtRatio(&k.a2, &k.one)
	two := t.Add(&k.one, &k.one)
	k.lambda.Add(&root, two)
	// -λ²(A+2) = (λc)². The product of both λ, A-2, is no square.
	if _, square := new(field.Element).SqrtRatio(new(field.Element).Multiply(&k.lambda, &k.c), &k.one); square == 0 {
		k.lambda.Subtract(&root, two)
	}
	return k
}
