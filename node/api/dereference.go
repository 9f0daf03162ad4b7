package api

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// dereference answers for a DID URL that names a service or a fragment of the document.
func (s *Server) dereference(c echo.Context, req *resolution, v *state.View, at asOf, now registry.Millis) error {
	if req.service != "" {
		return s.redirect(c, req, v, at, now)
	}
	object := appendObject(nil, v, req.fragment)
	if object == nil {
		return &resolutionError{code: wire.DIDNotFound, dereferences: true, detail: "the document has no " + quoted("#"+req.fragment)}
	}
	if req.as == asDereferenced {
		object = dereferenced(wire.TypeDID, object, v, now)
	}
	return newRendered(http.StatusOK, representations[req.as].contentType, valueVaryAccept, object, v, now).send(c, at)
}

func dereferenced(contentType string, content []byte, v *state.View, now registry.Millis) []byte {
	body := append([]byte(nil), `{"dereferencingMetadata":{"contentType":`...)
	body = append(appendString(body, contentType), `},"contentStream":`...)
	body = append(append(body, content...), `,"contentMetadata":`...)
	return append(appendDocumentMetadata(body, v, now), '}')
}

// appendObject writes the verification method or service that a fragment names; nil if there is none.
func appendObject(dst []byte, v *state.View, fragment string) []byte {
	for i := range v.Keys {
		if v.Keys[i].ID == fragment {
			return appendMethod(dst, v, &v.Keys[i])
		}
	}
	for i := range v.Strands {
		if v.Strands[i].Strand.ID == fragment && shown(&v.Strands[i]) {
			return appendVault(dst, v.ID, &v.Strands[i])
		}
	}
	for i, e := range providerEndpoints(v) {
		if providerFragment(i) == fragment {
			return appendProvider(dst, v.ID, i, e)
		}
	}
	return nil
}

// endpointOf is the first endpoint of a service.
func endpointOf(v *state.View, service string) (string, bool) {
	for i := range v.Strands {
		if s := &v.Strands[i]; s.Strand.ID == service && shown(s) {
			return s.Strand.Endpoint(s.Endpoints[0]), true
		}
	}
	for i, e := range providerEndpoints(v) {
		if providerFragment(i) == service {
			return e.URL, true
		}
	}
	return "", false
}

// redirect answers ?service=&relativeRef=: 303 to the place in the vault, or the place itself for a client
// that asks for a result of dereferencing.
func (s *Server) redirect(c echo.Context, req *resolution, v *state.View, at asOf, now registry.Millis) error {
	endpoint, ok := endpointOf(v, req.service)
	if !ok {
		return &resolutionError{code: wire.DIDNotFound, dereferences: true, detail: "the document has no service " + quoted(req.service)}
	}
	location, err := locate(endpoint, req.relativeRef, req.fragment)
	if err != nil {
		return &resolutionError{code: wire.InvalidDIDURL, dereferences: true, detail: err.Error()}
	}
	if req.as == asDereferenced {
		body := dereferenced("text/uri-list", appendString(nil, location), v, now)
		return newRendered(http.StatusOK, representations[asDereferenced].contentType, valueVaryAccept, body, v, now).send(c, at)
	}
	h := c.Response().Header()
	common(h)
	h["Cache-Control"] = valueRevalidate
	h["Vary"] = valueVaryAccept
	at.put(h)
	h["Location"] = []string{location}
	h["Content-Length"] = []string{"0"}
	c.Response().WriteHeader(http.StatusSeeOther)
	return nil
}

// locate resolves ref against endpoint, an https URL whose path ends in /, as RFC 3986 does, and refuses
// whatever would leave the endpoint: another authority, or a path outside the endpoint's, also when some
// server on the way decodes it once more than it should. fragment is added unless ref has its own. The
// error's kind is Invalid.
func locate(endpoint, ref, fragment string) (string, error) {
	base, err := url.Parse(endpoint)
	if err != nil {
		return "", err // not ours to tell: endpoints were checked when they were signed
	}
	if !consistsEncoded(ref, "-._~!$&'()*+,;=:@/?#", true) || strings.Count(ref, "#") > 1 {
		return "", invalid("relativeRef %s: expected a relative reference of RFC 3986", quoted(ref))
	}
	rel, err := url.Parse(ref)
	if err != nil || rel.Scheme != "" || rel.Host != "" || rel.User != nil || rel.Opaque != "" || strings.HasPrefix(ref, "//") {
		return "", invalid("relativeRef %s: expected a path, without scheme or host", quoted(ref))
	}
	target := base.ResolveReference(rel)
	if fragment != "" && rel.Fragment == "" {
		if target, err = url.Parse(target.String() + "#" + fragment); err != nil {
			return "", invalid("fragment %s: %.80v", quoted(fragment), err)
		}
	}
	if target.Scheme != base.Scheme || target.Host != base.Host || target.User != nil ||
		!inside(base.EscapedPath(), target.EscapedPath()) {
		return "", invalid("relativeRef %s leads out of the service's endpoint", quoted(ref))
	}
	return target.String(), nil
}

// inside reports whether path stays below base as it stands and when it is decoded to the end: no dot
// segments (also with the parameters that some servers cut off), no backslashes, no control characters.
func inside(base, path string) bool {
	if !strings.HasPrefix(path, base) {
		return false
	}
	plain := decodeFully(path)
	if !strings.HasPrefix(plain, decodeFully(base)) || !utf8.ValidString(plain) ||
		strings.ContainsFunc(plain, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }) {
		return false
	}
	for segment := range strings.SplitSeq(plain, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// decodeFully decodes %XX until there is none left. It ends, since every round makes the text shorter.
func decodeFully(s string) string {
	for {
		var out []byte
		for i := 0; i < len(s); i++ {
			if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
				out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
				i += 2
				continue
			}
			out = append(out, s[i])
		}
		if len(out) == len(s) {
			return s
		}
		s = string(out)
	}
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
