package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/dcann/dcann/registry/jws"
)

// start is when every history of the tests begins: 17 November 2026.
const start = Millis(1_794_900_000_000)

// Terms and an organisation that records of tests refer to.
const (
	purchases = "https://w3id.org/dpv/pd#PurchasesAndSpendingHabit"
	biometric = "https://w3id.org/dpv/pd#Biometric" // a special category
	service   = "https://w3id.org/dpv#ServicePersonalisation"
	protocol  = "https://example.org/protocols/vault/1"
)

// testKey is a key made from a name, the same in every run. Its P-256 signatures are deterministic too
// (RFC 6979), so that the histories of testdata can be made again byte for byte.
type testKey struct {
	public jws.PublicKey
	ed     ed25519.PrivateKey
	p256   *ecdsa.PrivateKey
}

// key is an Ed25519 key, or a P-256 key for a name that begins with "p256".
func key(tb testing.TB, name string) testKey {
	tb.Helper()
	var k testKey
	var err error
	seed := sha256.Sum256([]byte("dcann test key " + name))
	if strings.HasPrefix(name, "p256") {
		k.p256, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
		check(tb, err)
		k.public, err = jws.NewPublicKey(&k.p256.PublicKey)
	} else {
		k.ed = ed25519.NewKeyFromSeed(seed[:])
		k.public, err = jws.NewPublicKey(k.ed.Public())
	}
	check(tb, err)
	return k
}

func (k testKey) Public() jws.PublicKey { return k.public }

func (k testKey) Sign(input []byte) ([]byte, error) {
	if k.ed != nil {
		return ed25519.Sign(k.ed, input), nil
	}
	r, s, err := k.sign(input)
	if err != nil {
		return nil, err
	}
	n := elliptic.P256().Params().N
	if low := new(big.Int).Sub(n, s); low.Cmp(s) < 0 {
		s = low
	}
	return rawSignature(r, s), nil
}

func (k testKey) sign(input []byte) (r, s *big.Int, err error) {
	digest := sha256.Sum256(input)
	der, err := k.p256.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, nil, err
	}
	var sig struct{ R, S *big.Int }
	_, err = asn1.Unmarshal(der, &sig)
	return sig.R, sig.S, err
}

func rawSignature(r, s *big.Int) []byte {
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig
}

func (k testKey) multikey() jws.Multikey { return k.public.Multikey() }

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		check(tb, err)
		return v
	}
}

// wantKind fails unless err is of this kind and says something that a person can use.
func wantKind(tb testing.TB, err error, kind Kind) {
	tb.Helper()
	switch {
	case err == nil:
		tb.Errorf("accepted: expected %s", kind)
	case !errors.Is(err, kind):
		tb.Errorf("%s (%v): expected %s", KindOf(err), err, kind)
	case len(err.Error()) < 12 || len(err.Error()) > 600:
		tb.Errorf("message of %d bytes: %s", len(err.Error()), err)
	}
}

// policy is that of the test registry of country c, whose accreditation key is named "registry".
func policy(tb testing.TB, c Country) *Policy {
	p := DefaultPolicy(c)
	p.Accreditation = []jws.Multikey{key(tb, "registry").multikey()}
	p.Iat = start.Unix()
	return &p
}

// disclosure hides s behind a salt that is the same in every run.
func disclosure(tb testing.TB, s Strand) Disclosure {
	tb.Helper()
	salt := sha256.Sum256([]byte("dcann test salt " + s.ID + s.Path))
	return disclosureText(tb, must(encodeJSON([]any{jws.EncodeBase64(salt[:16]), s}))(tb))
}

func disclosureText(tb testing.TB, plain []byte) Disclosure {
	tb.Helper()
	text := jws.EncodeBase64(plain)
	d, err := decodeDisclosure(text)
	if err != nil {
		d = Disclosure{Text: text, Digest: digestOfText(text)}
	}
	return d
}

// provider is a well-formed identifier of an organisation that nobody registered.
func provider() ID { return NewID("de", OpIDOf(sha256.Sum256([]byte("an unknown provider")))) }

func strand(id string, v Visibility) Strand {
	return Strand{ID: id, Provider: provider(), Path: "s/" + id, Visibility: v, Class: []string{purchases}}
}

// decoys are n ascending digests that nothing fits, the same in every run.
func decoys(n int) []Digest {
	var ds []Digest
	for i := range n {
		ds = append(ds, DigestOf(sha256.Sum256([]byte{'d', byte(i)})))
	}
	return ds
}

// passport is a record with these rotation keys, one grant key, and the digests of ds.
func passport(tb testing.TB, rotation string, ds ...Disclosure) *Record {
	r := &Record{Kind: Passport, Keys: []Key{{ID: "grant-1", Key: key(tb, "grant-1").multikey(), Use: []Use{UseGrant}}}}
	r.Rotation = keys(tb, rotation)
	for _, d := range ds {
		r.Strands = append(r.Strands, d.Digest)
	}
	return r
}

// keys are the Multikeys of names separated by spaces.
func keys(tb testing.TB, names string) (ks []jws.Multikey) {
	for name := range strings.FieldsSeq(names) {
		ks = append(ks, key(tb, name).multikey())
	}
	return ks
}

func organisation(tb testing.TB, rotation, name string) *Record {
	return &Record{
		Kind: Organisation, Rotation: keys(tb, rotation), Name: name, LEI: "529900T8BM49AURSDO55", Jurisdiction: "fr",
		Keys:  []Key{{ID: "sign-1", Key: key(tb, "sign-1").multikey(), Use: []Use{UseSign}}},
		Roles: []Role{RoleProvider}, Domain: "vault.example",
		Endpoints: []Endpoint{{Protocol: protocol, URL: "https://vault.example/"}},
	}
}
