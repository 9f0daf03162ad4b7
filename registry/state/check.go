package state

import (
	"fmt"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// Proposal is a command whose checks passed. It has no exported fields: only the Check methods make
// one, so that what was not checked cannot be proposed, by construction.
type Proposal struct{ command Command }

// Command is what to put into a Batch; not to be modified.
func (p Proposal) Command() Command { return p.command }

// at is the moment that a check reckons with, by the leader's clock.
func (p *published) at(clock registry.Millis) moment {
	return moment{now: max(clock, p.counters.LastTime+1), clock: clock}
}

// dated gives a known result the index as of which it is known. This is the row's, read after the rest: what
// is published may be of a commit before.
func dated(r reader, known *Result, err error) (*Result, error) {
	if err != nil || known == nil {
		return nil, err
	}
	var row appliedRow
	if _, err := r.view(keyApplied, func(v []byte) error { return decodeRow(v, &row) }); err != nil {
		return nil, fmt.Errorf("read the applied index: %w", err)
	}
	known.Index = row.Index
	return known, nil
}

// CheckOperation judges op as the leader does before it proposes. now is the leader's clock. It returns a
// proposal, or the first result of an operation that is known, or an error. All of them are of the state
// as applied here; a refusal may be told to anybody only once this node is known to be current (DESIGN 2).
//
// The error's kind is Unavailable while there is no policy, and else what Lineage.Check gives, in the
// order of DESIGN 6; Internal is a failure of the store.
func (s *Store) CheckOperation(op *registry.Operation, now registry.Millis) (Proposal, *Result, error) {
	p := s.published.Load()
	if p.policy == nil {
		return Proposal{}, nil, noPolicy()
	}
	var err error
	var known *Result
	if op.Act == registry.Create { // one row decides: no need of a snapshot
		r := committed{s.db}
		_, known, err = judgeOperation(r, p.policy, op, p.at(now))
		known, err = dated(r, known, err)
	} else {
		snap := s.snapshot()
		r := committed{snap.Snapshot}
		_, known, err = judgeOperation(r, p.policy, op, p.at(now))
		known, err = dated(r, known, err)
		snap.close()
	}
	if err != nil || known != nil {
		return Proposal{}, known, err
	}
	return Proposal{Command{Type: OperationCommand, Bytes: op.Bytes()}}, nil, nil
}

// CheckStatus is CheckOperation for a status; see Accreditation.Check for the kinds of error.
func (s *Store) CheckStatus(st *registry.StatusStatement, now registry.Millis) (Proposal, *Result, error) {
	p := s.published.Load()
	if p.policy == nil {
		return Proposal{}, nil, noPolicy()
	}
	snap := s.snapshot()
	defer snap.close()
	r := committed{snap.Snapshot}
	_, known, err := judgeStatus(r, p.policy, st, p.at(now))
	known, err = dated(r, known, err)
	if err != nil || known != nil {
		return Proposal{}, known, err
	}
	return Proposal{Command{Type: StatusCommand, Bytes: []byte(st.Message().Compact())}}, nil, nil
}

// CheckAcceptance is CheckOperation for an acceptance; see AcceptanceState.Check for the kinds of error. It
// verifies the signature, with a key of the provider's record, and pins this record.
func (s *Store) CheckAcceptance(a *registry.Acceptance, now registry.Millis) (Proposal, *Result, error) {
	p := s.published.Load()
	if p.policy == nil {
		return Proposal{}, nil, noPolicy()
	}
	snap := s.snapshot()
	r := committed{snap.Snapshot}
	j, known, err := judgeAcceptance(r, p.policy, a, p.at(now), false)
	known, err = dated(r, known, err)
	snap.close()
	if err != nil || known != nil {
		return Proposal{}, known, err
	}
	return Proposal{Command{Type: AcceptanceCommand, Bytes: []byte(a.Message().Compact()), Pins: []Pin{j.pin}}}, nil, nil
}

// CheckPolicy is CheckOperation for a policy; see registry.ParsePolicy for the kinds of error. Known is the policy in
// force alone: one that was so before is a Conflict.
func (s *Store) CheckPolicy(raw []byte) (Proposal, *Result, error) {
	p := s.published.Load()
	r := committed{s.db}
	_, known, err := judgePolicy(r, raw, p.policy, p.counters.Policy)
	if known != nil {
		err = checkKnownPolicy(raw, known.Seq, p.counters.Policy)
	}
	known, err = dated(r, known, err)
	if err != nil || known != nil {
		return Proposal{}, known, err
	}
	return Proposal{Command{Type: PolicyCommand, Bytes: raw}}, nil, nil
}

// checkKnownPolicy checks the signature of a policy that is known by its name, which does not tell of the signature,
// and that it is the one in force. The name tells of the header: the key there was found to be entitled.
func checkKnownPolicy(raw []byte, version, inForce uint64) error {
	msg, err := jws.Parse(raw, registry.MaxStatement)
	if err != nil {
		return err
	}
	key, err := jws.ParseMultikey(msg.Header().Kid)
	if err != nil {
		return err
	}
	if err := msg.Verify(key); err != nil {
		return err
	}
	if version != inForce {
		return &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf(
			"policy.version is %d: it was in force once, and version %d is now: expected %d", version, inForce, inForce+1)}
	}
	return nil
}

// LevelProposal raises the level. Propose it only when every member supports it: a node that does not
// stops. The error's kind is Invalid for a level that this release does not know, Conflict for one that
// is not above the state's.
func (s *Store) LevelProposal(level uint32) (Proposal, error) {
	switch now := s.Level(); {
	case level > MaxLevel:
		return Proposal{}, &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("level %d: this release knows levels up to %d", level, MaxLevel)}
	case level <= now:
		return Proposal{}, &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf("level %d: the level is %d already", level, now)}
	}
	return Proposal{Command{Type: LevelCommand, Bytes: levelBytes(level)}}, nil
}

// TickProposal does nothing but what is due (Store.DueTick).
func TickProposal() Proposal { return Proposal{Command{Type: TickCommand}} }
