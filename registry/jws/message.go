package jws

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Header is the protected header of a message: these three members, and no other.
type Header struct {
	Alg Algorithm `json:"alg"`
	Kid string    `json:"kid"` // who signed: a Multikey or <DID>#<key id>; its form is the caller's to check
	Typ string    `json:"typ"` // what it is, as dcann-op+sd-jwt; the caller's to check
}

// Message is a compact JWS of the right form. That says nothing of its signature: see
// [Message.Verify]. It is immutable and owns its memory, about 7/4 of the text's length.
type Message struct {
	header                  Header
	text                    []byte // header.payload.signature
	signed                  int    // text[:signed] is the signing input
	rawHeader, payload, sig []byte // decoded
}

// Parse reads a compact JWS of at most max bytes. It checks the form alone: three parts of canonical
// base64url, a header as [Header] says, a payload that is not empty, and a signature of 64 bytes.
// The payload is any bytes; [DecodeJSON] reads it. The input is copied.
//
// The error's kind is TooLarge, found before anything else, or Invalid.
func Parse(compact []byte, max int) (Message, error) {
	if len(compact) > max {
		return Message{}, &Error{TooLarge, tooLong("JWS", len(compact), max)}
	}
	first := bytes.IndexByte(compact, '.')
	last := bytes.LastIndexByte(compact, '.')
	if first < 0 || first == last || bytes.IndexByte(compact[first+1:], '.') != last-first-1 {
		return Message{}, invalid("JWS: %d parts, expected three: header.payload.signature", bytes.Count(compact, []byte{'.'})+1)
	}
	// One allocation holds the text and its decoded parts.
	buf := make([]byte, len(compact), len(compact)+strictBase64.DecodedLen(len(compact)))
	copy(buf, compact)
	m := Message{text: buf[:len(compact):len(compact)], signed: last}
	for _, part := range []struct {
		name string
		text []byte
		to   *[]byte
	}{
		{"header", compact[:first], &m.rawHeader},
		{"payload", compact[first+1 : last], &m.payload},
		{"signature", compact[last+1:], &m.sig},
	} {
		if len(part.text) == 0 {
			return Message{}, invalid("JWS: the %s is empty", part.name)
		}
		start := len(buf)
		var err error
		if buf, err = appendBase64(buf, part.text); err != nil {
			return Message{}, invalid("JWS %s: %v", part.name, err)
		}
		*part.to = buf[start:len(buf):len(buf)]
	}
	if len(m.sig) != SignatureLen {
		return Message{}, invalid("JWS signature: %d bytes, expected %d", len(m.sig), SignatureLen)
	}
	var err error
	m.header, err = parseHeader(m.rawHeader)
	return m, err
}

func parseHeader(raw []byte) (Header, error) {
	var h Header
	if err := DecodeJSON(raw, &h); err != nil {
		return Header{}, invalid("JWS header: %v", err)
	}
	switch {
	case h.Alg != Ed25519 && h.Alg != ES256:
		return Header{}, invalid("JWS header: alg is %s, expected Ed25519 or ES256", quoted(string(h.Alg)))
	case h.Kid == "":
		return Header{}, invalid("JWS header: kid is missing or empty, expected the signer's key")
	case h.Typ == "":
		return Header{}, invalid("JWS header: typ is missing or empty, expected the kind of message")
	}
	return h, nil
}

// FromParts rebuilds a message from what [Message.Parts] gave, byte for byte: strict base64url has
// one spelling. The parts are copied. They must have come from a message; of a header that no message
// can have, Header is zero and Verify fails.
func FromParts(header, payload, sig []byte) Message {
	encoded := strictBase64.EncodedLen
	size := encoded(len(header)) + encoded(len(payload)) + encoded(len(sig)) + 2
	buf := make([]byte, 0, size+len(header)+len(payload)+len(sig))
	buf = append(strictBase64.AppendEncode(buf, header), '.')
	buf = strictBase64.AppendEncode(buf, payload)
	m := Message{signed: len(buf)}
	buf = strictBase64.AppendEncode(append(buf, '.'), sig)
	m.text = buf[:size:size]
	for _, part := range []struct{ from, to *[]byte }{
		{&header, &m.rawHeader}, {&payload, &m.payload}, {&sig, &m.sig},
	} {
		start := len(buf)
		buf = append(buf, *part.from...)
		*part.to = buf[start:len(buf):len(buf)]
	}
	m.header, _ = parseHeader(m.rawHeader)
	return m
}

// Parts are the decoded header, payload and signature, shared with m: not to be modified.
func (m Message) Parts() (header, payload, sig []byte) { return m.rawHeader, m.payload, m.sig }

// Header is the decoded header.
func (m Message) Header() Header { return m.header }

// Payload is the decoded payload, shared with m: not to be modified.
func (m Message) Payload() []byte { return m.payload }

// SigningInput is the text that is signed, header.payload, shared with m: not to be modified.
func (m Message) SigningInput() []byte { return m.text[:m.signed:m.signed] }

// Signature is the decoded signature, 64 bytes, shared with m: not to be modified.
func (m Message) Signature() []byte { return m.sig }

// Compact is the whole text, byte for byte as it was received. Each call makes a copy.
func (m Message) Compact() string { return string(m.text) }

// Name names the content, whoever signed it again: see [NameOf]. Each call hashes the signing input.
func (m Message) Name() string { return NameOf(m.SigningInput()) }

// Verify checks the signature with key, which the caller has found by the header's kid and whose
// codec fixes the algorithm. The error's kind is BadSignature, also when the header names an algorithm
// that is not the key's.
func (m Message) Verify(key PublicKey) error {
	if key.IsZero() {
		return badSignature("no key to verify with")
	}
	if m.header.Alg != key.alg {
		return badSignature("the header's alg is %s, but the key %s is for %s", quoted(string(m.header.Alg)), key.text, key.alg)
	}
	return key.Verify(m.SigningInput(), m.sig)
}

// Sign makes a message of payload, which must not be empty. kid and typ must not be empty either; alg is
// the key's. The payload is signed as it is: strict JSON is the caller's to write.
//
// The error's kind is Invalid, or the error is the signer's own. A signer that gives a signature of
// another form (DER, a high s) is refused here, not first by the registry.
func Sign(s Signer, kid, typ string, payload []byte) (Message, error) {
	key := s.Public()
	if key.IsZero() {
		return Message{}, invalid("sign: the signer has no key")
	}
	if kid == "" || typ == "" || len(payload) == 0 {
		return Message{}, invalid("sign: kid, typ or payload is empty")
	}
	header := []byte(`{"alg":"` + key.Algorithm() + `","kid":`)
	header, err := jsontext.AppendQuote(header, kid)
	if err != nil {
		return Message{}, invalid("sign: kid: %v", err)
	}
	header, err = jsontext.AppendQuote(append(header, `,"typ":`...), typ)
	if err != nil {
		return Message{}, invalid("sign: typ: %v", err)
	}
	header = append(header, '}')
	sig, err := s.Sign(FromParts(header, payload, nil).SigningInput())
	if err != nil {
		return Message{}, err
	}
	if err := key.checkForm(sig); err != nil {
		return Message{}, invalid("sign: the signer gave a %v", err)
	}
	return FromParts(header, payload, sig), nil
}
