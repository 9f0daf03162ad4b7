package registry

import (
	"strings"

	"github.com/dcann/dcann/registry/jws"
)

// The types of statements: compact JWS under the same rules as operations (DESIGN 6).
const (
	TypStatus     = "dcann-status+jwt"
	TypAcceptance = "dcann-acceptance+jwt"
)

// MaxReason caps the reason of a status, in bytes.
const MaxReason = 500

// StatusContent is what a status statement says: how a registry sees an organisation.
type StatusContent struct {
	V      int       `json:"v"`
	Sub    ID        `json:"sub"`
	Head   OpID      `json:"head"` // an operation of the organisation, whose values were looked at
	Status OrgStatus `json:"status"`
	Epoch  uint64    `json:"epoch"` // rises when the legal identity changes; from 1
	Reason string    `json:"reason,omitempty"`
	Iat    int64     `json:"iat"`
}

// AcceptanceContent is what a provider says of a strand placed with it.
type AcceptanceContent struct {
	V        int    `json:"v"`
	Iss      ID     `json:"iss"`
	Sub      ID     `json:"sub"`
	Strand   Digest `json:"strand"`
	Accepted *bool  `json:"accepted"`
	Iat      int64  `json:"iat"`
}

// StatusStatement is a status whose form is right; its signature is judged in its turn by
// Accreditation.Check. Immutable.
type StatusStatement struct {
	StatusContent
	Name      OpID
	Signer    jws.Multikey
	message   jws.Message
	signature error
}

// Acceptance is an acceptance or withdrawal whose form is right. Its key is only known from the
// provider's record: Verify checks the signature. Immutable.
type Acceptance struct {
	AcceptanceContent
	Name     OpID
	KeyID    string // fragment of the provider's DID
	Accepted bool
	message  jws.Message
}

// ParseStatus checks size, form and signature. The error's kind is TooLarge or Invalid.
func ParseStatus(raw []byte) (*StatusStatement, error) {
	s, err := ReplayStatus(raw)
	if err != nil {
		return nil, err
	}
	key, err := jws.ParseMultikey(string(s.Signer))
	if err != nil {
		return nil, invalid("header.kid: %v", err)
	}
	s.signature = s.message.Verify(key)
	return s, nil
}

// ReplayStatus parses a status that was checked when it was accepted; see ReplayOperation.
func ReplayStatus(raw []byte) (*StatusStatement, error) {
	s := new(StatusStatement)
	var err error
	if s.message, err = parseStatement(raw, TypStatus, &s.StatusContent); err != nil {
		return nil, err
	}
	s.Name, s.Signer = OpID(s.message.Name()), jws.Multikey(s.message.Header().Kid)
	if _, err := ParseID(string(s.Sub)); err != nil {
		return nil, invalid("sub: %v", err)
	}
	if _, err := ParseOpID(string(s.Head)); err != nil {
		return nil, invalid("head: %v", err)
	}
	switch {
	case s.V != 1:
		return nil, invalid("v: expected 1")
	case s.Status != OrgActive && s.Status != OrgSuspended && s.Status != OrgRevoked:
		return nil, invalid("status %.16q: expected active, suspended or revoked", s.Status)
	case s.Epoch < 1:
		return nil, invalid("epoch: expected 1 or more")
	case s.Iat <= 0:
		return nil, invalid("iat: expected seconds since 1970")
	case len(s.Reason) > MaxReason || strings.ContainsFunc(s.Reason, isControl):
		return nil, invalid("reason: expected at most %d bytes without control characters", MaxReason)
	}
	return s, nil
}

// ParseAcceptance checks size and form. The error's kind is TooLarge or Invalid.
func ParseAcceptance(raw []byte) (*Acceptance, error) {
	a := new(Acceptance)
	var err error
	if a.message, err = parseStatement(raw, TypAcceptance, &a.AcceptanceContent); err != nil {
		return nil, err
	}
	a.Name = OpID(a.message.Name())
	if _, err := ParseID(string(a.Iss)); err != nil {
		return nil, invalid("iss: %v", err)
	}
	if _, err := ParseID(string(a.Sub)); err != nil {
		return nil, invalid("sub: %v", err)
	}
	if _, err := ParseDigest(string(a.Strand)); err != nil {
		return nil, invalid("strand: %v", err)
	}
	kid := a.message.Header().Kid
	did, fragment, ok := strings.Cut(kid, "#")
	switch {
	case !ok || !idPattern.MatchString(fragment):
		return nil, invalid("header.kid %.110q: expected <provider DID>#<key id>", kid)
	case ID(did) != a.Iss:
		return nil, invalid("header.kid names %.80q: expected the provider in iss, %s", did, a.Iss)
	case a.V != 1:
		return nil, invalid("v: expected 1")
	case a.AcceptanceContent.Accepted == nil:
		return nil, invalid("accepted is missing: expected true or false")
	case a.Iat <= 0:
		return nil, invalid("iat: expected seconds since 1970")
	}
	a.KeyID, a.Accepted = fragment, *a.AcceptanceContent.Accepted
	return a, nil
}

func parseStatement(raw []byte, typ string, content any) (jws.Message, error) {
	msg, err := jws.Parse(raw, MaxStatement)
	if err != nil {
		return msg, err
	}
	if got := msg.Header().Typ; got != typ {
		return msg, invalid("header.typ %.40q: expected %s", got, typ)
	}
	if err := jws.DecodeJSON(msg.Payload(), content); err != nil {
		return msg, invalid("payload: %v", err)
	}
	return msg, nil
}

// Message is the signed statement.
func (s *StatusStatement) Message() jws.Message { return s.message }

// Message is the signed statement.
func (a *Acceptance) Message() jws.Message { return a.message }

// Sign makes the statement; signer is an accreditation key.
func (c StatusContent) Sign(signer jws.Signer) (jws.Message, error) {
	c.V = 1
	return signStatement(signer, string(signer.Public().Multikey()), TypStatus, c)
}

// Sign makes the statement; keyID is the fragment of signer in the provider's record. The error's kind is
// Invalid when Accepted is nil: null is not refusal.
func (c AcceptanceContent) Sign(signer jws.Signer, keyID string) (jws.Message, error) {
	c.V = 1
	if c.Accepted == nil {
		return jws.Message{}, invalid("accepted is missing: expected true or false")
	}
	return signStatement(signer, string(c.Iss)+"#"+keyID, TypAcceptance, c)
}

func signStatement(signer jws.Signer, kid, typ string, content any) (jws.Message, error) {
	payload, err := encodeJSON(content)
	if err != nil {
		return jws.Message{}, err
	}
	return jws.Sign(signer, kid, typ, payload)
}

// AcceptanceState is how a strand stands with its provider: the last acceptance or withdrawal.
type AcceptanceState struct {
	Accepted bool
	Iat      int64
	Time     Millis // registry time
	Count    uint64 // acceptances and withdrawals so far; the seq of the next in the strand's log
}

// AcceptanceEnv is what Check needs besides the statement. Provider and ProviderRecord are nil when the
// provider is not known here.
type AcceptanceEnv struct {
	Now            Millis // the entry's registry time
	Clock          Millis // the leader's own clock; 0: it is Now
	Policy         *Policy
	Passport       *Lineage // of sub; nil if unknown
	Strand         *Strand  // the held disclosure with this digest in the record in force; nil if none
	Provider       *Lineage
	ProviderRecord *Record
}

// Check judges a against the strand's last state, in the order of DESIGN 6. With signed, the signature was
// checked before against the key that the pinned provider record lists. It returns the state after.
//
// Who cannot prove to be the provider of a granted strand gets the answer for a strand that is not there:
// digests are public, and where a granted strand lies is not (DESIGN 7).
//
// The error's kind is Misdirected, NotFound, Gone, Conflict, Forbidden, BadSignature or Invalid.
func (s *AcceptanceState) Check(a *Acceptance, env AcceptanceEnv, signed bool) (AcceptanceState, error) {
	if err := a.checkPassport(env); err != nil {
		return AcceptanceState{}, err
	}
	authentic := a.checkProvider(env, signed)
	if env.Strand == nil || env.Strand.Visibility != Public && authentic != nil {
		return AcceptanceState{}, fail(NotFound, "%s has no disclosed strand with digest %s that this provider may speak of", a.Sub, a.Strand)
	}
	if env.Provider == nil {
		return AcceptanceState{}, authentic
	}
	if s != nil && a.Iat < s.Iat {
		return AcceptanceState{}, conflict(env.Passport, "iat is %d: expected no older than %d, of the statement in force", a.Iat, s.Iat)
	}
	if authentic != nil {
		return AcceptanceState{}, authentic
	}
	if err := checkIat(a.Iat, env.Clock, env.Now, env.Policy); err != nil {
		return AcceptanceState{}, err
	}
	next := AcceptanceState{Accepted: a.Accepted, Iat: a.Iat, Time: env.Now, Count: 1}
	if s != nil {
		next.Count = s.Count + 1
	}
	return next, nil
}

func (a *Acceptance) checkPassport(env AcceptanceEnv) error {
	if err := CheckHome(a.Sub, env.Policy.Country); err != nil {
		return err
	}
	switch {
	case env.Passport == nil:
		return fail(NotFound, "%s is not known here", a.Sub)
	case env.Passport.Status != Active:
		return fail(Gone, "%s is %s", a.Sub, env.Passport.Status)
	}
	return nil
}

// checkProvider finds out whether a is by the provider of the strand: its listed key, its signature.
func (a *Acceptance) checkProvider(env AcceptanceEnv, signed bool) error {
	switch {
	case env.Provider == nil:
		return fail(NotFound, "provider %s is not known here", a.Iss)
	case env.Provider.Status != Active || env.Provider.Kind != Organisation:
		return fail(Forbidden, "provider %s is not an active record of an organisation", a.Iss)
	case env.Strand != nil && env.Strand.Provider != a.Iss:
		return fail(Forbidden, "the strand is placed with %s: expected its statement, not that of %s", env.Strand.Provider, a.Iss)
	}
	key, ok := env.ProviderRecord.Key(a.KeyID)
	if !ok || !key.Has(UseSign) || key.Retired != nil {
		return fail(Forbidden, "header.kid #%s: expected a listed sign key of the provider that is not retired", a.KeyID)
	}
	if signed {
		return nil
	}
	public, err := jws.ParseMultikey(string(key.Key))
	if err != nil {
		return err
	}
	return a.message.Verify(public)
}
