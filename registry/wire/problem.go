package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// ProblemBase begins the type of every problem of ours; the kind follows (RFC 9457, section 3.1.1).
const ProblemBase = "https://dcann.org/problems/"

// TypeBlank is the type of a problem that says no more than its HTTP status: 404 of a path that does not
// exist, 405, 406 and 415.
const TypeBlank = "about:blank"

// kinds is the one table between error kinds and HTTP statuses (DESIGN 10), read in both directions.
// Where two kinds share a status, the first is what a bare status means.
var kinds = []struct {
	kind   registry.Kind
	status int
	title  string
}{
	{registry.Invalid, http.StatusBadRequest, "The request is not of the required form"},
	{registry.Unauthorised, http.StatusUnauthorized, "The request does not prove who asks"},
	{registry.Forbidden, http.StatusForbidden, "The signer is not entitled to this"},
	{registry.BadSignature, http.StatusForbidden, "The signature does not fit"},
	{registry.NotFound, http.StatusNotFound, "There is no such thing here"},
	{registry.Conflict, http.StatusConflict, "The record has moved on"},
	{registry.Gone, http.StatusGone, "The record was deactivated or erased"},
	{registry.TooLarge, http.StatusRequestEntityTooLarge, "The request is too large"},
	{registry.Misdirected, http.StatusMisdirectedRequest, "Another country answers for this identifier"},
	{registry.Quota, http.StatusTooManyRequests, "Too many requests"},
	{registry.Unverifiable, http.StatusBadGateway, "An answer could not be proved"},
	{registry.Unavailable, http.StatusServiceUnavailable, "This cannot be answered now"},
	{registry.Internal, http.StatusInternalServerError, "The registry failed"},
}

// StatusOf is the HTTP status of an error kind; 500 for one that is not in the table.
func StatusOf(k registry.Kind) int {
	for _, row := range kinds {
		if row.kind == k {
			return row.status
		}
	}
	return http.StatusInternalServerError
}

// KindOfStatus is what a status alone says, when a proxy answered and not a registry.
func KindOfStatus(status int) registry.Kind {
	for _, row := range kinds {
		if row.status == status {
			return row.kind
		}
	}
	switch {
	case status >= 500:
		return registry.Unavailable
	case status >= 400:
		return registry.Invalid
	}
	return registry.Unverifiable
}

// Problem is a problem document (RFC 9457). Head, Country and RetryAfter belong to the kinds conflict,
// misdirected, and quota or unavailable. RetryAfter is in whole seconds, rounded up, and also the
// Retry-After header.
type Problem struct {
	Type       string           `json:"type"`
	Title      string           `json:"title"`
	Status     int              `json:"status"`
	Detail     string           `json:"detail,omitzero"`
	Instance   string           `json:"instance,omitzero"` // urn:request: + the request's identifier
	Head       registry.OpID    `json:"head,omitzero"`
	Country    registry.Country `json:"country,omitzero"`
	RetryAfter int64            `json:"retryAfter,omitzero"`
}

// ProblemOf renders err for the wire. Whatever is not an error of the rules becomes an internal one
// without detail (DESIGN 10); logging the cause is the caller's.
func ProblemOf(err error) Problem {
	var own *registry.Error
	var form *jws.Error
	switch {
	case errors.As(err, &own) && own.Kind != registry.Internal:
		p := problemOfKind(own.Kind)
		p.Detail, p.Head, p.Country = err.Error(), own.Head, own.Country
		if own.RetryAfter > 0 {
			p.RetryAfter = int64((own.RetryAfter + time.Second - 1) / time.Second)
		}
		return p
	case errors.As(err, &form):
		p := problemOfKind(form.Kind)
		p.Detail = err.Error()
		return p
	}
	return problemOfKind(registry.Internal)
}

func problemOfKind(k registry.Kind) Problem {
	for _, row := range kinds {
		if row.kind == k {
			return Problem{Type: ProblemBase + string(k), Title: row.title, Status: row.status}
		}
	}
	return problemOfKind(registry.Internal)
}

// BlankProblem is a problem that says no more than status and detail do.
func BlankProblem(status int, detail string) Problem {
	return Problem{Type: TypeBlank, Title: http.StatusText(status), Status: status, Detail: detail}
}

// Err turns p back into the error that it was made from; the kind of a blank or foreign problem is that
// of its status.
func (p Problem) Err() *registry.Error {
	kind := KindOfStatus(p.Status)
	if name, ours := strings.CutPrefix(p.Type, ProblemBase); ours && known(registry.Kind(name)) {
		kind = registry.Kind(name)
	}
	detail := p.Detail
	if detail == "" {
		detail = p.Title
	}
	if detail == "" {
		detail = fmt.Sprintf("HTTP status %d", p.Status)
	}
	return &registry.Error{
		Kind: kind, Detail: detail, Head: p.Head, Country: p.Country,
		RetryAfter: time.Duration(min(max(p.RetryAfter, 0), maxRetry)) * time.Second,
	}
}

// maxRetry bounds what is believed of a wait, in seconds: a day.
const maxRetry = 86400

func known(k registry.Kind) bool {
	for _, row := range kinds {
		if row.kind == k {
			return true
		}
	}
	return false
}

// ReadProblem makes the typed error of an answer that is not 2xx. body may be anything: what is no problem
// document is judged by its status, with Retry-After from the header, in seconds or as a date, where the
// body has none. now is the reader's clock.
func ReadProblem(status int, header http.Header, body []byte, now time.Time) *registry.Error {
	p := Problem{Status: status}
	if mediaType(header.Get("Content-Type")) == TypeProblem {
		var read Problem
		if err := json.Unmarshal(body, &read); err == nil {
			p = read
			p.Status = status // the transport's, should they differ (RFC 9457, section 3.1.3)
		}
	}
	if p.RetryAfter == 0 {
		p.RetryAfter = retryAfter(header.Get("Retry-After"), now)
	}
	return p.Err()
}

func retryAfter(value string, now time.Time) int64 {
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return seconds
	}
	if at, err := http.ParseTime(value); err == nil {
		return int64(at.Sub(now)/time.Second) + 1
	}
	return 0
}

// mediaType is the media type of a Content-Type, without parameters, in lower case.
func mediaType(contentType string) string {
	name, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// IsMediaType reports whether a Content-Type header names want, whatever its parameters.
func IsMediaType(contentType, want string) bool { return mediaType(contentType) == want }

// Decode reads a body that this package describes into v. Members that are not known are skipped, so that
// a client outlives new ones; duplicates and other cases of a name are refused. The error's kind is
// Unverifiable: what a registry said could not be understood.
func Decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return &registry.Error{Kind: registry.Unverifiable, Detail: fmt.Sprintf("the registry's answer is not of the expected form: %v", err)}
	}
	return nil
}

// Encode writes v, a body of this package, in the form that goes over the wire.
func Encode(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true)) }
