package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

func refuse(kind registry.Kind, format string, args ...any) error {
	return &registry.Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error { return refuse(registry.Invalid, format, args...) }

// httpError is a refusal that HTTP itself has a status for, and no kind of ours.
type httpError struct {
	problem wire.Problem
	allow   string
}

func (e *httpError) Error() string { return e.problem.Detail }

// panicked is a panic as an error; both of its parts are for the log alone.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// caught is what recover returned as an error. The deferred function that recovers calls it, where the
// stack is still that of the panic.
func caught(value any) error { return &panicked{value: value, stack: debug.Stack()} }

// fail is echo's error handler: it gets what echo itself refuses, before a route was found.
func (s *Server) fail(err error, c echo.Context) {
	rt := &route{name: "none"}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusMethodNotAllowed:
			allow, _ := c.Get(echo.ContextKeyHeaderAllow).(string)
			err = &httpError{problem: wire.BlankProblem(he.Code, "method "+c.Request().Method+": expected one of "+allow), allow: allow}
		case http.StatusNotFound:
			err = notFound(c)
		}
	}
	s.reply(c, rt, err)
	s.metrics.requests.WithLabelValues(rt.name, strconv.Itoa(c.Response().Status)).Inc()
}

// told is how an error is answered.
type told struct {
	status      int
	contentType string
	body        []byte
	retryAfter  int64
	allow       string
}

// reply renders err: as a problem document (DESIGN 10), or in the form of DID Resolution. What is ours to
// mend is logged with the request's identifier, which the caller is told; a refusal is only counted, as
// its text may quote the caller.
func (s *Server) reply(c echo.Context, rt *route, err error) {
	out := s.tell(c, err)
	if out.status == http.StatusInternalServerError || out.status == http.StatusBadGateway || out.status == http.StatusServiceUnavailable {
		s.logFailure(c, rt, out.status, err)
	}
	if c.Response().Committed {
		// The answer had begun: only cutting the connection tells the reader that it is not whole.
		panic(http.ErrAbortHandler)
	}
	h := c.Response().Header()
	at := asOf{h["Dcann-Index"], h["Dcann-Staleness"]}
	clear(h)
	if at.index != nil {
		at.put(h)
	}
	common(h)
	h["Content-Type"] = []string{out.contentType}
	h["Cache-Control"] = valueNoStore
	h["Content-Length"] = []string{strconv.Itoa(len(out.body))}
	if id, _ := c.Get(requestIDKey).(string); id != "" {
		h["X-Request-Id"] = []string{id}
	}
	if out.retryAfter > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(out.retryAfter, 10)}
	}
	if out.allow != "" {
		h["Allow"] = []string{out.allow}
	}
	if out.status == http.StatusRequestEntityTooLarge || c.Get(unreadKey) != nil {
		h["Connection"] = []string{"close"} // rather than to read the rest of it
	}
	// A batch may fail when the time of an answer is over; and what net/http reads of the rest of a body must
	// end. Best effort: tests have no connection.
	control := http.NewResponseController(c.Response().Writer)
	_ = control.SetReadDeadline(time.Now().Add(wire.HeaderTimeout))
	_ = control.SetWriteDeadline(time.Now().Add(s.config.WriteTimeout))
	c.Response().WriteHeader(out.status)
	_, _ = c.Response().Write(out.body)
}

// tell decides how err is answered.
func (s *Server) tell(c echo.Context, err error) told {
	if re, ok := errors.AsType[*resolutionError](err); ok {
		contentType, body, err := re.render()
		if err == nil {
			return told{status: re.code.Status(), contentType: contentType, body: body}
		}
	}
	problem, allow := s.problem(err)
	if problem.Status >= 500 {
		problem.Instance = instance(requestID(c))
	}
	body, encErr := wire.Encode(problem)
	if encErr != nil { // text that is not UTF-8, which no message should quote
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500}`)
	}
	return told{status: problem.Status, contentType: wire.TypeProblem, body: body, retryAfter: problem.RetryAfter, allow: allow}
}

// problem decides what is told of err.
func (s *Server) problem(err error) (p wire.Problem, allow string) {
	if he, ok := errors.AsType[*httpError](err); ok {
		return he.problem, he.allow
	}
	if _, ok := errors.AsType[*registry.Error](err); !ok && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		err = refuse(registry.Unavailable, "no answer within the time of a request")
	}
	p = wire.ProblemOf(err)
	if p.Status == http.StatusServiceUnavailable && p.RetryAfter == 0 {
		p.RetryAfter = 1 // DESIGN 10: an unavailable always says when to come again
	}
	return p, ""
}

func (s *Server) logFailure(c echo.Context, rt *route, status int, err error) {
	args := append([]any{"route", rt.name, "method", c.Request().Method, "status", status}, failure(requestID(c), err)...)
	switch {
	case status == http.StatusInternalServerError: // a defect, whether or not the client still waits
		s.log.Error("request failed", args...)
	case c.Request().Context().Err() == nil: // else the client went away
		s.log.Warn("request not answered", args...)
	}
}

// failure is what the log says of an error: the request, the cause, and of a panic where it was.
func failure(requestID string, err error) []any {
	args := []any{"request_id", requestID, "error", err.Error()}
	if p, ok := errors.AsType[*panicked](err); ok {
		args = append(args, "stack", string(p.stack))
	}
	return args
}

// lineProblem is what a line of a batch says of its error. A failure of ours is logged under the name of
// the request, which the line tells; the log has no identifier of a record.
func (s *Server) lineProblem(requestID string, err error) wire.Problem {
	problem, _ := s.problem(err)
	if problem.Status == http.StatusInternalServerError {
		s.log.Error("line of a batch failed", failure(requestID, err)...)
		problem.Instance = instance(requestID)
	}
	return problem
}

// instance is the name of a request as a problem document gives it.
func instance(requestID string) string { return "urn:request:" + requestID }

// Keys of an echo.Context.
const (
	requestIDKey = "request_id"
	unreadKey    = "unread" // set: the body was given up in the middle
)

// takeRequestID keeps the name that a client gave its request and says it back. A name of another form is
// replaced by one of ours: it would go into the log.
func takeRequestID(c echo.Context, id string) {
	ok := len(id) >= 1 && len(id) <= 64
	for i := 0; ok && i < len(id); i++ {
		b := id[i]
		ok = b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '.' || b == '_' || b == '-'
	}
	if !ok {
		id = rand.Text()
	}
	c.Set(requestIDKey, id)
	c.Response().Header()["X-Request-Id"] = []string{id}
}

// requestID names the request. It is made up only where it is needed: by an error.
func requestID(c echo.Context) string {
	if id, ok := c.Get(requestIDKey).(string); ok {
		return id
	}
	id := rand.Text()
	c.Set(requestIDKey, id)
	return id
}
