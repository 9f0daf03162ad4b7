package registry

import (
	"fmt"
	"slices"
)

// OrgStatus is how a registry sees an organisation (DESIGN 6).
type OrgStatus string

// An organisation is pending until a status names a head with the values it has now; revoked is final.
const (
	OrgPending   OrgStatus = "pending"
	OrgActive    OrgStatus = "active"
	OrgSuspended OrgStatus = "suspended"
	OrgRevoked   OrgStatus = "revoked"
)

// Accreditation is the status statement in force for an organisation; zero when there was none.
type Accreditation struct {
	Status OrgStatus
	Epoch  uint64
	Iat    int64
	Reason string

	// Seq is that of the operation whose values the last active status named: the organisation is pending
	// whenever the values in force are others (Standing).
	Seq uint64
}

// Standing derives how the organisation stands from the statement in force and the record in force.
// named is the record that operation a.Seq carried; nil when no active status was ever given.
func (a Accreditation) Standing(inForce, named *Record) OrgStatus {
	switch {
	case a.Status == OrgSuspended || a.Status == OrgRevoked:
		return a.Status
	case a.Status == OrgActive && named != nil && named.SameIdentity(inForce):
		return OrgActive
	}
	return OrgPending
}

// StatusEnv is what Check needs besides the statement.
type StatusEnv struct {
	Now     Millis // the entry's registry time
	Clock   Millis // the leader's own clock; 0: it is Now
	Policy  *Policy
	Lineage *Lineage // of sub; nil if unknown
	InForce *Record
	// Named returns the seq of an operation of sub and the record it carried, nil if it carried none; its
	// error's kind is NotFound for an operation that sub does not have.
	Named func(OpID) (seq uint64, r *Record, err error)
}

// Check judges s in the order of DESIGN 6 and returns the accreditation after it. A known statement is
// the caller's to find first. The error's kind is Misdirected, NotFound, Gone, Conflict, Forbidden,
// BadSignature or Invalid; or what env.Named returned.
func (a Accreditation) Check(s *StatusStatement, env StatusEnv) (Accreditation, error) {
	if err := CheckHome(s.Sub, env.Policy.Country); err != nil {
		return a, err
	}
	next := Accreditation{Status: s.Status, Epoch: s.Epoch, Iat: s.Iat, Reason: s.Reason, Seq: a.Seq}
	if err := a.checkSubject(s, env, &next); err != nil {
		return a, err
	}
	switch {
	case a.Status == OrgRevoked:
		return a, conflict(env.Lineage, "%s is revoked, which is final", s.Sub)
	case s.Epoch < a.Epoch:
		return a, conflict(env.Lineage, "epoch is %d: expected at least %d, it never falls", s.Epoch, a.Epoch)
	case s.Iat < a.Iat:
		return a, conflict(env.Lineage, "iat is %d: expected no older than %d, of the status in force", s.Iat, a.Iat)
	case !slices.Contains(env.Policy.Accreditation, s.Signer):
		return a, fail(Forbidden, "status is signed by %s: expected an accreditation key of this registry", s.Signer)
	case s.signature != nil:
		return a, s.signature
	}
	if err := checkIat(s.Iat, env.Clock, env.Now, env.Policy); err != nil {
		return a, err
	}
	return next, nil
}

// checkSubject finds the organisation and the head that the statement names.
func (a Accreditation) checkSubject(s *StatusStatement, env StatusEnv, next *Accreditation) error {
	l := env.Lineage
	switch {
	case l == nil || l.Kind != Organisation:
		return fail(NotFound, "%s is not an organisation known here", s.Sub)
	case l.Status != Active && s.Status == OrgActive:
		return fail(Gone, "%s is %s", s.Sub, l.Status)
	}
	seq, named, err := env.Named(s.Head)
	switch {
	case err != nil && KindOf(err) != NotFound:
		return err
	case err != nil:
		return conflict(l, "head %s is not an operation of %s: the head is %s", s.Head, s.Sub, l.Head)
	}
	if s.Status != OrgActive {
		return nil
	}
	if named == nil || !named.SameIdentity(env.InForce) {
		return conflict(l, "head %s has another name, LEI, jurisdiction, roles or domain than the record now: the head is %s", s.Head, l.Head)
	}
	next.Seq = seq
	return nil
}

func conflict(l *Lineage, format string, args ...any) error {
	return &Error{Kind: Conflict, Head: l.Head, Detail: fmt.Sprintf(format, args...)}
}

// Withheld says why a strand's endpoint is not shown; empty when it is (DESIGN 6).
type Withheld string

// The reasons to withhold an endpoint.
const (
	NotAccepted         Withheld = "not-accepted"
	Withdrawn           Withheld = "withdrawn"
	ProviderUnknown     Withheld = "provider-unknown"
	ProviderPending     Withheld = "provider-pending"
	ProviderSuspended   Withheld = "provider-suspended"
	ProviderRevoked     Withheld = "provider-revoked"
	ProviderDeactivated Withheld = "provider-deactivated"
	CountryUnreachable  Withheld = "country-unreachable"
)

// ProviderView is what showing a strand needs of its provider. Known is false when there is no such
// organisation here; Reachable when its country could be asked, which is always so for our own.
type ProviderView struct {
	Known     bool
	Reachable bool
	Status    Status
	Standing  OrgStatus
	Endpoints []Endpoint
}

// Withhold decides whether a strand's endpoints are shown. accepted is nil when the provider never spoke.
// What is wrong with the provider is told first: who is not known here cannot even accept.
func Withhold(accepted *AcceptanceState, p ProviderView) Withheld {
	switch {
	case !p.Reachable:
		return CountryUnreachable
	case !p.Known:
		return ProviderUnknown
	case p.Standing == OrgRevoked: // which no deactivation hides
		return ProviderRevoked
	case p.Status != Active:
		return ProviderDeactivated
	case p.Standing == OrgSuspended:
		return ProviderSuspended
	case p.Standing != OrgActive:
		return ProviderPending
	case len(p.Endpoints) == 0:
		return ProviderUnknown
	case accepted == nil:
		return NotAccepted
	case !accepted.Accepted:
		return Withdrawn
	}
	return ""
}
