package registry

import (
	"slices"
	"time"

	"github.com/dcann/dcann/registry/jws"
)

// TypPolicy is the JWS type of a signed policy.
const TypPolicy = "dcann-policy+jwt"

// MaxStatement caps a status, an acceptance or a policy, in bytes of compact JWS.
const MaxStatement = 8 << 10

// Policy is what all nodes of a registry agree on and no node may set for itself: it is replicated,
// versioned and signed (DESIGN 8). Durations are in seconds so that nodes cannot round them differently.
type Policy struct {
	V              int            `json:"v"`       // of this form: 1
	Version        uint64         `json:"version"` // of the policy: 1, and one more each time
	Country        Country        `json:"country"`
	Accreditation  []jws.Multikey `json:"accreditation"`         // 1–5 keys that sign statuses and the next policy
	Service        []jws.Multikey `json:"service,omitempty"`     // keys that sign slot tickets (DESIGN 7)
	Checkpoint     []string       `json:"checkpoint,omitempty"`  // note verifier keys of the log (DESIGN 11)
	RecoveryWindow int64          `json:"recoveryWindowSeconds"` // 72 h, and less only on test networks
	MaxClockSkew   int64          `json:"maxClockSkewSeconds"`   // how far iat may be from the leader's clock
	PerHour        int            `json:"operationsPerHour"`     // quotas of one record
	PerDay         int            `json:"operationsPerDay"`
	Deactivations  int            `json:"deactivationsPerDay"`
	Iat            int64          `json:"iat"`
}

// The values of DESIGN 6, which a policy starts from.
const (
	DefaultRecoveryWindow = 72 * time.Hour
	DefaultClockSkew      = 10 * time.Minute
	DefaultPerHour        = 10
	DefaultPerDay         = 30
	DefaultDeactivations  = 3
)

// DefaultPolicy is version 1 for country with the numbers of DESIGN 6; the caller adds keys and Iat.
func DefaultPolicy(country Country) Policy {
	return Policy{
		V: 1, Version: 1, Country: country,
		RecoveryWindow: int64(DefaultRecoveryWindow / time.Second),
		MaxClockSkew:   int64(DefaultClockSkew / time.Second),
		PerHour:        DefaultPerHour, PerDay: DefaultPerDay, Deactivations: DefaultDeactivations,
	}
}

// Window is how long an operation can be undone.
func (p *Policy) Window() time.Duration { return time.Duration(p.RecoveryWindow) * time.Second }

// Sign makes the statement that introduces p. signer is an accreditation key of the policy in force, or
// of p itself when p is the first. The error's kind is Invalid.
func (p *Policy) Sign(signer jws.Signer) (jws.Message, error) {
	if err := p.check(); err != nil {
		return jws.Message{}, err
	}
	payload, err := encodeJSON(p)
	if err != nil {
		return jws.Message{}, err
	}
	return jws.Sign(signer, string(signer.Public().Multikey()), TypPolicy, payload)
}

// ParsePolicy checks form and signature of a signed policy and whether it may follow current, which is
// nil for the first. The error's kind is TooLarge, Invalid, BadSignature, Conflict (the version does not follow) or
// Forbidden (the signer is not an accreditation key of current, or the country would change).
func ParsePolicy(raw []byte, current *Policy) (*Policy, error) {
	msg, err := jws.Parse(raw, MaxStatement)
	if err != nil {
		return nil, err
	}
	if typ := msg.Header().Typ; typ != TypPolicy {
		return nil, invalid("header.typ %.40q: expected %s", typ, TypPolicy)
	}
	p := new(Policy)
	if err := jws.DecodeJSON(msg.Payload(), p); err != nil {
		return nil, invalid("policy: %v", err)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := p.follows(current, jws.Multikey(msg.Header().Kid)); err != nil {
		return nil, err
	}
	key, err := jws.ParseMultikey(msg.Header().Kid)
	if err != nil {
		return nil, invalid("header.kid: %v", err)
	}
	if err := msg.Verify(key); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Policy) follows(current *Policy, signer jws.Multikey) error {
	if current == nil {
		if p.Version != 1 {
			return fail(Conflict, "policy.version is %d: expected 1 in the first policy", p.Version)
		}
		current = p
	} else if p.Version != current.Version+1 {
		return fail(Conflict, "policy.version is %d: expected %d", p.Version, current.Version+1)
	}
	if p.RecoveryWindow < current.RecoveryWindow {
		return fail(Forbidden, "policy.recoveryWindowSeconds is %d: expected at least %d, what holders were promised is not shortened", p.RecoveryWindow, current.RecoveryWindow)
	}
	if p.Country != current.Country {
		return fail(Forbidden, "policy.country is %s: expected %s, a registry does not change its country", p.Country, current.Country)
	}
	if !slices.Contains(current.Accreditation, signer) {
		return fail(Forbidden, "policy is signed by %s: expected an accreditation key of the policy in force", signer)
	}
	return nil
}

func (p *Policy) check() error {
	if _, err := ParseCountry(string(p.Country)); err != nil {
		return invalid("policy.%v", err)
	}
	switch {
	case p.V != 1:
		return invalid("policy.v is %d: expected 1", p.V)
	case p.Version < 1:
		return invalid("policy.version: expected 1 or more")
	case len(p.Accreditation) < 1 || len(p.Accreditation) > MaxRotation || len(p.Service) > MaxRotation || len(p.Checkpoint) > MaxRotation:
		return invalid("policy.accreditation has %d keys: expected 1 to %d, and as many service and checkpoint keys at most", len(p.Accreditation), MaxRotation)
	case p.RecoveryWindow < 1 || p.RecoveryWindow > 30*86400:
		return invalid("policy.recoveryWindowSeconds is %d: expected 1 to %d", p.RecoveryWindow, 30*86400)
	case p.RecoveryWindow < int64(DefaultRecoveryWindow/time.Second) && !p.Country.UserAssigned():
		return invalid("policy.recoveryWindowSeconds is %d: expected at least 72 h outside test networks", p.RecoveryWindow)
	case p.MaxClockSkew < 1 || p.MaxClockSkew > 3600:
		return invalid("policy.maxClockSkewSeconds is %d: expected 1 to 3600", p.MaxClockSkew)
	case p.RecoveryWindow*int64(p.PerDay) > MaxUndoable*86400:
		return invalid("policy: expected operationsPerDay times the days of recoveryWindowSeconds to be at most %d", MaxUndoable)
	case p.PerHour < 1 || p.PerDay < p.PerHour || p.Deactivations < 1 || p.PerDay > MaxPerDay:
		return invalid("policy: expected 1 <= operationsPerHour <= operationsPerDay <= %d and deactivationsPerDay >= 1", MaxPerDay)
	}
	for _, k := range slices.Concat(p.Accreditation, p.Service) {
		if _, err := jws.ParseMultikey(string(k)); err != nil {
			return invalid("policy key %.60q: %v", k, err)
		}
	}
	return nil
}

// MaxUndoable bounds how many operations of a record can be undone at once: they are kept in its row.
const MaxUndoable = 3000

// MaxPerDay bounds the quota that a policy may set, since the times of a day's operations are kept in
// the row of each record.
const MaxPerDay = 1000
