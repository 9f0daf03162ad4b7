package api

import (
	"strconv"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// appendDocument writes v as wire.Document (DESIGN 12). context is that of the representation, nil for none.
func appendDocument(dst []byte, v *state.View, context []string) []byte {
	dst = append(dst, '{')
	if context != nil {
		dst = append(dst, `"@context":`...)
		dst = append(appendStrings(dst, context), ',')
	}
	dst = append(dst, `"id":`...)
	dst = appendString(dst, v.ID)
	if len(v.Keys) > 0 {
		dst = appendMethods(dst, v)
		dst = appendRelationship(dst, "authentication", v, authenticates)
		dst = appendRelationship(dst, "assertionMethod", v, asserts)
	}
	dst = appendServices(dst, v)
	return append(dst, '}')
}

// authenticates and asserts tell what a listed key is good for. A retired one signs nothing any more, but
// stays listed for what it has signed.
func authenticates(k *registry.Key) bool {
	return k.Retired == nil && (k.Has(registry.UseAuth) || k.Has(registry.UseSign))
}

func asserts(k *registry.Key) bool { return k.Retired == nil && k.Has(registry.UseGrant) }

func appendMethods(dst []byte, v *state.View) []byte {
	dst = append(appendName(dst, "verificationMethod"), '[')
	for i := range v.Keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMethod(dst, v, &v.Keys[i])
	}
	return append(dst, ']')
}

func appendMethod(dst []byte, v *state.View, k *registry.Key) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendFragment(dst, v.ID, k.ID)
	dst = append(dst, `,"type":"Multikey"`...)
	dst = appendMember(dst, "controller", v.ID)
	dst = appendMember(dst, "publicKeyMultibase", k.Key)
	return append(dst, '}')
}

// appendFragment writes the absolute DID URL of a fragment, both of a plain alphabet.
func appendFragment(dst []byte, id registry.ID, fragment string) []byte {
	dst = append(dst, '"')
	dst = append(dst, id...)
	dst = append(dst, '#')
	dst = append(dst, fragment...)
	return append(dst, '"')
}

func appendRelationship(dst []byte, name string, v *state.View, has func(*registry.Key) bool) []byte {
	first := true
	for i := range v.Keys {
		if !has(&v.Keys[i]) {
			continue
		}
		if first {
			dst = append(appendName(dst, name), '[')
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = appendFragment(dst, v.ID, v.Keys[i].ID)
	}
	if !first {
		dst = append(dst, ']')
	}
	return dst
}

// appendServices writes the public strands whose endpoint is shown, or the endpoints of an active provider.
func appendServices(dst []byte, v *state.View) []byte {
	first := true
	open := func() {
		if first {
			dst = append(appendName(dst, "service"), '[')
		} else {
			dst = append(dst, ',')
		}
		first = false
	}
	for i := range v.Strands {
		if shown(&v.Strands[i]) {
			open()
			dst = appendVault(dst, v.ID, &v.Strands[i])
		}
	}
	for i, e := range providerEndpoints(v) {
		open()
		dst = appendProvider(dst, v.ID, i, e)
	}
	if !first {
		dst = append(dst, ']')
	}
	return dst
}

func shown(s *state.StrandView) bool {
	return s.Strand.Visibility == registry.Public && s.Withheld == "" && len(s.Endpoints) > 0
}

func appendVault(dst []byte, id registry.ID, s *state.StrandView) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendFragment(dst, id, s.Strand.ID)
	dst = append(dst, `,"type":"`+wire.ServiceVault+`"`...)
	dst = appendEndpoints(appendName(dst, "serviceEndpoint"), &s.Strand, s.Endpoints)
	return append(dst, '}')
}

// providerEndpoints are those of an organisation that the registry stands by: whoever reads a DID document
// cannot see that a provider is pending or suspended, so its endpoints are withheld as those of strands are.
func providerEndpoints(v *state.View) []registry.Endpoint {
	o := v.Organisation
	if o == nil || o.Record == nil || o.Standing != registry.OrgActive {
		return nil
	}
	return o.Record.Endpoints
}

func appendProvider(dst []byte, id registry.ID, i int, e registry.Endpoint) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendFragment(dst, id, providerFragment(i))
	dst = append(dst, `,"type":"`+wire.ServiceProvider+`"`...)
	dst = appendMember(dst, "serviceEndpoint", e.URL)
	dst = appendMember(dst, "protocol", e.Protocol)
	return append(dst, '}')
}

// providerFragment names an endpoint of a provider: endpoint.1 is the first. No key can be called so.
func providerFragment(i int) string { return "endpoint." + strconv.Itoa(i+1) }

// appendDocumentMetadata writes wire.DocumentMetadata of v.
func appendDocumentMetadata(dst []byte, v *state.View, now registry.Millis) []byte {
	updated := v.VersionTime
	if updated == 0 {
		updated = v.Updated
	}
	dst = append(dst, `{"created":`...)
	dst = appendSecond(dst, v.Created)
	dst = appendSecond(appendName(dst, "updated"), updated)
	if v.Status != registry.Active {
		dst = append(dst, `,"deactivated":true`...)
	}
	if v.Version != "" {
		dst = appendMember(dst, "versionId", v.Version)
	}
	if v.NextVersion != "" {
		dst = appendMember(dst, "nextVersionId", v.NextVersion)
		dst = appendSecond(appendName(dst, "nextUpdate"), v.NextUpdate)
	}
	if v.Undone {
		dst = append(dst, `,"undone":true`...)
	}
	if v.FinalAt != 0 && now <= v.FinalAt {
		dst = appendSecond(appendName(dst, "finalAt"), v.FinalAt)
	}
	return append(dst, '}')
}

func appendSecond(dst []byte, at registry.Millis) []byte {
	return append(wire.AppendSeconds(append(dst, '"'), at), '"')
}
