package registry

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/big"
	"strings"

	"filippo.io/edwards25519"
	"github.com/mr-tron/base58"

	"crypto/elliptic"
	"encoding/asn1"

	"github.com/dcann/dcann/registry/jws"
)

// scenario is one rule and what proves it.
type scenario struct {
	rule string
	run  func(*scene)
}

func scenarios() map[string]scenario {
	all := make(map[string]scenario)
	for _, m := range []map[string]scenario{
		jsonScenarios, signatureScenarios, sizeScenarios, recordScenarios, strandScenarios,
		placeScenarios, recoverScenarios, endScenarios, quotaScenarios, orderScenarios,
		organisationScenarios, acceptanceScenarios,
	} {
		maps.Copy(all, m)
	}
	return all
}

// edits signs a create of r once for each pair of part and replacement, and expects it to be invalid.
func (s *scene) edits(r *Record, says string, pairs ...string) {
	s.Helper()
	for i := 0; i < len(pairs); i += 2 {
		s.refuseText(Invalid, says, s.edit("a", s.draft(Create, r), pairs[i], pairs[i+1]))
	}
}

var jsonScenarios = map[string]scenario{
	"invalid_json_duplicate_member": {"JSON is strict: no duplicate members, at any depth (DESIGN 4)", func(s *scene) {
		s.edits(passport(s, "a"), "duplicate member", `{"v":1,`, `{"v":1,"v":1,`, `"kind":"passport",`, `"kind":"passport","kind":"passport",`,
			`"id":"grant-1",`, `"id":"grant-1","id":"grant-1",`, `"v":1,`, `"v":1,"\u0076":1,`)
		d := disclosureText(s, []byte(`["AAAAAAAAAAAAAAAAAAAAAA",{"id":"x","id":"x","provider":"`+string(provider())+`","path":"p","visibility":"granted"}]`))
		s.refuse(Invalid, "duplicate member", "a", s.draft(Create, passport(s, "a", d)), d)
	}},
	"invalid_json_unknown_member": {"JSON is strict: no unknown members (DESIGN 4)", func(s *scene) {
		r := passport(s, "a")
		r.Strands = decoys(1)
		s.edits(r, "unknown member", `{"v":1,`, `{"v":1,"note":"x",`, `"kind":"passport",`, `"kind":"passport","x":[],`,
			`"id":"grant-1",`, `"id":"grant-1","x":1,`, `{"...":`, `{"x":1,"...":`, string(r.Strands[0])+`"`, string(r.Strands[0])+`","x":1`)
		d := disclosureText(s, []byte(`["AAAAAAAAAAAAAAAAAAAAAA",{"id":"x","provider":"`+string(provider())+`","path":"p","visibility":"granted","x":1}]`))
		s.refuse(Invalid, "unknown member", "a", s.draft(Create, passport(s, "a", d)), d)
	}},
	"invalid_json_case_folded_member": {"JSON is strict: a member is not another one in capitals (DESIGN 4)", func(s *scene) {
		s.edits(passport(s, "a"), "unknown member", `"act":`, `"Act":`, `"kind":`, `"KIND":`, `"use":`, `"uSe":`)
		s.edits(passport(s, "a"), "", `"act":"create"`, `"act":"create","ACT":"update"`)
	}},
	"invalid_json_null": {"JSON is strict: what is absent is left out, never null (DESIGN 4)", func(s *scene) {
		s.edits(passport(s, "a"), "null", `"v":1,`, `"v":1,"undo":null,`, `"kind":"passport",`, `"kind":"passport","name":null,`,
			`"seq":0`, `"seq":null`, `"use":["grant"]`, `"use":null`, `"use":["grant"]`, `"use":["grant"],"retired":null`, `"strands":[]`, `"strands":null`)
	}},
	"invalid_json_number": {"integers are written as integers (DESIGN 4)", func(s *scene) {
		s.edits(passport(s, "a"), "", `"v":1`, `"v":1.0`, `"seq":0`, `"seq":0.0`, `"seq":0`, `"seq":-0`, `"iat":17949`, `"iat":1.7949e9,"x":17949`,
			`"iat":1794900000`, `"iat":1794900000.5`, `"seq":0`, `"seq":"0"`, `"seq":0`, `"seq":18446744073709551616`, `"seq":0`, `"seq":-1`, `"v":1`, `"v":2`,
			`"iat":1794900000`, `"iat":-1794900000`, `"iat":1794900000`, `"iat":01794900000`)
	}},
	"invalid_json_trailing_data": {"nothing follows a JSON text, and an operation ends in ~ (DESIGN 4, 5)", func(s *scene) {
		s.edits(passport(s, "a"), "", `"strands":[]}}`, `"strands":[]}}{}`, `"strands":[]}}`, `"strands":[]}}]`, `"strands":[]}}`, `"strands":[]}`)
		good := string(s.sign("a", s.draft(Create, passport(s, "a"))))
		for _, bad := range []string{good + "\n", good + "x", good + "~", good[:len(good)-1], " " + good, "", "~", "{}~", good + good} {
			s.refuseText(Invalid, "", []byte(bad))
		}
		s.refuseText(Invalid, "", []byte(strings.Replace(good, ".", "..", 1)))
		s.refuseText(Invalid, "", s.signText("a", "", "[]"))
		s.refuseText(Invalid, "", s.signText("a", "", "\xff"))
	}},
	"invalid_base64url": {"base64url has one spelling: no padding, no other alphabet, no stray bits (DESIGN 4)", func(s *scene) {
		d := disclosure(s, strand("x", Granted))
		good := string(s.sign("a", s.draft(Create, passport(s, "a", d)), d))
		parts := strings.FieldsFunc(good, func(c rune) bool { return c == '.' || c == '~' })
		for i := range parts {
			for _, bad := range []string{parts[i] + "=", parts[i] + "==", parts[i] + "\n", parts[i] + "A", strings.Map(standard, parts[i]), strayBits(parts[i])} {
				if bad == parts[i] {
					continue
				}
				p := bytes.Replace([]byte(good), []byte(parts[i]), []byte(bad), 1)
				s.refuseText(Invalid, "", p)
			}
		}
	}},
	"invalid_members_of_act": {"every act has its own members, and no others (DESIGN 5)", func(s *scene) {
		create := s.do("a", s.draft(Create, passport(s, "a")))
		id, op := `"id":"`+string(s.id)+`",`, `"`+string(create.Name)+`"`
		s.edits(passport(s, "a"), "payload.id", `"seq":0`, id+`"prev":`+op+`,"seq":0`, `"seq":0`, `"prev":`+op+`,"seq":0`)
		s.edits(passport(s, "a"), "payload.undo", `"seq":0`, `"undo":`+op+`,"seq":0`)
		s.edits(passport(s, "a"), "payload.to", `"seq":0`, `"to":"de","seq":0`)
		s.edits(passport(s, "a"), "payload.country", `"country":"fr",`, ``)
		s.edits(passport(s, "a"), "payload.country", `"country":"fr"`, `"country":"FR"`, `"country":"fr"`, `"country":"fra"`)
		s.edits(passport(s, "a"), "payload.seq", `"seq":0`, `"seq":1`, `"seq":0,`, ``)
		s.edits(passport(s, "a"), "payload.iat", `"iat":1794900001,`, ``)
		s.edits(passport(s, "a"), "payload.act", `"act":"create",`, ``, `"act":"create"`, `"act":"Create"`, `"act":"create"`, `"act":""`)
		s.edits(passport(s, "a"), "payload.v", `"v":1,`, ``)
		for _, c := range []struct{ act, part, by string }{
			{"update", `"country"`, ``}, // none of these has a country
			{"update", `"prev":` + op + `,`, ``}, {"update", id, ``}, {"update", `"seq":1`, `"seq":0`}, {"update", `"seq"`, `"undo":` + op + `,"seq"`},
			{"deactivate", `}`, `,"record":{"kind":"passport","rotation":[],"keys":[],"strands":[]}}`}, {"deactivate", `}`, `,"undo":` + op + `}`},
			{"erase", `}`, `,"to":"de"}`}, {"recover", `"undo":` + op + `,`, ``},
		} {
			content := s.draft(Act(c.act), passport(s, "a"))
			content.Undo = create.Name
			if c.by == "" && c.part == `"country"` {
				c.part, c.by = `"id"`, `"country":"fr","id"`
			}
			s.refuseText(Invalid, "payload.", s.edit("a", content, c.part, c.by))
		}
	}},
	"invalid_transfer": {"transfer is reserved until federation exists (DESIGN 5)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		s.refuseText(Invalid, "reserved", s.edit("a", s.draft(Update, passport(s, "a")), `"act":"update"`, `"act":"transfer","to":"de"`))
		s.refuseText(Invalid, "reserved", s.edit("a", s.draft(Update, passport(s, "a")), `"act":"update"`, `"act":"transfer"`))
	}},
	"invalid_identifier": {"an identifier has one spelling (DESIGN 3)", func(s *scene) {
		s.do("a", s.draft(Create, passport(s, "a")))
		id := string(s.id)
		for _, bad := range []string{
			strings.ToUpper(id), id[:13] + strings.ToUpper(id[13:]), id[:10] + "FR" + id[12:], "DID" + id[3:], id[:len(id)-1], id + "a", id + "=", "", id[:13],
			id[:13] + "z" + id[14:], id[:len(id)-1] + "b", id[:10] + "f1" + id[12:], strings.Replace(id, ":fr:", ":fra", 1), id[:68] + "1", " " + id[1:],
		} {
			s.refuseText(Invalid, "payload.id", s.edit("a", s.draft(Update, passport(s, "a")), id, bad))
		}
		for _, bad := range []string{"", id, id[13:68], strings.ToUpper(id[13:]), id[13:] + "a"} {
			s.refuseText(Invalid, "payload.prev", s.edit("a", s.draft(Update, passport(s, "a")), `"prev":"`+id[13:], `"prev":"`+bad))
		}
	}},
}

func standard(c rune) rune {
	switch c {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return c
}

// strayBits sets bits of the last character that no byte holds; text without such bits comes back.
func strayBits(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(text)%4 == 0 {
		return text
	}
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[last|1:last|1+1]
}

// signText signs any payload under a header; an empty one is the usual.
func (s *scene) signText(signer, header, payload string) []byte {
	s.Helper()
	k := key(s, signer)
	if header == "" {
		header = fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"%s"}`, k.public.Algorithm(), k.multikey(), TypOperation)
	}
	unsigned := jws.FromParts([]byte(header), []byte(payload), nil)
	sig := must(k.Sign(unsigned.SigningInput()))(s)
	return AppendOperation(nil, jws.FromParts([]byte(header), []byte(payload), sig), nil)
}

// point is an Ed25519 key of these bytes as text, whatever they are.
func point(b []byte) string { return "z" + base58.Encode(append([]byte{0xed, 0x01}, b...)) }

// badKeys are texts that are no keys.
func badKeys(s *scene) map[string]string {
	order8 := []byte{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}
	torsion := must(new(edwards25519.Point).SetBytes(order8))(s)
	honest := must(new(edwards25519.Point).SetBytes(key(s, "a").ed[32:]))(s)
	one := append([]byte{1}, make([]byte, 31)...)
	// y = p + 3: a point, but one whose canonical encoding is y = 3.
	notCanonical := append([]byte{0xf0}, bytes.Repeat([]byte{0xff}, 30)...)
	p256 := key(s, "p256").p256.PublicKey
	uncompressed := must(p256.Bytes())(s)
	good := string(key(s, "a").multikey())
	return map[string]string{
		"order 1": point(one), "order 8": point(order8), "mixed order": point(new(edwards25519.Point).Add(honest, torsion).Bytes()),
		"not canonical": point(append(notCanonical, 0x7f)), "not a point": point(append([]byte{2}, make([]byte, 31)...)), "31 bytes": point(one[:31]),
		"P-256 uncompressed":      "z" + base58.Encode(append([]byte{0x80, 0x24}, uncompressed...)),
		"P-256 not on the curve":  "z" + base58.Encode(append([]byte{0x80, 0x24, 2}, bytes.Repeat([]byte{0xff}, 32)...)),
		"secp256k1":               "z" + base58.Encode(append([]byte{0xe7, 0x01}, order8...)),
		"another multibase":       "u" + good[1:],
		"capitals":                strings.ToUpper(good),
		"leading zero":            "z1" + good[1:],
		"empty":                   "",
		"longer than any":         good + good,
		"a did:key":               "did:key:" + good,
		"zero in place of a char": good[:10] + "0" + good[11:],
	}
}

var signatureScenarios = map[string]scenario{
	"valid_both_algorithms": {"Ed25519 and P-256 sign alike (DESIGN 4)", func(s *scene) {
		s.do("p256-a", s.draft(Create, passport(s, "p256-a b p256-c")))
		s.do("b", s.draft(Update, passport(s, "p256-a b p256-c")))
		op := s.do("p256-c", s.draft(Update, passport(s, "p256-a b")))
		s.do("p256-a", s.undo(op, passport(s, "p256-a b")))
	}},
	"invalid_key": {"keys are canonical points of the prime-order subgroup, or compressed points of P-256 (DESIGN 4)", func(s *scene) {
		good := key(s, "a").multikey()
		for name, bad := range sorted(badKeys(s)) {
			s.refuseText(Invalid, "", s.edit("a", s.draft(Create, passport(s, "a b")), string(key(s, "b").multikey()), bad))
			s.refuseText(Invalid, "", s.edit("a", s.draft(Create, passport(s, "a")), string(key(s, "grant-1").multikey()), bad))
			header := fmt.Sprintf(`{"alg":"Ed25519","kid":"%s","typ":"%s"}`, bad, TypOperation)
			payload := strings.Replace(string(must(s.draft(Create, passport(s, "a")).encode())(s)), string(good), bad, 1)
			if s.refuseText(Invalid, "", s.signText("a", header, payload)); s.Failed() {
				s.Fatal(name)
			}
		}
	}},
	"invalid_small_order_signature": {"a key of small order signs anything: no such key is one (DESIGN 4)", func(s *scene) {
		// With A of order 1, R = identity and S = 0 satisfy the equation for every message.
		identity := append([]byte{1}, make([]byte, 31)...)
		header := fmt.Sprintf(`{"alg":"Ed25519","kid":"%s","typ":"%s"}`, point(identity), TypOperation)
		payload := strings.Replace(string(must(s.draft(Create, passport(s, "a")).encode())(s)), string(key(s, "a").multikey()), point(identity), 1)
		sig := append(identity, make([]byte, 32)...)
		s.refuseText(Invalid, "order", AppendOperation(nil, jws.FromParts([]byte(header), []byte(payload), sig), nil))
	}},
	"invalid_signature": {"the signature fits the signing input and the key (DESIGN 4)", func(s *scene) {
		good := s.sign("a", s.draft(Create, passport(s, "a")))
		msg := must(ParseOperation(good))(s).Message()
		header, payload, sig := msg.Parts()
		for _, at := range []int{0, 31, 32, 62} {
			bad := bytes.Clone(sig)
			bad[at] ^= 1
			s.refuseText(BadSignature, "", AppendOperation(nil, jws.FromParts(header, payload, bad), nil))
		}
		// S + ℓ verifies where S is not checked to be canonical.
		s.refuseText(BadSignature, "", AppendOperation(nil, jws.FromParts(header, payload, plusOrder(sig)), nil))
		other := bytes.Replace(payload, []byte(`"iat":1794900000`), []byte(`"iat":1794900001`), 1)
		s.refuseText(BadSignature, "", AppendOperation(nil, jws.FromParts(header, other, sig), nil))
		s.refuseText(Invalid, "", AppendOperation(nil, jws.FromParts(header, payload, sig[:63]), nil))
		s.refuseText(Invalid, "", AppendOperation(nil, jws.FromParts(header, payload, append(bytes.Clone(sig), 0)), nil))
	}},
	"invalid_p256_signature": {"P-256 signatures are raw r‖s with the lower s (DESIGN 4)", func(s *scene) {
		k := key(s, "p256-a")
		header := fmt.Sprintf(`{"alg":"ES256","kid":"%s","typ":"%s"}`, k.multikey(), TypOperation)
		payload := must(s.draft(Create, passport(s, "p256-a")).encode())(s)
		with := func(sig []byte) []byte {
			return AppendOperation(nil, jws.FromParts([]byte(header), payload, sig), nil)
		}
		r, sv, err := k.sign(jws.FromParts([]byte(header), payload, nil).SigningInput())
		check(s, err)
		n := elliptic.P256().Params().N
		low, high := sv, new(big.Int).Sub(n, sv)
		if low.Cmp(high) > 0 {
			low, high = high, low
		}
		der := must(asn1.Marshal(struct{ R, S *big.Int }{r, low}))(s)
		s.refuseText(Invalid, "signature", with(der))
		s.refuseText(BadSignature, "high s", with(rawSignature(r, high)))
		s.refuseText(BadSignature, "", with(rawSignature(new(big.Int), low)))
		s.refuseText(BadSignature, "", with(rawSignature(r, new(big.Int))))
		s.refuseText(BadSignature, "", with(rawSignature(low, r)))
		s.post(with(rawSignature(r, low)), false, "", "")
	}},
	"invalid_algorithm": {"the key fixes the algorithm; a header never chooses (DESIGN 4)", func(s *scene) {
		payload := string(must(s.draft(Create, passport(s, "a")).encode())(s))
		for _, alg := range []string{"EdDSA", "none", "HS256", "ES384", "ed25519", "ES256K", ""} {
			header := fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"%s"}`, alg, key(s, "a").multikey(), TypOperation)
			s.refuseText(Invalid, "alg", s.signText("a", header, payload))
		}
		header := fmt.Sprintf(`{"alg":"ES256","kid":"%s","typ":"%s"}`, key(s, "a").multikey(), TypOperation)
		s.refuseText(BadSignature, "alg", s.signText("a", header, payload))
		header = fmt.Sprintf(`{"alg":"Ed25519","kid":"%s","typ":"%s"}`, key(s, "p256-a").multikey(), TypOperation)
		payload = string(must(s.draft(Create, passport(s, "p256-a")).encode())(s))
		s.refuseText(BadSignature, "alg", s.signText("p256-a", header, payload))
	}},
	"invalid_header": {"a header has exactly alg, kid and typ (DESIGN 4)", func(s *scene) {
		payload := string(must(s.draft(Create, passport(s, "a")).encode())(s))
		good := fmt.Sprintf(`"alg":"Ed25519","kid":"%s","typ":"%s"`, key(s, "a").multikey(), TypOperation)
		for _, extra := range []string{`"crit":["b64"]`, `"b64":false`, `"jwk":{}`, `"x5c":[]`, `"cty":"JWT"`, `"Alg":"Ed25519"`, `"alg":"Ed25519"`, `"nonce":"x"`} {
			s.refuseText(Invalid, "header", s.signText("a", "{"+good+","+extra+"}", payload))
		}
		for _, missing := range []string{
			fmt.Sprintf(`{"alg":"Ed25519","typ":"%s"}`, TypOperation), fmt.Sprintf(`{"alg":"Ed25519","kid":"%s"}`, key(s, "a").multikey()),
			fmt.Sprintf(`{"kid":"%s","typ":"%s"}`, key(s, "a").multikey(), TypOperation), `{}`, `[]`, `"x"`,
		} {
			s.refuseText(Invalid, "header", s.signText("a", missing, payload))
		}
		for _, typ := range []string{"dcann-op", "JWT", "dcann-op+jwt", TypStatus, "DCANN-OP+SD-JWT", TypOperation + " "} {
			s.refuseText(Invalid, "typ", s.signText("a", strings.Replace("{"+good+"}", TypOperation, typ, 1), payload))
		}
	}},
}

// plusOrder adds the order of the base point to S.
func plusOrder(sig []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := make([]byte, 32)
	for i := range s {
		s[i] = sig[63-i]
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	out := bytes.Clone(sig)
	for i := range s {
		out[63-i] = sum[i]
	}
	return out
}

var sizeScenarios = map[string]scenario{
	"invalid_too_large": {"an operation has at most 32 KiB, its payload 8 KiB: 413 before anything is parsed (DESIGN 5, 6)", func(s *scene) {
		s.refuseText(TooLarge, "32768", bytes.Repeat([]byte("~"), MaxOperation+1))
		good := s.sign("a", s.draft(Create, passport(s, "a")))
		s.refuseText(TooLarge, "32768", append(good, bytes.Repeat([]byte("A"), MaxOperation)...))
		s.refuseText(TooLarge, "8192", s.edit("a", s.draft(Create, passport(s, "a")), `"kind"`, strings.Repeat(" ", MaxPayload)+`"kind"`))
		// Nothing in these is right, and yet it is their size that is told.
		s.refuseText(TooLarge, "8192", []byte("x."+strings.Repeat("!", 12_000)+".x"))
		s.refuseText(TooLarge, "8192", []byte("."+strings.Repeat("=", 12_000)))
	}},
	"valid_largest_payload": {"a payload of exactly 8 KiB passes (DESIGN 5)", func(s *scene) {
		n := MaxPayload - len(must(s.draft(Create, passport(s, "a")).encode())(s))
		s.post(s.edit("a", s.draft(Create, passport(s, "a")), `"kind"`, strings.Repeat(" ", n)+`"kind"`), false, "", "")
	}},
	"invalid_payload_one_byte_over": {"a payload of 8 KiB and one byte does not pass (DESIGN 5)", func(s *scene) {
		n := MaxPayload + 1 - len(must(s.draft(Create, passport(s, "a")).encode())(s))
		s.refuseText(TooLarge, "8193", s.edit("a", s.draft(Create, passport(s, "a")), `"kind"`, strings.Repeat(" ", n)+`"kind"`))
	}},
	"invalid_misdirected": {"another country's identifiers are refused with the country to ask (DESIGN 6)", func(s *scene) {
		content := s.draft(Create, passport(s, "a"))
		content.Country = "de"
		s.refuse(Misdirected, "country de", "a", content)
		s.do("a", s.draft(Create, passport(s, "a")))
		content = s.draft(Update, passport(s, "a"))
		content.ID = NewID("nl", OpIDOf(sha256.Sum256(nil)))
		s.refuse(Misdirected, "country nl", "a", content)
	}},
}
