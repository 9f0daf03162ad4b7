package jws

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// compact joins parts that need not be of the right form.
func compact(header, payload string, sig []byte) string {
	return EncodeBase64([]byte(header)) + "." + EncodeBase64([]byte(payload)) + "." + EncodeBase64(sig)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{Ed25519, ES256} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			key, m := message(t, alg)
			text := []byte(m.Compact())
			p, err := Parse(text, len(text))
			if err != nil {
				t.Fatal(err)
			}
			public, err := ParseMultikey(p.Header().Kid)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(public); err != nil {
				t.Error(err)
			}
			if want := (Header{alg, string(key.Public().Multikey()), "dcann-op+sd-jwt"}); p.Header() != want {
				t.Errorf("got header %+v, expected %+v", p.Header(), want)
			}
			if p.Name() != m.Name() || p.Name() != NameOf(p.SigningInput()) {
				t.Errorf("got name %s, expected %s", p.Name(), m.Name())
			}
			if !bytes.Equal(p.Payload(), m.Payload()) || !bytes.Equal(p.Signature(), m.Signature()) {
				t.Error("payload or signature changed on the way")
			}
			if got := string(p.SigningInput()) + "." + EncodeBase64(p.Signature()); got != string(text) {
				t.Errorf("signing input and signature make %s, expected %s", got, text)
			}
			// The message owns its memory.
			for i := range text {
				text[i] = 'x'
			}
			header, payload, sig := p.Parts()
			rebuilt := FromParts(header, payload, sig)
			if p.Compact() != m.Compact() || rebuilt.Compact() != m.Compact() || rebuilt.Header() != m.Header() {
				t.Error("the message changed with the text it was read from, or by FromParts")
			}
			if err := rebuilt.Verify(public); err != nil {
				t.Error(err)
			}
			if _ = append(p.SigningInput(), 'x'); p.Compact() != m.Compact() {
				t.Error("appending to the signing input writes into the message")
			}
		})
	}
}

func TestParseForm(t *testing.T) {
	t.Parallel()
	_, m := message(t, Ed25519)
	good := m.Compact()
	header, payload, sig := m.Parts()
	h, p, s := EncodeBase64(header), EncodeBase64(payload), EncodeBase64(sig)
	// Lengths that leave trailing bits in each part.
	h4 := EncodeBase64(append(bytes.Clone(header), ' '))
	for len(h4)%4 == 0 {
		h4 = EncodeBase64(append(bytes.Clone(header), "  "...))
	}
	stray := func(s string) string { // the last character's lowest bit, which is unused
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		i := strings.IndexByte(alphabet, s[len(s)-1])
		return s[:len(s)-1] + alphabet[i^1:i^1+1]
	}
	for name, c := range map[string]struct{ text, message string }{
		"nothing":              {"", "1 parts"},
		"a word":               {"hello", "1 parts"},
		"two parts":            {h + "." + p, "2 parts"},
		"four parts":           {good + ".", "4 parts"},
		"five parts":           {good + ".a.b", "5 parts"},
		"dots alone":           {"..", "header is empty"},
		"no header":            {"." + p + "." + s, "header is empty"},
		"no payload":           {h + ".." + s, "payload is empty"},
		"no signature":         {h + "." + p + ".", "signature is empty"},
		"padded header":        {h4 + strings.Repeat("=", 4-len(h4)%4) + "." + p + "." + s, "padding"},
		"padded signature":     {good + "==", "padding"},
		"stray bits, header":   {stray(h4) + "." + p + "." + s, "trailing bits"},
		"stray bits, payload":  {h + "." + stray("e30") + "." + s, "trailing bits"},
		"stray bits":           {stray(good), "trailing bits"},
		"one character over":   {h + ".e30AA." + s, "whole number"},
		"newline at the end":   {good + "\n", "line end"},
		"newline at the start": {"\n" + good, "line end"},
		"newline inside":       {h[:8] + "\n" + h[8:] + "." + p + "." + s, "line end at byte 8"},
		"return inside":        {h + "." + p[:4] + "\r" + p[4:] + "." + s, "line end at byte 4"},
		"newlines inside":      {h + "." + p + "." + s[:40] + "\r\n" + s[40:], "line end"},
		"space":                {h + "." + p + ". " + s, "base64url"},
		"tab":                  {h + "." + p + "." + s + "\t", "base64url"},
		"NUL":                  {h + "." + p + "." + s + "\x00", "base64url"},
		"not ASCII":            {h + "." + "é" + "." + s, "base64url"},
		"standard plus":        {h + ".+/+/." + s, "writes - and _"},
		"standard slash":       {h + "./+/+." + s, "writes - and _"},
		"63 bytes":             {h + "." + p + "." + EncodeBase64(sig[:63]), "63 bytes, expected 64"},
		"65 bytes":             {h + "." + p + "." + EncodeBase64(append(bytes.Clone(sig), 0)), "65 bytes, expected 64"},
		"disclosures":          {good + "~", "base64url"},
		"JSON serialisation":   {`{"protected":"` + h + `","payload":"` + p + `","signature":"` + s + `"}`, "1 parts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.text), 1<<20)
			wantError(t, err, Invalid, c.message)
		})
	}
	if _, err := Parse([]byte(h4+"."+p+"."+s), 1<<20); err != nil {
		t.Errorf("the text that the cases above spoil is itself refused: %v", err)
	}
	t.Run("too long", func(t *testing.T) {
		t.Parallel()
		_, err := Parse([]byte(good), len(good)-1)
		wantError(t, err, TooLarge, fmt.Sprintf("%d bytes, expected at most %d", len(good), len(good)-1))
		_, err = Parse([]byte(strings.Repeat("\n", 100)), 99)
		wantError(t, err, TooLarge, "")
	})
}

func TestHeader(t *testing.T) {
	t.Parallel()
	sig := make([]byte, 64)
	for name, c := range map[string]struct{ header, message string }{
		"empty object":        {`{}`, "alg"},
		"no alg":              {`{"kid":"k","typ":"t"}`, "alg"},
		"no kid":              {`{"alg":"ES256","typ":"t"}`, "kid is missing"},
		"no typ":              {`{"alg":"ES256","kid":"k"}`, "typ is missing"},
		"empty kid":           {`{"alg":"ES256","kid":"","typ":"t"}`, "kid is missing"},
		"empty typ":           {`{"alg":"ES256","kid":"k","typ":""}`, "typ is missing"},
		"none":                {`{"alg":"none","kid":"k","typ":"t"}`, `alg is "none"`},
		"EdDSA":               {`{"alg":"EdDSA","kid":"k","typ":"t"}`, `alg is "EdDSA", expected Ed25519 or ES256`},
		"lower case":          {`{"alg":"es256","kid":"k","typ":"t"}`, "alg"},
		"HS256":               {`{"alg":"HS256","kid":"k","typ":"t"}`, "alg"},
		"ES256K":              {`{"alg":"ES256K","kid":"k","typ":"t"}`, "alg"},
		"crit":                {`{"alg":"ES256","kid":"k","typ":"t","crit":["exp"]}`, "/crit: unknown member"},
		"b64":                 {`{"alg":"ES256","kid":"k","typ":"t","b64":false}`, "/b64: unknown member"},
		"jwk":                 {`{"alg":"ES256","kid":"k","typ":"t","jwk":{"kty":"EC"}}`, "/jwk: unknown member"},
		"cty":                 {`{"alg":"ES256","kid":"k","typ":"t","cty":"x"}`, "/cty: unknown member"},
		"empty member":        {`{"alg":"ES256","kid":"k","typ":"t","":"x"}`, "unknown member"},
		"duplicate":           {`{"alg":"ES256","alg":"ES256","kid":"k","typ":"t"}`, "/alg: duplicate"},
		"duplicate, escaped":  {`{"alg":"ES256","\u0061lg":"Ed25519","kid":"k","typ":"t"}`, "/alg: duplicate"},
		"duplicate kid":       {`{"alg":"ES256","kid":"k","typ":"t","kid":"l"}`, "/kid: duplicate"},
		"other case":          {`{"alg":"ES256","kid":"k","typ":"t","ALG":"none"}`, "/ALG: unknown"},
		"other case alone":    {`{"Alg":"ES256","kid":"k","typ":"t"}`, "/Alg: unknown"},
		"long s":              {`{"alg":"ES256","\u212aid":"k","typ":"t"}`, "unknown"}, // the Kelvin sign folds to k
		"alg a number":        {`{"alg":7,"kid":"k","typ":"t"}`, "/alg: a number, expected a string"},
		"alg an array":        {`{"alg":["ES256"],"kid":"k","typ":"t"}`, "/alg: an array, expected a string"},
		"kid an object":       {`{"alg":"ES256","kid":{},"typ":"t"}`, "/kid: an object, expected a string"},
		"kid null":            {`{"alg":"ES256","kid":null,"typ":"t"}`, "/kid: null"},
		"typ true":            {`{"alg":"ES256","kid":"k","typ":true}`, "/typ: true, expected a string"},
		"an array":            {`["ES256","k","t"]`, "an array, expected an object"},
		"a string":            {`"ES256"`, "a string, expected an object"},
		"null":                {`null`, "null"},
		"two objects":         {`{"alg":"ES256","kid":"k","typ":"t"}{}`, "after top-level value"},
		"trailing comma":      {`{"alg":"ES256","kid":"k","typ":"t",}`, "not JSON"},
		"comment":             {`{"alg":"ES256",/**/"kid":"k","typ":"t"}`, "not JSON"},
		"cut":                 {`{"alg":"ES256","kid":"k","typ":"t"`, "ends too early"},
		"byte order mark":     {"\ufeff" + `{"alg":"ES256","kid":"k","typ":"t"}`, "not JSON"},
		"not UTF-8":           {"{\"alg\":\"ES256\",\"kid\":\"\xff\",\"typ\":\"t\"}", "UTF-8"},
		"half a surrogate":    {`{"alg":"ES256","kid":"\ud800","typ":"t"}`, "surrogate"},
		"control character":   {"{\"alg\":\"ES256\",\"kid\":\"\x01\",\"typ\":\"t\"}", "not JSON"},
		"NUL after":           {`{"alg":"ES256","kid":"k","typ":"t"}` + "\x00", "not JSON"},
		"not JSON":            {`alg=ES256`, "not JSON"},
		"single quotes":       {`{'alg':'ES256'}`, "not JSON"},
		"a very long unknown": {`{"` + strings.Repeat("x", 10000) + `":1}`, "…: unknown member"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := Parse([]byte(compact(c.header, "{}", sig)), 1<<20)
			wantError(t, err, Invalid, c.message)
			if !strings.HasPrefix(err.Error(), "JWS header: ") {
				t.Errorf("the message %q does not say where", err)
			}
			if len(err.Error()) > 600 {
				t.Errorf("the message is %d bytes long", len(err.Error()))
			}
			if m.Header() != (Header{}) {
				t.Errorf("a header came with the error: %+v", m.Header())
			}
		})
	}
	// The order of members, white space and escapes are JSON's to choose: the bytes are what is signed.
	for _, header := range []string{
		`{"typ":"t","kid":"k","alg":"ES256"}`,
		"{\r\n \"alg\": \"ES256\", \"kid\": \"k\", \"typ\": \"t\" }\n",
		`{"\u0061lg":"ES256","kid":"\u006b","typ":"t"}`,
	} {
		m, err := Parse([]byte(compact(header, "any bytes \xff", sig)), 1<<20)
		if err != nil {
			t.Errorf("%s: %v", header, err)
		} else if m.Header() != (Header{ES256, "k", "t"}) {
			t.Errorf("%s: got %+v", header, m.Header())
		}
	}
}

// No change of a single character leaves a message that verifies.
func TestEveryCharacterIsSigned(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{Ed25519, ES256} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			key, m := message(t, alg)
			good := []byte(m.Compact())
			for i := range good {
				for _, c := range []byte{good[i] ^ 1, 'A', '-', '.', '\n'} {
					if c == good[i] {
						continue
					}
					text := bytes.Clone(good)
					text[i] = c
					bad, err := Parse(text, len(text))
					if err != nil {
						if !errors.Is(err, Invalid) {
							t.Fatalf("byte %d as %q: %v", i, c, err)
						}
						continue
					}
					if err := bad.Verify(key.Public()); !errors.Is(err, BadSignature) {
						t.Fatalf("byte %d as %q: got %v, expected a bad signature", i, c, err)
					}
				}
			}
		})
	}
}

func TestFromPartsOfNoMessage(t *testing.T) {
	t.Parallel()
	key, m := message(t, Ed25519)
	_, payload, sig := m.Parts()
	bad := FromParts([]byte(`{"alg":"Ed25519"}`), payload, sig)
	if bad.Header() != (Header{}) {
		t.Errorf("got header %+v of a header that no message can have", bad.Header())
	}
	wantError(t, bad.Verify(key.Public()), BadSignature, "alg")
	if got := FromParts(nil, nil, nil).Compact(); got != ".." {
		t.Errorf("got %q", got)
	}
	// The zero message is of no use, but does no harm.
	var zero Message
	if zero.Compact() != "" || len(zero.SigningInput()) != 0 {
		t.Error("the zero message has a text")
	}
	wantError(t, zero.Verify(key.Public()), BadSignature, "alg")
}
