package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// operation answers POST /v1/operations.
func (s *Server) operation(c echo.Context) error {
	body, err := readSigned(c, wire.TypeOperation, wire.MaxOperation)
	if err != nil {
		return err
	}
	op, err := registry.ParseOperation(body)
	if err != nil {
		return err
	}
	result, err := s.submit(c.Request(), op)
	if err != nil {
		return err
	}
	return s.submitted(c, result)
}

// status answers POST /v1/statuses.
func (s *Server) status(c echo.Context) error {
	body, err := readSigned(c, wire.TypeStatement, wire.MaxStatement)
	if err != nil {
		return err
	}
	statement, err := registry.ParseStatus(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), wire.MaxWait)
	defer cancel()
	result, err := s.cluster.SubmitStatus(ctx, statement)
	if err != nil {
		return err
	}
	return s.submitted(c, result)
}

// acceptance answers POST /v1/acceptances.
func (s *Server) acceptance(c echo.Context) error {
	body, err := readSigned(c, wire.TypeStatement, wire.MaxStatement)
	if err != nil {
		return err
	}
	statement, err := registry.ParseAcceptance(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), wire.MaxWait)
	defer cancel()
	result, err := s.cluster.SubmitAcceptance(ctx, statement)
	if err != nil {
		return err
	}
	return s.submitted(c, result)
}

// readSigned reads the body of a signed object. A query has no place beside it.
func readSigned(c echo.Context, mediaType string, limit int) ([]byte, error) {
	if _, err := query(c.Request()); err != nil {
		return nil, err
	}
	if err := expectType(c.Request(), mediaType); err != nil {
		return nil, err
	}
	return readBody(c, limit)
}

// submit gives op to the cluster, within the limit on creations per address (DESIGN 6, rule 7). A creation
// is counted only if it makes a record.
func (s *Server) submit(r *http.Request, op *registry.Operation) (state.Result, error) {
	ctx, cancel := context.WithTimeout(r.Context(), wire.MaxWait)
	defer cancel()
	if op.Act != registry.Create {
		return s.cluster.SubmitOperation(ctx, op)
	}
	give, quota := s.limits.creation(r)
	if quota != nil {
		return s.overLimit(ctx, op, quota)
	}
	result, err := s.cluster.SubmitOperation(ctx, op)
	if err != nil || result.Known {
		give()
	}
	return result, err
}

// overLimit answers a creation while the limit of its address is used up. 429 comes last in the order of
// checks, so what would be answered otherwise than with a new record still is: by a state that is sure to
// show all that was acknowledged, or a lagging node would refuse falsely (DESIGN 2).
func (s *Server) overLimit(ctx context.Context, op *registry.Operation, quota error) (state.Result, error) {
	if err := s.cluster.ReadIndex(ctx); err != nil {
		return state.Result{}, waited(err, "a confirmation of leadership")
	}
	passes := func(clock registry.Millis) bool {
		_, _, err := s.state.CheckOperation(op, clock)
		return err == nil
	}
	now := registry.MillisOf(time.Now())
	_, known, err := s.state.CheckOperation(op, now)
	switch {
	case known != nil:
		return *known, known.Err
	case err == nil || passes(now.Add(-clockDoubt)) || passes(now.Add(clockDoubt)):
	case passes(registry.Millis(op.Iat * 1000)):
		return s.cluster.SubmitOperation(ctx, op) // it is dated wrongly, and by the leader's clock as surely
	default:
		return state.Result{}, err
	}
	s.metrics.limited.WithLabelValues("creations").Inc()
	return state.Result{}, quota
}

// clockDoubt is how far this node's clock may be off the leader's, which is the one that iat is compared with
// (DESIGN 6, rule 5). Whether a creation is dated wrongly is not for this node to say when it is within that of
// being dated well; nor may the leader say while the limit is used up, for it might find it good.
const clockDoubt = time.Minute

// submitted replies to a signed object that was accepted, now or before.
func (s *Server) submitted(c echo.Context, r state.Result) error {
	status := http.StatusCreated
	if r.Known {
		status = http.StatusOK
	}
	body := appendSubmitted(make([]byte, 0, 256), r)
	h := c.Response().Header()
	common(h)
	h["Content-Type"] = valueJSON
	h["Cache-Control"] = valueNoStore
	h["Dcann-Index"] = s.writtenValue(r.Index)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(body)
	return nil
}

// appendSubmitted writes wire.Submitted.
func appendSubmitted(dst []byte, r state.Result) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, r.ID)
	dst = appendMember(dst, "op", r.Op)
	dst = appendUint(dst, "seq", r.Seq)
	dst = appendUint(dst, "position", r.Position)
	return append(dst, '}')
}
