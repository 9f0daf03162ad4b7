package registry

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dcann/dcann/registry/jws"
)

// TestFormatExample makes the worked example of FORMAT.md step by step, as it tells an implementer to.
func TestFormatExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("FORMAT.md")
	check(t, err)
	told := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z ]+):\n\n    (.+)$`).FindAllStringSubmatch(string(text), -1) {
		told[m[1]] = m[2]
	}
	is := func(name, want string) {
		t.Helper()
		if told[name] != want {
			t.Errorf("FORMAT.md, %s:\n    %s\nit is:\n    %s", name, told[name], want)
		}
	}
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(i)
	}
	k := testKey{ed: ed25519.NewKeyFromSeed(seed)}
	k.public, err = jws.NewPublicKey(k.ed.Public())
	check(t, err)
	is("key", string(k.public.Multikey()))

	disclosure := base64.RawURLEncoding.EncodeToString([]byte(told["salt and strand"]))
	is("disclosure", disclosure)
	d, err := ParseDisclosure(disclosure)
	check(t, err)
	is("digest", string(d.Digest))

	m, err := jws.Sign(k, string(k.public.Multikey()), TypOperation, []byte(told["payload"]))
	check(t, err)
	header, _, _ := m.Parts()
	is("header", string(header))
	is("name", m.Name())
	is("operation", m.Compact()+"~"+disclosure+"~")

	op, err := ParseOperation([]byte(told["operation"]))
	check(t, err)
	is("identifier", string(op.ID))
	if err := op.signature; err != nil || len(op.Disclosures) != 1 || op.Disclosures[0].Strand.ID != "purchases" || !strings.Contains(told["payload"], string(d.Digest)) {
		t.Errorf("%v, %+v", err, op)
	}
}
