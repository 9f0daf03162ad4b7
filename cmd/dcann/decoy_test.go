package main

import (
	"slices"
	"testing"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

func newDecoys(t *testing.T, alg jws.Algorithm) decoys {
	t.Helper()
	key, err := jws.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	d, err := decoysOf(key)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecoysAreKnownToTheirKeyAlone(t *testing.T) {
	t.Parallel()
	mine, other := newDecoys(t, jws.Ed25519), newDecoys(t, jws.ES256)
	for range 100 {
		decoy := mine.make()
		if _, err := registry.ParseDigest(string(decoy)); err != nil {
			t.Fatal(err)
		}
		if !mine.made(decoy) || other.made(decoy) {
			t.Fatalf("decoy %s: made by its key %v, by another %v", decoy, mine.made(decoy), other.made(decoy))
		}
		if mine.made(registry.NewDecoy()) {
			t.Fatal("a digest of somebody else is taken for a decoy")
		}
	}
}

func TestPlaceTakesADecoyAndNothingElse(t *testing.T) {
	t.Parallel()
	mine, other := newDecoys(t, jws.Ed25519), newDecoys(t, jws.Ed25519)
	list := mine.pad(nil)
	strands := []registry.Digest{}
	// Nine strands: eight take the decoys, the ninth makes the list longer.
	for n := range 9 {
		strand := registry.NewDecoy()
		strands = append(strands, strand)
		var err error
		if list, err = mine.place(list, strand); err != nil {
			t.Fatal(err)
		}
		want := 8
		if n == 8 {
			want = 16
		}
		if len(list) != want {
			t.Fatalf("%d strands in a list of %d: expected %d", n+1, len(list), want)
		}
	}
	for _, s := range strands {
		if !slices.Contains(list, s) {
			t.Fatalf("strand %s is gone", s)
		}
	}
	// Another key sees no decoys, so it takes nothing away.
	grown, err := other.place(list, registry.NewDecoy())
	if err != nil || len(grown) != 32 {
		t.Fatalf("%d digests, %v: expected 32", len(grown), err)
	}
	for _, d := range list {
		if !slices.Contains(grown, d) {
			t.Fatalf("digest %s was taken away by a key that cannot tell what it is", d)
		}
	}
}

func TestPlaceInAFullList(t *testing.T) {
	t.Parallel()
	mine, other := newDecoys(t, jws.Ed25519), newDecoys(t, jws.Ed25519)
	full := make([]registry.Digest, registry.MaxStrands)
	for i := range full {
		full[i] = other.make()
	}
	if _, err := mine.place(full, registry.NewDecoy()); exitCode(err) != exitUsage {
		t.Errorf("got %v: expected a usage error", err)
	}
}

func TestRemovePutsADecoy(t *testing.T) {
	t.Parallel()
	mine := newDecoys(t, jws.Ed25519)
	strand := registry.NewDecoy()
	list, err := mine.place(mine.pad(nil), strand)
	if err != nil {
		t.Fatal(err)
	}
	left, err := mine.remove(list, strand)
	if err != nil || len(left) != len(list) || slices.Contains(left, strand) {
		t.Errorf("got %d digests, %v: expected %d without the strand", len(left), err, len(list))
	}
	if _, err := mine.remove(left, strand); err == nil {
		t.Error("removed a second time: expected an error")
	}
}
