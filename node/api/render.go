package api

import (
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// appendRecord writes v as wire.Record. now decides whether finalAt is still to be told.
func appendRecord(dst []byte, v *state.View, now registry.Millis) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, v.ID)
	dst = appendMember(dst, "kind", v.Kind)
	dst = appendMember(dst, "status", v.Status)
	dst = appendMember(dst, "head", v.Head)
	dst = appendUint(dst, "seq", v.Seq)
	dst = appendTime(dst, "created", v.Created)
	dst = appendTime(dst, "updated", v.Updated)
	if v.FinalAt != 0 && now <= v.FinalAt {
		dst = appendTime(dst, "finalAt", v.FinalAt)
	}
	dst = appendUint(dst, "position", v.Position)
	if v.Status == registry.Active {
		dst = append(appendName(dst, "record"), oneLine(v.RecordJSON)...)
		dst = appendPublicStrands(dst, v.Strands)
	}
	if v.Organisation != nil {
		dst = appendStanding(appendName(dst, "organisation"), v.Organisation)
	}
	return append(dst, '}')
}

func appendTime(dst []byte, name string, at registry.Millis) []byte {
	dst = append(appendName(dst, name), '"')
	return append(wire.AppendTime(dst, at), '"')
}

// appendPublicStrands writes the strands that anyone may see. Of others not even the number is told.
func appendPublicStrands(dst []byte, strands []state.StrandView) []byte {
	first := true
	for i := range strands {
		if strands[i].Strand.Visibility != registry.Public {
			continue
		}
		if first {
			dst = append(appendName(dst, "strands"), '[')
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = appendStrand(dst, &strands[i])
	}
	if !first {
		dst = append(dst, ']')
	}
	return dst
}

func appendStrand(dst []byte, v *state.StrandView) []byte {
	s := &v.Strand
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, s.ID)
	dst = appendMember(dst, "digest", v.Digest)
	dst = appendMember(dst, "provider", s.Provider)
	dst = appendMember(dst, "path", s.Path)
	dst = appendMember(dst, "visibility", s.Visibility)
	if len(s.Class) > 0 {
		dst = appendStrings(appendName(dst, "class"), s.Class)
	}
	if len(s.Tags) > 0 {
		dst = appendStrings(appendName(dst, "tags"), s.Tags)
	}
	if v.Acceptance != nil && v.Acceptance.Accepted {
		dst = append(dst, `,"accepted":true`...)
	} else {
		dst = append(dst, `,"accepted":false`...)
	}
	if v.Withheld != "" {
		dst = appendMember(dst, "withheld", v.Withheld)
	} else {
		dst = appendEndpoints(appendName(dst, "endpoint"), s, v.Endpoints)
	}
	return append(dst, '}')
}

// appendEndpoints writes where a strand is read: a URL, or an array of them (DESIGN 5). What it is made of
// is ASCII that needs no escaping: see registry.Endpoint and registry.Strand.
func appendEndpoints(dst []byte, s *registry.Strand, endpoints []registry.Endpoint) []byte {
	if len(endpoints) != 1 {
		dst = append(dst, '[')
	}
	for i, e := range endpoints {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, e.URL...)
		dst = append(dst, s.Path...)
		dst = append(dst, '/', '"')
	}
	if len(endpoints) != 1 {
		dst = append(dst, ']')
	}
	return dst
}

func appendStanding(dst []byte, o *state.OrganisationView) []byte {
	dst = append(dst, `{"status":`...)
	dst = appendString(dst, o.Standing)
	dst = appendUint(dst, "epoch", o.Epoch)
	if o.Since != 0 {
		dst = appendTime(dst, "since", o.Since)
	}
	if o.Reason != "" {
		dst = appendMember(dst, "reason", o.Reason)
	}
	return append(dst, '}')
}
