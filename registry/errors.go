package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/dcann/dcann/registry/jws"
)

// Kind names what went wrong, independent of where: it is an error itself, survives the network as the
// code of a problem document, and is what callers compare with errors.Is (DESIGN 10). The table from
// kinds to HTTP statuses is in registry/wire.
type Kind = jws.Kind

// The kinds of error (DESIGN 10).
const (
	Invalid      = jws.Invalid          // malformed, or against a rule that needs no state
	Unauthorised = Kind("unauthorised") // no proof of who asks
	Forbidden    = Kind("forbidden")    // the signer is not entitled to this
	BadSignature = jws.BadSignature     // the signature does not fit the signing input and the key
	NotFound     = Kind("not-found")    // no such record, operation or strand
	Conflict     = Kind("conflict")     // prev is not the head; Error.Head says what is
	Gone         = Kind("gone")         // deactivated or erased
	TooLarge     = jws.TooLarge         // over a documented cap; decided before parsing
	Misdirected  = Kind("misdirected")  // another country's; Error.Country names it
	Quota        = Kind("quota")        // too many; Error.RetryAfter says when to come again
	Unverifiable = Kind("unverifiable") // an answer came, and could not be proved
	Unavailable  = Kind("unavailable")  // cannot be answered now; retrying is safe
	Internal     = Kind("internal")     // a defect of ours; no detail leaves the node
)

// Error is a refusal by the rules. Its message says what was wrong, where, and what was expected.
type Error struct {
	Kind       Kind
	Detail     string
	Head       OpID          // Conflict: the head of the record, if it has one
	Country    Country       // Misdirected: the country to ask
	RetryAfter time.Duration // Quota, Unavailable: when to come again; 0 if not known
}

// Error implements error.
func (e *Error) Error() string { return e.Detail }

// Unwrap makes errors.Is(err, kind) work.
func (e *Error) Unwrap() error { return e.Kind }

// KindOf returns the kind of err, and Internal for an error without one.
func KindOf(err error) Kind {
	if k, ok := errors.AsType[Kind](err); ok {
		return k
	}
	return Internal
}

func fail(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error { return fail(Invalid, format, args...) }
