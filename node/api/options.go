package api

import (
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// resolution is what a request of DID Resolution asks for, checked but for existence.
type resolution struct {
	id          registry.ID
	as          representation // unspecified if the client takes anything
	versionID   registry.OpID
	versionTime registry.Millis // the end of the second that was asked for
	noCache     bool
	fresh       freshness

	// Of a DID URL that is more than a DID.
	service     string
	relativeRef string
	fragment    string
}

// dereferences reports whether something in or behind the document is asked for, not the document.
func (r *resolution) dereferences() bool { return r.service != "" || r.fragment != "" }

// plain reports whether the answer is that of the identifier and the representation alone, and so may be
// rendered once for all.
func (r *resolution) plain() bool {
	return !r.dereferences() && r.versionID == "" && r.versionTime == 0 && !r.noCache
}

// resolutionError is an error of DID Resolution, which has a form of its own.
type resolutionError struct {
	code         wire.ResolutionCode
	detail       string
	dereferences bool  // render it as the result of dereferencing
	cause        error // for the log
}

// Error is for the log: render tells the client the detail alone.
func (e *resolutionError) Error() string {
	text := string(e.code) + ": " + e.detail
	if e.cause != nil {
		text += e.cause.Error()
	}
	return text
}

func (e *resolutionError) Unwrap() error { return e.cause }

func refused(code wire.ResolutionCode, detail string) *resolutionError {
	return &resolutionError{code: code, detail: detail}
}

// parseResolution reads a DID or DID URL, the options beside it, and what the client accepts, in the
// specification's order: syntax of the DID, method, options known, options valid.
func parseResolution(target string, options url.Values, accept []string) (*resolution, *resolutionError) {
	parts, rerr := splitDIDURL(target)
	if rerr != nil {
		return nil, rerr
	}
	r := &resolution{fragment: parts.fragment, as: unspecified}
	var err error
	if r.id, err = registry.ParseID(parts.did); err != nil {
		return nil, refused(wire.InvalidDID, err.Error())
	}
	if options, rerr = mergeOptions(options, parts.query); rerr != nil {
		return nil, rerr
	}
	if parts.path != "" {
		return nil, refused(wire.DIDNotFound, "the path "+quoted(parts.path)+" of the DID URL: this method gives paths no meaning")
	}
	if rerr := r.takeOptions(options, accept); rerr != nil {
		rerr.dereferences = r.dereferences()
		return nil, rerr
	}
	return r, nil
}

// didURL is a DID URL in its parts (DID Core, section 3.2), each but the query as it was written.
type didURL struct{ did, path, query, fragment string }

// splitDIDURL checks the syntax of any method's DIDs, and then that the method is ours.
func splitDIDURL(target string) (u didURL, rerr *resolutionError) {
	if len(target) > wire.MaxDIDURL {
		return u, refused(wire.InvalidDIDURL, "the DID URL is longer than 2048 bytes")
	}
	rest := target
	hasFragment := false
	rest, u.fragment, hasFragment = strings.Cut(rest, "#")
	rest, u.query, _ = strings.Cut(rest, "?")
	u.did = rest
	if cut := strings.IndexByte(rest, '/'); cut >= 0 {
		u.did, u.path = rest[:cut], rest[cut:]
	}
	name, ok := strings.CutPrefix(u.did, "did:")
	method, specific, ok2 := strings.Cut(name, ":")
	if !ok || !ok2 || method == "" || specific == "" || strings.HasSuffix(specific, ":") ||
		!consists(method, "") || !consistsEncoded(specific, ".-_:", true) {
		return u, refused(wire.InvalidDID, quoted(u.did)+": expected did:<method>:<identifier>")
	}
	if method != "dcann" {
		return u, refused(wire.MethodNotSupported, "method "+quoted(method)+": this registry answers for did:dcann only")
	}
	const pchar = "-._~!$&'()*+,;=:@/"
	if !consistsEncoded(u.path, pchar, true) || !consistsEncoded(u.fragment, pchar+"?", true) || hasFragment && u.fragment == "" {
		return u, refused(wire.InvalidDIDURL, "the DID URL has characters that RFC 3986 does not allow, or an empty fragment")
	}
	return u, nil
}

// consists reports whether s is made of lower-case letters, digits and extra.
func consists(s, extra string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

// consistsEncoded is consists with upper-case letters and, if encoded, %XX.
func consistsEncoded(s, extra string, encoded bool) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && encoded && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(extra, c) >= 0:
		default:
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// The options: those of the specification, and our own of freshness.
var knownOptions = map[string]bool{
	"accept": true, "expandRelativeUrls": true, "versionId": true, "versionTime": true, "noCache": true,
	"service": true, "relativeRef": true, wire.ParamConsistency: true, wire.ParamMinIndex: true,
}

// mergeOptions adds the parameters of the DID URL to the options of the request.
func mergeOptions(options url.Values, didQuery string) (url.Values, *resolutionError) {
	own, err := parseParameters(didQuery)
	if err != nil {
		return nil, refused(wire.InvalidDIDURL, err.Error())
	}
	if options == nil {
		options = own
	} else {
		for name, values := range own {
			options[name] = append(options[name], values...)
		}
	}
	for name := range options {
		if !knownOptions[name] {
			return nil, refused(wire.FeatureNotSupported, "option "+quoted(name)+" is not known here")
		}
	}
	for name, values := range options {
		if len(values) > 1 {
			return nil, refused(wire.InvalidOptions, "option "+name+" is given more than once")
		}
		if values[0] == "" && name != "relativeRef" {
			return nil, refused(wire.InvalidOptions, "option "+name+" is empty")
		}
	}
	return options, nil
}

// parseParameters decodes a query once. Unlike in a form, + is a plus: a relative reference may hold one.
// The error's kind is Invalid.
func parseParameters(query string) (url.Values, error) {
	values := make(url.Values)
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.PathUnescape(name)
		if err != nil {
			return nil, invalid("query: %.80v", err)
		}
		if value, err = url.PathUnescape(value); err != nil {
			return nil, invalid("query: %.80v", err)
		}
		values[name] = append(values[name], value)
	}
	return values, nil
}

func (r *resolution) takeOptions(o url.Values, accept []string) *resolutionError {
	r.service, r.relativeRef = o.Get("service"), o.Get("relativeRef")
	if o.Has("relativeRef") && r.service == "" {
		return refused(wire.InvalidDIDURL, "relativeRef without service")
	}
	if rerr := r.takeVersion(o); rerr != nil {
		return rerr
	}
	for _, name := range []string{"expandRelativeUrls", "noCache"} {
		if v := o.Get(name); v != "" && v != "true" && v != "false" {
			return refused(wire.InvalidOptions, name+" is "+quoted(v)+": expected true or false")
		}
	}
	// All ids in our documents are absolute, so expandRelativeUrls is done either way.
	r.noCache = o.Get("noCache") == "true"
	var err error
	named := o.Has(wire.ParamConsistency)
	if r.fresh, err = takeFreshness(o); err != nil {
		return refused(wire.InvalidOptions, err.Error())
	}
	if r.noCache && !named {
		r.fresh.level = wire.Linearizable // the newest there is, not only what is not from a cache
	}
	return r.takeAccept(o, accept)
}

func (r *resolution) takeVersion(o url.Values) *resolutionError {
	id, at := o.Get("versionId"), o.Get("versionTime")
	switch {
	case id != "" && at != "":
		return refused(wire.InvalidOptions, "versionId and versionTime: expected one of them")
	case id != "":
		op, err := registry.ParseOpID(id)
		if err != nil {
			return refused(wire.InvalidOptions, "versionId: "+err.Error())
		}
		r.versionID = op
	case at != "":
		t, err := time.Parse(wire.SecondsLayout, at)
		if err != nil || t.Format(wire.SecondsLayout) != at || t.Unix() <= 0 {
			return refused(wire.InvalidOptions, "versionTime is "+quoted(at)+": expected UTC with Z and no fractions, as 2026-11-21T12:00:00Z")
		}
		// Times in metadata are cut to the second. What was in force at the end of it is what a client that
		// sends one of them back means.
		r.versionTime = registry.MillisOf(t) + 999
	}
	return nil
}

func (r *resolution) takeAccept(o url.Values, accept []string) *resolutionError {
	if name := o.Get("accept"); name != "" {
		accept = []string{name}
	}
	as, ok := negotiate(accept)
	switch {
	case r.service != "":
		// The answer is a redirection, whatever the client hopes to find behind it.
		if r.as = asDereferenced; !ok || as != asDereferenced {
			r.as = unspecified
		}
		return nil
	case !ok || r.fragment != "" && as == asResolution:
		return refused(wire.RepresentationNotSupported, "accept: expected "+strings.Join([]string{
			wire.TypeResolution, wire.TypeDID, wire.TypeDIDJSON, wire.TypeDIDLD, "or for a DID URL " + wire.TypeDereferenced}, ", "))
	case as == unspecified && r.fragment != "":
		as = asDereferenced
	case as == unspecified:
		as = asResolution
	}
	r.as = as
	return nil
}

// bodyOptions reads options sent by POST: the same names, with true and false as such.
func bodyOptions(body []byte) (url.Values, *resolutionError) {
	var members map[string]jsontext.Value
	if err := jws.DecodeJSON(body, &members); err != nil {
		return nil, refused(wire.InvalidOptions, "options: "+err.Error())
	}
	options := make(url.Values, len(members))
	for name, raw := range members {
		if !knownOptions[name] {
			return nil, refused(wire.FeatureNotSupported, "option "+quoted(name)+" is not known here")
		}
		switch raw.Kind() {
		case '"':
			var text string
			if err := jws.DecodeJSON(raw, &text); err != nil {
				return nil, refused(wire.InvalidOptions, "option "+name+": "+err.Error())
			}
			options.Set(name, text)
		case 't', 'f', '0':
			options.Set(name, string(raw))
		default:
			return nil, refused(wire.InvalidOptions, "option "+name+": expected a string, true or false")
		}
	}
	return options, nil
}
