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
	one, str := int64(1), func(s string) *string { return &s }
	p := payloadJSON{V: &one, Act: &c.Act, Seq: &c.Seq, Iat: &c.Iat}
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
		raw, err := c.Record.encode()
		if err != nil {
			return nil, err
		}
		p.Record = raw
	}
	return encodeJSON(p)
}

func (r *Record) encode() ([]byte, error) {
	j := recordJSON{Kind: &r.Kind, Rotation: r.Rotation, Keys: []keyJSON{}}
	for _, k := range r.Keys {
		j.Keys = append(j.Keys, keyJSON{ID: &k.ID, Key: &k.Key, Use: k.Use, Retired: k.Retired})
	}
	if r.Kind == Passport {
		j.Strands = []strandJSON{}
		for _, d := range slices.SortedFunc(slices.Values(r.Strands), compareDigests) {
			text := string(d)
			j.Strands = append(j.Strands, strandJSON{Digest: &text})
		}
		return encodeJSON(j)
	}
	jurisdiction := string(r.Jurisdiction)
	j.Name, j.Jurisdiction, j.Roles = &r.Name, &jurisdiction, r.Roles
	if r.LEI != "" {
		j.LEI = &r.LEI
	}
	if r.Domain != "" {
		j.Domain = &r.Domain
	}
	for _, e := range r.Endpoints {
		j.Endpoints = append(j.Endpoints, endpointJSON{Protocol: &e.Protocol, URL: &e.URL})
	}
	for _, u := range r.Uses {
		j.Uses = append(j.Uses, purposeJSON(u))
	}
	return encodeJSON(j)
}
