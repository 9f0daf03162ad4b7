package api

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// The header values of the representations, and the media type and context of the document in each.
var representations = [...]struct {
	contentType []string
	document    string
	context     []string
}{
	asResolution:   {[]string{wire.TypeResolution}, wire.TypeDID, wire.ContextDID},
	asDID:          {[]string{wire.TypeDID}, wire.TypeDID, wire.ContextDID},
	asDIDJSON:      {[]string{wire.TypeDIDJSON}, wire.TypeDIDJSON, nil},
	asDIDLD:        {[]string{wire.TypeDIDLD}, wire.TypeDIDLD, wire.ContextLD},
	asDereferenced: {[]string{wire.TypeDereferenced}, wire.TypeDID, wire.ContextDID},
}

var valueVaryAccept = []string{"Accept"}

// identifier answers GET /1.0/identifiers/{did}: DID Resolution and dereferencing (W3C DID Resolution v1).
// What comes first is the hot path: a plain DID whose answer is in the cache.
func (s *Server) identifier(c echo.Context) error {
	r := c.Request()
	target, err := identifierText(r)
	if err != nil {
		return refused(wire.InvalidDID, err.Error())
	}
	if r.URL.RawQuery == "" {
		if as, ok := quickAccept(r.Header["Accept"]); ok && s.cluster.Bounded() == nil { // else resolve refuses
			at := s.asOf()
			if a, ok := s.cached(registry.ID(target), as); ok {
				s.metrics.hits.Inc()
				return a.send(c, at)
			}
		}
	}
	options, err := parseParameters(r.URL.RawQuery)
	if err != nil {
		return refused(wire.InvalidOptions, err.Error())
	}
	return s.resolve(c, target, options)
}

// postIdentifier is identifier with options in a JSON body; consistency and min_index may stay in the query.
func (s *Server) postIdentifier(c echo.Context) error {
	r := c.Request()
	target, err := identifierText(r)
	if err != nil {
		return refused(wire.InvalidDID, err.Error())
	}
	if err := expectType(r, wire.TypeJSON); err != nil {
		return err
	}
	body, err := readBody(c, wire.MaxOptions)
	if err != nil {
		return err
	}
	options, err := parseParameters(r.URL.RawQuery)
	if err != nil {
		return refused(wire.InvalidOptions, err.Error())
	}
	own, rerr := bodyOptions(body)
	if rerr != nil {
		// The DID comes first in the order of checks.
		if _, didErr := parseResolution(target, nil, nil); didErr != nil {
			return s.asOf().failed(c, didErr)
		}
		return rerr
	}
	for name, values := range own {
		options[name] = append(options[name], values...)
	}
	return s.resolve(c, target, options)
}

// identifierMissing answers for the path without a DID and without its slash.
func (s *Server) identifierMissing(echo.Context) error {
	return refused(wire.InvalidDID, "no DID in the path: expected "+wire.PathIdentifiers+"did:dcann:<country>:<suffix>")
}

// identifierText is what stands behind the path's prefix, decoded once: a DID, or a whole DID URL that was
// encoded to fit into a path.
func identifierText(r *http.Request) (string, error) {
	if r.URL.RawPath == "" {
		return r.URL.Path[len(wire.PathIdentifiers):], nil
	}
	return url.PathUnescape(r.URL.RawPath[len(wire.PathIdentifiers):])
}

func (s *Server) resolve(c echo.Context, target string, options url.Values) error {
	req, rerr := parseResolution(target, options, c.Request().Header["Accept"])
	if rerr != nil {
		return s.asOf().failed(c, rerr)
	}
	err := s.answer(c, req)
	if _, ours := errors.AsType[*resolutionError](err); err == nil || ours {
		return err
	}
	// What DID Resolution has a code for is told its way; other countries, time-outs and quotas are not.
	switch registry.KindOf(err) {
	case registry.NotFound:
		return &resolutionError{code: wire.DIDNotFound, detail: err.Error(), dereferences: req.dereferences()}
	case registry.Internal:
		return &resolutionError{code: wire.InternalError, dereferences: req.dereferences(), cause: err}
	}
	return err
}

func (s *Server) answer(c echo.Context, req *resolution) error {
	at, err := s.gate(c.Request().Context(), req.fresh)
	if err != nil {
		return err
	}
	if req.plain() {
		if a, ok := s.cached(req.id, req.as); ok {
			s.metrics.hits.Inc()
			return a.send(c, at)
		}
	}
	v, err := s.viewFor(req)
	if err != nil {
		return at.failed(c, err)
	}
	now := registry.MillisOf(time.Now())
	if v.Status != registry.Active { // at the version that was asked for
		return deactivated(req, v, now).send(c, at)
	}
	if req.dereferences() {
		return at.failed(c, s.dereference(c, req, v, at, now))
	}
	a := renderResolution(req.as, v, now)
	if req.plain() {
		s.metrics.misses.Inc()
		if s.worthKeeping(req.id, req.as) {
			s.keep(req.id, req.as, a)
		}
	}
	return a.send(c, at)
}

func (s *Server) viewFor(req *resolution) (*state.View, error) {
	if err := s.checkHome(req.id); err != nil {
		return nil, err
	}
	switch {
	case req.versionID != "":
		return s.state.RecordAtVersion(req.id, req.versionID)
	case req.versionTime != 0:
		return s.state.RecordAtTime(req.id, req.versionTime)
	}
	return s.state.Record(req.id)
}

// renderResolution renders the document of v.
func renderResolution(as representation, v *state.View, now registry.Millis) *rendered {
	form := &representations[as]
	body := make([]byte, 0, sizeHint(v))
	switch as {
	case asResolution:
		body = appendDocument(append(body, `{"didDocument":`...), v, form.context)
		body = append(body, `,"didResolutionMetadata":{"contentType":"`+wire.TypeDID+`"},"didDocumentMetadata":`...)
		body = append(appendDocumentMetadata(body, v, now), '}')
	case asDereferenced:
		body = append(body, `{"dereferencingMetadata":{"contentType":"`+wire.TypeDID+`"},"contentStream":`...)
		body = append(appendDocument(body, v, form.context), `,"contentMetadata":`...)
		body = append(appendDocumentMetadata(body, v, now), '}')
	default:
		body = appendDocument(body, v, form.context)
	}
	return newRendered(http.StatusOK, form.contentType, valueVaryAccept, body, v, now)
}

// deactivated is the answer for a record that has no document any more: 410, whatever was asked for.
func deactivated(req *resolution, v *state.View, now registry.Millis) *rendered {
	as := asResolution
	body := append([]byte(nil), `{"didDocument":null,"didResolutionMetadata":{},"didDocumentMetadata":`...)
	if req.as == asDereferenced || req.dereferences() {
		as = asDereferenced
		body = append(body[:0], `{"dereferencingMetadata":{},"contentStream":null,"contentMetadata":`...)
	}
	body = append(appendDocumentMetadata(body, v, now), '}')
	return newRendered(http.StatusGone, representations[as].contentType, valueVaryAccept, body, v, now)
}

// render is the body of an error of DID Resolution (wire.ResolutionError) and its content type.
func (e *resolutionError) render() (contentType string, body []byte, err error) {
	told := e.code.Error(e.detail)
	if e.dereferences {
		body, err = wire.Encode(wire.Dereferencing{Metadata: wire.ResolutionMetadata{Error: told}})
		return wire.TypeDereferenced, body, err
	}
	body, err = wire.Encode(wire.Resolution{Metadata: wire.ResolutionMetadata{Error: told}})
	return wire.TypeResolution, body, err
}
