package jws

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
)

// libraryName writes a name by the multiformats' own libraries.
func libraryName(tb testing.TB, code uint64, input []byte) string {
	tb.Helper()
	hash, err := multihash.Sum(input, code, -1)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := multibase.Encode(multibase.Base32, hash)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestName(t *testing.T) {
	t.Parallel()
	// SHA-256 of "abc" (FIPS 180-2), written by python3's hashlib and base64.
	if got, want := NameOf([]byte("abc")), "bciqlu6awx6hqdt7kifaubxs5vyrchmadmgrzmf32ts2bb73b6iablli"; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
	for _, input := range []string{"", "a", "abc", strings.Repeat("x", 1000)} {
		name := NameOf([]byte(input))
		if want := libraryName(t, multihash.SHA2_256, []byte(input)); name != want {
			t.Errorf("got %s, expected %s as go-multihash has it", name, want)
		}
		digest, err := ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		if digest != sha256.Sum256([]byte(input)) || FormatName(digest) != name || len(name) != NameLen {
			t.Errorf("%s does not come back", name)
		}
	}
}

func TestNameForm(t *testing.T) {
	t.Parallel()
	good := NameOf([]byte("abc"))
	// 34 bytes leave three bits of the last character: with them zero it is a, i, q or y.
	last := strings.IndexByte(nameAlphabet, good[NameLen-1])
	long, err := multihash.Encode(make([]byte, 32), multihash.SHA3_256)
	if err != nil {
		t.Fatal(err)
	}
	sha3, err := multibase.Encode(multibase.Base32, long)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, message string }{
		"empty":                {"", "expected b"},
		"too short":            {good[:NameLen-1], "expected b"},
		"too long":             {good + "a", "expected b"},
		"padded":               {good + "=", "expected b"},
		"very long":            {strings.Repeat("b", 1<<20), "expected b"},
		"upper-case multibase": {"B" + good[1:], "expected b"},
		"upper case":           {"b" + strings.ToUpper(good[1:]), "lower-case base32"},
		"one upper case":       {good[:20] + strings.ToUpper(good[20:21]) + good[21:], "lower-case base32"},
		"digit 1":              {good[:20] + "1" + good[21:], "byte 0x31 at 20"},
		"digit 8":              {good[:20] + "8" + good[21:], "byte 0x38 at 20"},
		"newline":              {good[:NameLen-1] + "\n", "byte 0x0a"},
		"newline inside":       {good[:20] + "\n" + good[21:], "byte 0x0a"},
		"not ASCII":            {good[:NameLen-2] + "é", "byte 0xc3"},
		"trailing bit":         {good[:NameLen-1] + nameAlphabet[last^1:last^1+1], "trailing bits"},
		"trailing bits":        {good[:NameLen-1] + nameAlphabet[last^4:last^4+1], "trailing bits"},
		"SHA3-256":             {sha3, "not a sha2-256 multihash"},
		"length 33":            {"bciqq" + good[5:], "not a sha2-256 multihash"},
		"all zero":             {"b" + strings.Repeat("a", NameLen-1), "not a sha2-256 multihash"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			digest, err := ParseName(c.text)
			wantError(t, err, Invalid, c.message)
			if digest != [32]byte{} {
				t.Error("a digest came with the error")
			}
			if len(err.Error()) > 600 {
				t.Errorf("the message is %d bytes long", len(err.Error()))
			}
		})
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"", "b", NameOf(nil), NameOf([]byte("abc")), strings.ToUpper(NameOf(nil)), NameOf(nil) + "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		digest, err := ParseName(s)
		if (err == nil) != libraryAccepts(s) {
			t.Errorf("%q: got %v, but the multiformats' libraries say %v", s, err, libraryAccepts(s))
		}
		if err == nil && FormatName(digest) != s {
			t.Errorf("%q has the other spelling %q", s, FormatName(digest))
		}
	})
}

// libraryAccepts decodes a name with the multiformats' libraries, encodes it again and compares.
func libraryAccepts(s string) bool {
	base, raw, err := multibase.Decode(s)
	if err != nil || base != multibase.Base32 {
		return false
	}
	hash, err := multihash.Decode(raw)
	if err != nil || hash.Code != multihash.SHA2_256 || hash.Length != 32 {
		return false
	}
	again, err := multibase.Encode(base, raw)
	return err == nil && again == s
}
