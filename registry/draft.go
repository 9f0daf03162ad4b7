package registry

import (
	"slices"

	"github.com/dcann/dcann/registry/jws"
)

// Sign makes an operation of c, as a wallet does. Act decides which members are written; ID is ignored in
// a create, Seq and Prev are the caller's to take from the head. It checks the form, so that what it
// returns will parse; whether signer may do this is the registry's to say. The error's kind is Invalid
// or TooLarge.
func (c Content) Sign(signer jws.Signer, disclosures ...Disclosure) (*Operation, error) {
	payload, err := c.encode()
	if err != nil {
		return nil, err
	}
	msg, err := jws.Sign(signer, string(signer.Public().Multikey()), TypOperation, payload)
	if err != nil {
		return nil, err
	}
	return ParseOperation(AppendOperation(nil, msg, disclosures))
}

func (c Content) encode() ([]byte, error) {
	str := func(s string) *string { return &s }
	p := payloadJSON{V: 1, Act: c.Act, Seq: &c.Seq, Iat: c.Iat}
	want := members[c.Act]
	if want.country {
		p.Country = str(string(c.Country))
	}
	if want.id {
		p.ID, p.Prev = str(string(c.ID)), str(string(c.Prev))
	}
	if want.undo {
		p.Undo = str(string(c.Undo))
	}
	if want.record {
		if c.Record == nil {
			return nil, invalid("%s carries a record", c.Act)
		}
		p.Record = &signedRecord{recordJSON: c.Record.form()}
	}
	return encodeJSON(p)
}

// form is the record as JSON has it.
func (r *Record) form() recordJSON {
	j := recordJSON{Kind: r.Kind, Rotation: r.Rotation, Keys: []keyJSON{}}
	for _, k := range r.Keys {
		j.Keys = append(j.Keys, keyJSON(k))
	}
	if r.Kind == Passport {
		j.Strands = append(digestList{}, r.Strands...)
		slices.SortFunc(j.Strands, compareDigests)
		return j
	}
	jurisdiction := string(r.Jurisdiction)
	j.Name, j.Jurisdiction, j.Roles = &r.Name, &jurisdiction, r.Roles
	if r.LEI != "" {
		j.LEI = &r.LEI
	}
	if r.Domain != "" {
		j.Domain = &r.Domain
	}
	j.Endpoints = r.Endpoints
	for _, u := range r.Uses {
		j.Uses = append(j.Uses, purposeJSON(u))
	}
	return j
}
