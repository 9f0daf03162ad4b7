package api

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// record answers GET /v1/records/{did}.
func (s *Server) record(c echo.Context) error {
	did, err := didParam(c)
	if err != nil {
		return err
	}
	_, fresh, err := readQuery(c.Request())
	if err != nil {
		return err
	}
	at, err := s.gate(c.Request().Context(), fresh)
	if err != nil {
		return err
	}
	a, err := s.recordAnswer(did)
	if err != nil {
		return at.failed(c, err)
	}
	return a.send(c, at)
}

// recordAnswer is the rendered record that a text names. The error's kind is Invalid, NotFound or Misdirected.
func (s *Server) recordAnswer(did string) (*rendered, error) {
	if a, ok := s.cached(registry.ID(did), asRecord); ok {
		s.metrics.hits.Inc()
		return a, nil
	}
	id, err := registry.ParseID(did)
	if err != nil {
		return nil, err
	}
	v, err := s.view(id)
	if err != nil {
		return nil, err
	}
	s.metrics.misses.Inc()
	now := registry.MillisOf(time.Now())
	a := newRendered(http.StatusOK, valueJSON, nil, appendRecord(make([]byte, 0, sizeHint(v)), v, now), v, now)
	if s.worthKeeping(id, asRecord) {
		s.keep(id, asRecord, a)
	}
	return a, nil
}

// sizeHint is about how long v becomes as a text, so that rendering allocates once.
func sizeHint(v *state.View) int {
	return 640 + len(v.RecordJSON) + 300*len(v.Keys) + 640*len(v.Strands)
}

// view is the newest state of id, if it lives here. The error's kind is NotFound, Misdirected or Unavailable.
func (s *Server) view(id registry.ID) (*state.View, error) {
	if err := s.checkHome(id); err != nil {
		return nil, err
	}
	return s.state.Record(id)
}

// checkHome refuses identifiers that live in another country, naming it (DESIGN 3, 12).
func (s *Server) checkHome(id registry.ID) error {
	p := s.state.Policy()
	if p == nil {
		return refuse(registry.Unavailable, "this registry has no policy yet: its operator has to give it one")
	}
	if home := s.state.Home(id); home != p.Country {
		return &registry.Error{Kind: registry.Misdirected, Country: home,
			Detail: string(id) + " belongs to country " + string(home) + ": this is the registry of " + string(p.Country)}
	}
	return nil
}

// didParam is the identifier in the path, decoded.
func didParam(c echo.Context) (string, error) {
	did := c.Param("did")
	if c.Request().URL.RawPath == "" {
		return did, nil // echo routed by the decoded path
	}
	plain, err := url.PathUnescape(did)
	if err != nil {
		return "", invalid("identifier in the path: %.80v", err)
	}
	return plain, nil
}

// history answers GET /v1/records/{did}/operations: what was accepted, oldest first, undone operations too.
func (s *Server) history(c echo.Context) error {
	did, err := didParam(c)
	if err != nil {
		return err
	}
	id, err := registry.ParseID(did)
	if err != nil {
		return err
	}
	q, fresh, err := readQuery(c.Request(), wire.ParamAfter, wire.ParamLimit)
	if err != nil {
		return err
	}
	after, limit, err := historyPage(q)
	if err != nil {
		return err
	}
	at, err := s.gate(c.Request().Context(), fresh)
	if err != nil {
		return err
	}
	if err := s.checkHome(id); err != nil {
		return err
	}
	entries, more, err := s.state.History(id, after, limit)
	if err != nil {
		return at.failed(c, err)
	}
	at.put(c.Response().Header())
	return writeJSON(c, http.StatusOK, historyBody(entries, more))
}

func historyPage(q url.Values) (after *uint64, limit int, err error) {
	if q.Has(wire.ParamAfter) {
		n, err := parseUint(q, wire.ParamAfter)
		if err != nil {
			return nil, 0, err
		}
		after = &n
	}
	limit, err = limitOf(q, wire.DefaultPage, wire.MaxPage)
	return after, limit, err
}

func historyBody(entries []state.HistoryEntry, more bool) wire.History {
	body := wire.History{Operations: make([]wire.HistoryEntry, len(entries))}
	for i, e := range entries {
		body.Operations[i] = wire.HistoryEntry{
			Seq: e.Seq, Position: e.Position, Time: wire.Time(e.Time), Undone: e.Undone,
			Op: e.Operation.Name, Operation: string(publicOperation(e.Operation)),
		}
	}
	if more && len(entries) > 0 {
		body.Next = &entries[len(entries)-1].Seq
	}
	return body
}

// publicOperation is op with the disclosures that anyone may see (DESIGN 12).
func publicOperation(op *registry.Operation) []byte {
	public := make([]registry.Disclosure, 0, len(op.Disclosures))
	for _, d := range op.Disclosures {
		if d.Strand.Visibility == registry.Public {
			public = append(public, d)
		}
	}
	return registry.AppendOperation(nil, op.Message(), public)
}

// organisations answers GET /v1/organisations.
func (s *Server) organisations(c echo.Context) error {
	q, fresh, err := readQuery(c.Request(), wire.ParamRole, wire.ParamName, wire.ParamDomain, wire.ParamLEI,
		wire.ParamStatus, wire.ParamAfter, wire.ParamLimit)
	if err != nil {
		return err
	}
	want, err := organisationQuery(q)
	if err != nil {
		return err
	}
	at, err := s.gate(c.Request().Context(), fresh)
	if err != nil {
		return err
	}
	views, next, err := s.state.Organisations(want)
	if err != nil {
		return err
	}
	now := registry.MillisOf(time.Now())
	body := append([]byte(nil), `{"organisations":[`...)
	for i, v := range views {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendRecord(body, v, now)
	}
	body = append(body, ']')
	if next != "" {
		body = appendMember(body, "next", next)
	}
	return s.writeFresh(c, append(body, '}'), at)
}

// organisationQuery reads what to look for. The error's kind is Invalid.
func organisationQuery(q url.Values) (state.OrganisationQuery, error) {
	want := state.OrganisationQuery{
		Role: registry.Role(q.Get(wire.ParamRole)), Name: q.Get(wire.ParamName), Domain: q.Get(wire.ParamDomain),
		LEI: q.Get(wire.ParamLEI), Status: registry.OrgStatus(q.Get(wire.ParamStatus)), After: q.Get(wire.ParamAfter),
	}
	for name := range q {
		if q.Get(name) == "" {
			return want, invalid("query parameter %s is empty: expected a value, or to be absent", name)
		}
	}
	switch want.Role {
	case "", registry.RoleProvider, registry.RoleRecipient, registry.RoleAttestor:
	default:
		return want, invalid("role %.20q: expected provider, recipient or attestor", want.Role)
	}
	switch want.Status {
	case "", registry.OrgPending, registry.OrgActive, registry.OrgSuspended, registry.OrgRevoked:
	default:
		return want, invalid("status %.20q: expected pending, active, suspended or revoked", want.Status)
	}
	if len(want.Name) > registry.MaxName {
		return want, invalid("name has %d bytes: expected at most %d", len(want.Name), registry.MaxName)
	}
	var err error
	want.Limit, err = limitOf(q, wire.DefaultPage, wire.MaxPage)
	return want, err
}

// writeFresh replies with a body that was rendered for this request alone.
func (s *Server) writeFresh(c echo.Context, body []byte, at asOf) error {
	h := c.Response().Header()
	common(h)
	h["Content-Type"] = valueJSON
	h["Cache-Control"] = valueNoStore
	at.put(h)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Response().WriteHeader(http.StatusOK)
	_, _ = c.Response().Write(body)
	return nil
}
