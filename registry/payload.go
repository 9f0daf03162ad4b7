package registry

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry/jws"
)

// The JSON of operations and records. A member that may be absent is a pointer or a slice, so that it can
// be told from one that is empty: what does not belong is refused even when empty. Where a value may
// not be empty, absent and empty are the same mistake. Null is refused everywhere by jws.DecodeJSON.

type payloadJSON struct {
	V       int64         `json:"v"`
	Act     Act           `json:"act"`
	Country *string       `json:"country,omitzero"`
	ID      *string       `json:"id,omitzero"`
	Prev    *string       `json:"prev,omitzero"`
	Seq     *uint64       `json:"seq,omitzero"`
	Iat     int64         `json:"iat"`
	Undo    *string       `json:"undo,omitzero"`
	To      *string       `json:"to,omitzero"`
	Record  *signedRecord `json:"record,omitzero"`
}

// signedRecord is a record and where it stands in the payload, so that its bytes are found without
// being parsed twice.
type signedRecord struct {
	recordJSON
	from, to int64
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (r *signedRecord) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	r.from = dec.InputOffset() // behind the name of the member: a colon and white space follow
	err := json.UnmarshalDecode(dec, &r.recordJSON)
	r.to = dec.InputOffset()
	return err
}

// MarshalJSONTo implements json.MarshalerTo.
func (r *signedRecord) MarshalJSONTo(enc *jsontext.Encoder) error {
	return json.MarshalEncode(enc, &r.recordJSON)
}

// text is the record as it stands in payload.
func (r *signedRecord) text(payload []byte) jsontext.Value {
	return bytes.TrimLeft(payload[r.from:r.to:r.to], ": \t\r\n")
}

type recordJSON struct {
	Kind         RecordKind     `json:"kind"`
	Rotation     []jws.Multikey `json:"rotation,omitzero"`
	Keys         []keyJSON      `json:"keys,omitzero"`
	Strands      digestList     `json:"strands,omitzero"`
	Name         *string        `json:"name,omitzero"`
	LEI          *string        `json:"lei,omitzero"`
	Jurisdiction *string        `json:"jurisdiction,omitzero"`
	Roles        []Role         `json:"roles,omitzero"`
	Domain       *string        `json:"domain,omitzero"`
	Endpoints    []Endpoint     `json:"endpoints,omitzero"`
	Uses         []purposeJSON  `json:"uses,omitzero"`
}

type keyJSON struct {
	ID      string       `json:"id"`
	Key     jws.Multikey `json:"key"`
	Use     []Use        `json:"use"`
	Retired *int64       `json:"retired,omitzero"`
}

type purposeJSON struct {
	Purpose []string `json:"purpose"`
	Class   []string `json:"class"`
}

// digestList is an array of objects {"...":"<digest>"} (RFC 9901, section 4.2.4.2). It is read by hand,
// since there are many: this is what an operation consists of for the most part.
type digestList []Digest

const digestMember = "..."

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *digestList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if err := skip(dec, '['); err != nil {
		return err
	}
	*l = make(digestList, 0, 8)
	for dec.PeekKind() != ']' {
		digest, err := readDigest(dec)
		if err != nil {
			return err
		}
		*l = append(*l, digest)
	}
	return skip(dec, ']')
}

func readDigest(dec *jsontext.Decoder) (Digest, error) {
	if err := skip(dec, '{'); err != nil {
		return "", err
	}
	if dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return "", err
		}
		if name.String() != digestMember {
			return "", invalid(`unknown member: expected {"...":"<digest>"}`)
		}
	}
	if kind := dec.PeekKind(); kind != '"' && kind > 0 {
		return "", invalid(`expected {"...":"<digest>"}`)
	}
	digest, err := dec.ReadToken()
	if err != nil {
		return "", err
	}
	if kind := dec.PeekKind(); kind != '}' && kind > 0 {
		return "", invalid(`unknown member: expected {"...":"<digest>"} and nothing else`)
	}
	return Digest(digest.String()), skip(dec, '}')
}

// skip reads one delimiter.
func skip(dec *jsontext.Decoder, want jsontext.Kind) error {
	if kind := dec.PeekKind(); kind != want && kind > 0 {
		return invalid("expected %s here", want)
	}
	_, err := dec.ReadToken()
	return err
}

// MarshalJSONTo implements json.MarshalerTo.
func (l digestList) MarshalJSONTo(enc *jsontext.Encoder) error {
	list := make([]map[string]Digest, len(l))
	for i, d := range l {
		list[i] = map[string]Digest{digestMember: d}
	}
	return json.MarshalEncode(enc, list)
}

// encodeJSON writes JSON as a signer should: members in the order of the design, nothing escaped that
// need not be.
func encodeJSON(v any) ([]byte, error) {
	return json.Marshal(v, json.Deterministic(true))
}

// members lists which members an act has beyond v, act and iat (DESIGN 5).
var members = map[Act]struct{ country, id, undo, record bool }{
	Create:     {country: true, record: true},
	Update:     {id: true, record: true},
	Recover:    {id: true, undo: true, record: true},
	Deactivate: {id: true},
	Erase:      {id: true},
}

func (op *Operation) decodePayload() error {
	var p payloadJSON
	if err := jws.DecodeJSON(op.message.Payload(), &p); err != nil {
		return invalid("payload: %v", err)
	}
	switch {
	case p.V != 1:
		return invalid("payload.v: expected 1")
	case p.Act == "":
		return invalid("payload.act is missing")
	case p.Act == Transfer:
		return invalid("payload.act: transfer is reserved until federation exists")
	}
	want, known := members[p.Act]
	switch {
	case !known:
		return invalid("payload.act %.16q: expected create, update, recover, deactivate or erase", p.Act)
	case p.Iat <= 0:
		return invalid("payload.iat: expected seconds since 1970")
	case p.Seq == nil:
		return invalid("payload.seq is missing")
	case p.To != nil:
		return invalid("payload.to: belongs to transfer, which is reserved")
	case want.country != (p.Country != nil):
		return invalid("payload.country: a create has it, no other act")
	case want.id != (p.ID != nil) || want.id != (p.Prev != nil):
		return invalid("payload.id, payload.prev: every act has them but create")
	case want.undo != (p.Undo != nil):
		return invalid("payload.undo: a recover has it, no other act")
	case want.record != (p.Record != nil):
		return invalid("payload.record: create, update and recover have it, no other act")
	case want.country != (*p.Seq == 0):
		return invalid("payload.seq is %d: expected 0 in a create, more in others", *p.Seq)
	}
	op.Act, op.Seq, op.Iat = p.Act, *p.Seq, p.Iat
	return op.decodeNames(p)
}

func (op *Operation) decodeNames(p payloadJSON) (err error) {
	if p.Country != nil {
		if op.Country, err = ParseCountry(*p.Country); err != nil {
			return invalid("payload.country: %v", err)
		}
	}
	if p.ID != nil {
		if op.ID, err = ParseID(*p.ID); err != nil {
			return invalid("payload.id: %v", err)
		}
		if op.Prev, err = ParseOpID(*p.Prev); err != nil {
			return invalid("payload.prev: %v", err)
		}
	}
	if p.Undo != nil {
		if op.Undo, err = ParseOpID(*p.Undo); err != nil {
			return invalid("payload.undo: %v", err)
		}
	}
	if p.Record != nil {
		op.record = p.Record.text(op.message.Payload())
		op.Record, err = readRecord(p.Record.recordJSON)
	}
	return err
}

// readRecord checks which members a record has; their values are for Record.check.
func readRecord(j recordJSON) (*Record, error) {
	switch {
	case j.Kind != Passport && j.Kind != Organisation:
		return nil, invalid("record.kind: expected passport or organisation")
	case j.Rotation == nil:
		return nil, invalid("record.rotation is missing")
	case j.Keys == nil:
		return nil, invalid("record.keys is missing")
	}
	r := &Record{Kind: j.Kind, Rotation: j.Rotation, Keys: make([]Key, len(j.Keys))}
	for i, k := range j.Keys {
		if k.ID == "" || k.Key == "" || k.Use == nil {
			return nil, invalid("record.keys[%d].id, .key, .use: expected all three", i)
		}
		r.Keys[i] = Key(k)
	}
	if r.Kind == Passport {
		return r, r.readPassport(j)
	}
	return r, r.readOrganisation(j)
}

func (r *Record) readPassport(j recordJSON) error {
	if j.Name != nil || j.LEI != nil || j.Jurisdiction != nil || j.Roles != nil || j.Domain != nil || j.Endpoints != nil || j.Uses != nil {
		return invalid("record: a passport has kind, rotation, keys and strands, nothing else")
	}
	if j.Strands == nil {
		return invalid("record.strands is missing")
	}
	r.Strands = j.Strands
	for i, d := range r.Strands {
		if _, err := ParseDigest(string(d)); err != nil {
			return invalid("record.strands[%d]: %v", i, err)
		}
	}
	return nil
}

func (r *Record) readOrganisation(j recordJSON) (err error) {
	switch {
	case j.Strands != nil:
		return invalid("record.strands: an organisation has none")
	case j.Name == nil || j.Jurisdiction == nil || j.Roles == nil:
		return invalid("record.name, record.jurisdiction, record.roles: an organisation has all three")
	case j.LEI != nil && *j.LEI == "" || j.Domain != nil && *j.Domain == "":
		return invalid("record.lei, record.domain: expected a value, or to be absent")
	}
	r.Name, r.Roles = *j.Name, j.Roles
	if r.Jurisdiction, err = ParseCountry(*j.Jurisdiction); err != nil {
		return invalid("record.jurisdiction: %v", err)
	}
	if j.LEI != nil {
		r.LEI = *j.LEI
	}
	if j.Domain != nil {
		r.Domain = *j.Domain
	}
	for i, e := range j.Endpoints {
		if e.Protocol == "" || e.URL == "" {
			return invalid("record.endpoints[%d].url, .protocol: expected both", i)
		}
	}
	r.Endpoints = j.Endpoints
	for i, u := range j.Uses {
		if u.Purpose == nil || u.Class == nil {
			return invalid("record.uses[%d]: expected purpose and class", i)
		}
		r.Uses = append(r.Uses, Purpose(u))
	}
	return nil
}
