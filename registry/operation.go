package registry

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry/jws"
)

// Act is what an operation does.
type Act string

// The acts (DESIGN 5). Transfer is reserved until federation and refused.
const (
	Create     Act = "create"
	Update     Act = "update"
	Recover    Act = "recover"
	Deactivate Act = "deactivate"
	Erase      Act = "erase"
	Transfer   Act = "transfer"
)

// Caps on an operation, checked before parsing (DESIGN 5).
const (
	MaxPayload   = 8 << 10  // bytes of the JWS payload, decoded
	MaxOperation = 32 << 10 // bytes of the whole SD-JWT as sent
	TypOperation = "dcann-op+sd-jwt"
)

// Content is what an operation says: the payload of its JWS. Prev, Seq and ID are zero in a create,
// Country in all others; Undo belongs to a recover. Record is nil in a deactivate or erase.
type Content struct {
	Act     Act
	Country Country
	ID      ID // of a create: the identifier that it makes
	Prev    OpID
	Seq     uint64
	Iat     int64 // unix seconds
	Undo    OpID
	Record  *Record
}

// Operation is an operation whose form is right (DESIGN 4, 5); whether its signer may do what it says is
// for Lineage.Check. It is immutable and safe for concurrent use.
type Operation struct {
	Content
	Name        OpID
	Signer      jws.Multikey
	Disclosures []Disclosure
	message     jws.Message
	record      []byte // the record as signed: a slice of the payload
	signature   error  // nil if the signature is good
}

// ParseOperation checks size, form and signature of an SD-JWT <JWS>~<disclosure>~…~ (RFC 9901). It takes
// no lock and does no I/O, and is the expensive part of a write: call it before anything is locked.
//
// A bad signature is no error yet: other refusals come first in the order of DESIGN 6, and Lineage.Check
// reports it in its turn. The error's kind is TooLarge or Invalid.
func ParseOperation(raw []byte) (*Operation, error) {
	op, err := parse(raw)
	if err != nil {
		return nil, err
	}
	key, err := op.checkForm()
	if err != nil {
		return nil, err
	}
	op.signature = op.message.Verify(key)
	return op, nil
}

// ReplayOperation parses an operation that was checked when it was accepted: from the Raft log, where
// its proposer checked it, or from the store. It repeats neither signature nor key nor vocabulary checks,
// so never give it bytes of other origin.
func ReplayOperation(raw []byte) (*Operation, error) { return parse(raw) }

func parse(raw []byte) (*Operation, error) {
	if len(raw) > MaxOperation {
		return nil, fail(TooLarge, "operation has %d bytes: expected at most %d", len(raw), MaxOperation)
	}
	jwsText, rest, ok := bytes.Cut(raw, []byte("~"))
	if n := payloadSize(jwsText); n > MaxPayload {
		return nil, fail(TooLarge, "payload has %d bytes: expected at most %d", n, MaxPayload)
	}
	if !ok || len(rest) > 0 && rest[len(rest)-1] != '~' {
		return nil, invalid("operation: expected <JWS>~<disclosure>~…~, ending in ~")
	}
	msg, err := jws.Parse(jwsText, MaxOperation)
	if err != nil {
		return nil, err
	}
	return build(msg, rest)
}

// payloadSize is how many bytes the payload of a compact JWS decodes to, before it is decoded.
func payloadSize(compact []byte) int {
	_, rest, _ := bytes.Cut(compact, []byte("."))
	payload, _, _ := bytes.Cut(rest, []byte("."))
	return base64.RawURLEncoding.DecodedLen(len(payload))
}

func build(msg jws.Message, disclosures []byte) (*Operation, error) {
	if typ := msg.Header().Typ; typ != TypOperation {
		return nil, invalid("header.typ %.40q: expected %s", typ, TypOperation)
	}
	op := &Operation{message: msg, Name: OpID(msg.Name()), Signer: jws.Multikey(msg.Header().Kid)}
	if err := op.decodePayload(); err != nil {
		return nil, err
	}
	if op.Act == Create {
		op.ID = NewID(op.Country, op.Name)
	}
	if err := op.decodeDisclosures(disclosures); err != nil {
		return nil, err
	}
	return op, nil
}

func (op *Operation) decodeDisclosures(rest []byte) error {
	if len(rest) == 0 {
		return nil
	}
	texts := strings.Split(string(rest[:len(rest)-1]), "~")
	if op.Record == nil || op.Record.Kind != Passport || len(texts) > len(op.Record.Strands) {
		return invalid("operation has %d disclosures: more than its record has digests", len(texts))
	}
	op.Disclosures = make([]Disclosure, 0, len(texts))
	for i, text := range texts {
		d, err := decodeDisclosure(text)
		if err != nil {
			return err
		}
		if !slices.Contains(op.Record.Strands, d.Digest) {
			return invalid("disclosures[%d]: its digest %s is not in record.strands", i, d.Digest)
		}
		op.Disclosures = append(op.Disclosures, d)
	}
	return nil
}

// checkForm makes the checks that ReplayOperation leaves out.
func (op *Operation) checkForm() (signer jws.PublicKey, err error) {
	if signer, err = jws.ParseMultikey(string(op.Signer)); err != nil {
		return signer, invalid("header.kid: %v", err)
	}
	if op.Record == nil {
		return signer, nil
	}
	if err := op.Record.check(); err != nil {
		return signer, err
	}
	if err := op.Record.checkPoints(op.Signer); err != nil {
		return signer, err
	}
	ids := make(map[string]bool, len(op.Record.Keys)+len(op.Disclosures))
	for _, k := range op.Record.Keys {
		ids[k.ID] = true
	}
	for i, d := range op.Disclosures {
		if err := d.Strand.check(); err != nil {
			return signer, invalid("disclosures[%d]: %v", i, err)
		}
		if ids[d.Strand.ID] {
			return signer, invalid("disclosures[%d]: strand id %q is also that of a key or another strand", i, d.Strand.ID)
		}
		ids[d.Strand.ID] = true
	}
	return signer, nil
}

// checkPoints parses every key of the record but the one that is known to be good.
func (r *Record) checkPoints(good jws.Multikey) error {
	for i, k := range r.Rotation {
		if k == good {
			continue
		}
		if _, err := jws.ParseMultikey(string(k)); err != nil {
			return invalid("record.rotation[%d]: %v", i, err)
		}
	}
	for i, k := range r.Keys {
		if _, err := jws.ParseMultikey(string(k.Key)); k.Key != good && err != nil {
			return invalid("record.keys[%d].key: %v", i, err)
		}
	}
	return nil
}

// Bytes is the operation as an SD-JWT, with the disclosures it came with.
func (op *Operation) Bytes() []byte {
	return AppendOperation(nil, op.message, op.Disclosures)
}

// AppendOperation writes the SD-JWT of message with disclosures to dst.
func AppendOperation(dst []byte, message jws.Message, disclosures []Disclosure) []byte {
	dst = append(append(dst, message.Compact()...), '~')
	for _, d := range disclosures {
		dst = append(append(dst, d.Text...), '~')
	}
	return dst
}

// Message is the JWS without disclosures.
func (op *Operation) Message() jws.Message { return op.message }

// RecordJSON is the record as signed, nil if the operation carries none. Do not modify it.
func (op *Operation) RecordJSON() jsontext.Value { return op.record }

// ParseStored rebuilds an operation from the decoded parts of its JWS, as the state keeps them. Like
// ReplayOperation it trusts that the parts were accepted once; the operation has no disclosures.
func ParseStored(header, payload, signature []byte) (*Operation, error) {
	return build(jws.FromParts(header, payload, signature), nil)
}
