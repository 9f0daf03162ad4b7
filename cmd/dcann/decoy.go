package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// A record hides how many strands it has among decoys (DESIGN 5). Whoever edits it must tell decoys from
// strands that the registry does not show, or the list could only ever grow; so the decoys made here carry
// a mark that only the key that made them can see: 16 random bytes, and 16 of their HMAC under a secret
// derived from the key. To all others a decoy is 32 random bytes, like any digest.
const decoyHalf = 16

type decoys struct{ secret [32]byte }

// decoysOf recognises and makes the decoys of a key.
func decoysOf(key jws.PrivateKey) (decoys, error) {
	pem, err := key.PEM()
	if err != nil {
		return decoys{}, err
	}
	return decoys{sha256.Sum256(append([]byte("dcann-decoy-v1\n"), pem...))}, nil
}

func (d decoys) mark(random []byte) []byte {
	mac := hmac.New(sha256.New, d.secret[:])
	mac.Write(random)
	return mac.Sum(nil)[:decoyHalf]
}

func (d decoys) make() registry.Digest {
	random := make([]byte, decoyHalf)
	rand.Read(random)
	return registry.DigestOf([32]byte(append(random, d.mark(random)...)))
}

func (d decoys) made(digest registry.Digest) bool {
	sum := digest.Bytes()
	return hmac.Equal(d.mark(sum[:decoyHalf]), sum[decoyHalf:])
}

// place adds the digest of a strand in the place of a decoy that this key made, or else makes the list
// longer and pads it anew to 8, 16, 32 or 64.
func (d decoys) place(digests []registry.Digest, strand registry.Digest) ([]registry.Digest, error) {
	placed := slices.Clone(digests)
	if at := slices.IndexFunc(placed, d.made); at >= 0 {
		placed[at] = strand
		return placed, nil
	}
	if len(placed) == registry.MaxStrands {
		return nil, usagef("the passport has %d digests, the most there can be, and none that --key knows for a decoy: sign with the key that made the list, or remove a strand", registry.MaxStrands)
	}
	return d.pad(append(placed, strand)), nil
}

// remove puts a decoy in the place of a strand.
func (d decoys) remove(digests []registry.Digest, strand registry.Digest) ([]registry.Digest, error) {
	at := slices.Index(digests, strand)
	if at < 0 {
		return nil, usagef("the passport has no digest %s", strand)
	}
	left := slices.Clone(digests)
	left[at] = d.make()
	return left, nil
}

func (d decoys) pad(digests []registry.Digest) []registry.Digest {
	size := 8
	for size < len(digests) {
		size *= 2
	}
	for len(digests) < size {
		digests = append(digests, d.make())
	}
	return digests
}
