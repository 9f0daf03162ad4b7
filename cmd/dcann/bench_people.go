package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/mr-tron/base58"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// benchPeople makes the passports of a benchmark. All keys follow from the seed and a number, so that the
// owner of any of millions of passports can sign again without a stored key. Safe for concurrent use.
//
// A passport is what a wallet would make at the first meeting: one rotation key, or two in every second
// passport, a grant key, eight digests of which one is disclosed: a public strand with the provider.
type benchPeople struct {
	seed     string
	country  registry.Country
	provider registry.ID
}

// key is the n-th key of a kind: 'r' and 's' rotation, 'g' grant, 'o' of the provider.
func (p *benchPeople) key(kind byte, n uint64) ed25519.PrivateKey {
	seed := p.derive(kind, n)
	return ed25519.NewKeyFromSeed(seed[:])
}

func (p *benchPeople) derive(kind byte, n uint64) [32]byte {
	var buf [64]byte
	b := append(buf[:0], "dcann-bench\n"...)
	b = append(append(b, p.seed...), 0, kind)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, n))
}

var benchBase64 = base64.RawURLEncoding

func appendMultikey(dst []byte, key ed25519.PrivateKey) []byte {
	raw := append([]byte{0xed, 0x01}, key[32:]...)
	return append(append(dst, 'z'), base58.Encode(raw)...)
}

// appendCreate appends the create operation of passport n, signed, as it is sent, and gives its
// identifier. iat is in unix seconds; the identifier depends on it.
//
// It writes the JSON by hand: registry.Content.Sign verifies what it signed, which costs more than all of
// this. A test holds it to what the registry accepts.
func (p *benchPeople) appendCreate(dst []byte, n uint64, iat int64) ([]byte, registry.ID) {
	rotation, grant := p.key('r', n), p.key('g', n)
	disclosure, digest := p.strand(n)

	var payload [1536]byte
	b := append(payload[:0], `{"v":1,"act":"create","country":"`...)
	b = append(append(b, p.country...), `","seq":0,"iat":`...)
	b = strconv.AppendInt(b, iat, 10)
	b = append(b, `,"record":{"kind":"passport","rotation":["`...)
	b = appendMultikey(b, rotation)
	if n%2 == 1 {
		b = appendMultikey(append(b, `","`...), p.key('s', n))
	}
	b = append(b, `"],"keys":[{"id":"grant-1","key":"`...)
	b = appendMultikey(b, grant)
	b = append(b, `","use":["grant"]}],"strands":[`...)
	for i, d := range p.digests(n, digest) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, `{"...":"`...), d[:]...), `"}`...)
	}
	b = append(b, `]}}`...)

	start := len(dst)
	var header [128]byte
	h := appendMultikey(append(header[:0], `{"alg":"Ed25519","kid":"`...), rotation)
	h = append(h, `","typ":"dcann-op+sd-jwt"}`...)
	dst = append(benchBase64.AppendEncode(dst, h), '.')
	dst = benchBase64.AppendEncode(dst, b)
	id := registry.NewID(p.country, registry.OpIDOf(sha256.Sum256(dst[start:])))
	sig := ed25519.Sign(rotation, dst[start:])
	dst = benchBase64.AppendEncode(append(dst, '.'), sig)
	return append(append(append(dst, '~'), disclosure...), '~'), id
}

// strand is the one disclosed strand of passport n.
func (p *benchPeople) strand(n uint64) (disclosure []byte, digest [43]byte) {
	salt := p.derive('d', n)
	b := append(make([]byte, 0, 320), `["`...)
	b = benchBase64.AppendEncode(b, salt[:16])
	b = append(append(b, `",{"id":"purchases","provider":"`...), p.provider...)
	b = append(b, `","path":"s/`...)
	b = strconv.AppendUint(b, binary.BigEndian.Uint64(salt[16:]), 16)
	b = append(b, `","visibility":"public","class":["https://w3id.org/dpv/pd#PurchasesAndSpendingHabit"],"tags":["frequent-flyer"]}]`...)
	disclosure = benchBase64.AppendEncode(nil, b)
	return disclosure, encodeDigest(sha256.Sum256(disclosure))
}

// digests pads with seven decoys and sorts as a record wants them (DESIGN 5).
func (p *benchPeople) digests(n uint64, disclosed [43]byte) [8][43]byte {
	all := [8][43]byte{disclosed}
	for i := range all[1:] {
		all[i+1] = encodeDigest(p.derive(byte(i), n))
	}
	slices.SortFunc(all[:], func(a, b [43]byte) int { return slices.Compare(a[:], b[:]) })
	return all
}

func encodeDigest(sum [32]byte) (text [43]byte) {
	benchBase64.Encode(text[:], sum[:])
	return text
}

// digestOf is the digest of the disclosed strand of passport n, which its acceptance names.
func (p *benchPeople) digestOf(n uint64) registry.Digest {
	_, digest := p.strand(n)
	return registry.Digest(digest[:])
}

// benchSigner signs the few statements of a run, which are made with the registry's own code.
type benchSigner struct {
	public jws.PublicKey
	key    ed25519.PrivateKey
}

func newBenchSigner(key ed25519.PrivateKey) (benchSigner, error) {
	public, err := jws.NewPublicKey(key.Public())
	return benchSigner{public, key}, err
}

func (s benchSigner) Public() jws.PublicKey             { return s.public }
func (s benchSigner) Sign(input []byte) ([]byte, error) { return ed25519.Sign(s.key, input), nil }
