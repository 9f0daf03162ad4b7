package registry

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry/jws"
)

// The JSON of operations and records. Every optional or required member is a pointer or a slice, so that
// a member that is absent can be told from one that is empty: a member that does not belong is refused
// even when empty, and null is refused everywhere by jws.DecodeJSON.

type payloadJSON struct {
	V       *int64         `json:"v,omitzero"`
	Act     *Act           `json:"act,omitzero"`
	Country *string        `json:"country,omitzero"`
	ID      *string        `json:"id,omitzero"`
	Prev    *string        `json:"prev,omitzero"`
	Seq     *uint64        `json:"seq,omitzero"`
	Iat     *int64         `json:"iat,omitzero"`
	Undo    *string        `json:"undo,omitzero"`
	To      *string        `json:"to,omitzero"`
	Record  jsontext.Value `json:"record,omitzero"`
}

type recordJSON struct {
	Kind         *RecordKind    `json:"kind,omitzero"`
	Rotation     []jws.Multikey `json:"rotation,omitzero"`
	Keys         []keyJSON      `json:"keys,omitzero"`
	Strands      []strandJSON   `json:"strands,omitzero"`
	Name         *string        `json:"name,omitzero"`
	LEI          *string        `json:"lei,omitzero"`
	Jurisdiction *string        `json:"jurisdiction,omitzero"`
	Roles        []Role         `json:"roles,omitzero"`
	Domain       *string        `json:"domain,omitzero"`
	Endpoints    []endpointJSON `json:"endpoints,omitzero"`
	Uses         []purposeJSON  `json:"uses,omitzero"`
}

type keyJSON struct {
	ID      *string       `json:"id"`
	Key     *jws.Multikey `json:"key"`
	Use     []Use         `json:"use"`
	Retired *int64        `json:"retired,omitzero"`
}

type strandJSON struct {
	Digest *string `json:"..."` // RFC 9901, section 4.2.4.2
}

type endpointJSON struct {
	Protocol *string `json:"protocol"`
	URL      *string `json:"url"`
}

type purposeJSON struct {
	Purpose []string `json:"purpose"`
	Class   []string `json:"class"`
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
	case p.V == nil || *p.V != 1:
		return invalid("payload.v: expected 1")
	case p.Act == nil:
		return invalid("payload.act is missing")
	case *p.Act == Transfer:
		return invalid("payload.act: transfer is reserved until federation exists")
	}
	want, known := members[*p.Act]
	switch {
	case !known:
		return invalid("payload.act %.16q: expected create, update, recover, deactivate or erase", *p.Act)
	case p.Iat == nil || *p.Iat < 0:
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
	op.Act, op.Seq, op.Iat = *p.Act, *p.Seq, *p.Iat
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
		op.record = p.Record
		op.Record, err = decodeRecord(p.Record)
	}
	return err
}

// decodeRecord parses a record and checks which members it has; their values are for Record.check.
func decodeRecord(raw []byte) (*Record, error) {
	var j recordJSON
	if err := jws.DecodeJSON(raw, &j); err != nil {
		return nil, invalid("record: %v", err)
	}
	switch {
	case j.Kind == nil || *j.Kind != Passport && *j.Kind != Organisation:
		return nil, invalid("record.kind: expected passport or organisation")
	case j.Rotation == nil:
		return nil, invalid("record.rotation is missing")
	case j.Keys == nil:
		return nil, invalid("record.keys is missing")
	}
	r := &Record{Kind: *j.Kind, Rotation: j.Rotation, Keys: make([]Key, len(j.Keys))}
	for i, k := range j.Keys {
		if k.ID == nil || k.Key == nil || k.Use == nil {
			return nil, invalid("record.keys[%d]: expected id, key and use", i)
		}
		r.Keys[i] = Key{ID: *k.ID, Key: *k.Key, Use: k.Use, Retired: k.Retired}
	}
	if r.Kind == Passport {
		return r, r.decodePassport(j)
	}
	return r, r.decodeOrganisation(j)
}

func (r *Record) decodePassport(j recordJSON) (err error) {
	if j.Name != nil || j.LEI != nil || j.Jurisdiction != nil || j.Roles != nil || j.Domain != nil || j.Endpoints != nil || j.Uses != nil {
		return invalid("record: a passport has kind, rotation, keys and strands, nothing else")
	}
	if j.Strands == nil {
		return invalid("record.strands is missing")
	}
	r.Strands = make([]Digest, len(j.Strands))
	for i, s := range j.Strands {
		if s.Digest == nil {
			return invalid(`record.strands[%d]: expected {"...":"<digest>"}`, i)
		}
		if r.Strands[i], err = ParseDigest(*s.Digest); err != nil {
			return invalid("record.strands[%d]: %v", i, err)
		}
	}
	return nil
}

func (r *Record) decodeOrganisation(j recordJSON) (err error) {
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
		if e.Protocol == nil || e.URL == nil {
			return invalid("record.endpoints[%d]: expected protocol and url", i)
		}
		r.Endpoints = append(r.Endpoints, Endpoint{Protocol: *e.Protocol, URL: *e.URL})
	}
	for i, u := range j.Uses {
		if u.Purpose == nil || u.Class == nil {
			return invalid("record.uses[%d]: expected purpose and class", i)
		}
		r.Uses = append(r.Uses, Purpose(u))
	}
	return nil
}
