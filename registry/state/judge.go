package state

import (
	"fmt"
	"slices"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// The judgements that the leader's check and Apply share: the same code over two readers. An error without
// a registry kind is a failure of the store, never a refusal.

// judged is an operation that may be applied, with what was read to find out.
type judged struct {
	registry.Verified
	before *record // nil for a create
	now    registry.Millis
}

// moment is when something is judged.
type moment struct {
	now   registry.Millis // registry time of the entry
	clock registry.Millis // of the leader, which iat is compared with
}

// judgeOperation goes through the order of checks of DESIGN 6 from 421 on. It returns a result instead
// when the operation is known.
func judgeOperation(r reader, policy *registry.Policy, op *registry.Operation, at moment) (judged, *Result, error) {
	if err := registry.CheckHome(op.ID, policy.Country); err != nil {
		return judged{}, nil, err
	}
	rec, err := loadRecord(r, op.ID)
	if err != nil {
		return judged{}, nil, err
	}
	if known, err := knownOperation(r, rec, op); known != nil || err != nil {
		return judged{}, known, err
	}
	env := registry.Env{Now: at.now, Clock: at.clock, Policy: policy}
	var lineage *registry.Lineage
	var failed error // of the store, inside a callback that cannot return it
	if rec != nil {
		lineage = rec.lineage
		if env.InForce, err = rec.inForce(); err != nil {
			return judged{}, nil, err
		}
		env.RecordAt = func(seq uint64) (*registry.Record, error) { return recordAt(r, rec, seq) }
	}
	env.Held = func(d registry.Digest) (registry.Disclosure, bool) {
		if rec == nil {
			return registry.Disclosure{}, false
		}
		s, err := heldAt(r, rec, d, at.now)
		if err != nil || s == nil {
			failed = err
			return registry.Disclosure{}, false
		}
		return s.disclosure(), true
	}
	v, err := lineage.Check(op, env)
	if failed != nil {
		err = failed
	}
	if err != nil {
		return judged{}, nil, err
	}
	return judged{Verified: v, before: rec, now: at.now}, nil, nil
}

// loadRecord is nil without an error when there is no such record.
func loadRecord(r reader, id registry.ID) (rec *record, err error) {
	ref, ok := refOf(id)
	if !ok {
		return nil, nil
	}
	_, err = r.view(ref.key(), func(v []byte) (err error) {
		rec, err = decodeRecord(ref, v)
		return err
	})
	return rec, err
}

// knownOperation finds out whether op was accepted before. An erased record knows nothing any more but
// what erased it, so that an erasure whose outcome was not learnt can be repeated.
func knownOperation(r reader, rec *record, op *registry.Operation) (*Result, error) {
	if rec == nil {
		return nil, nil
	}
	known := &Result{Known: true, ID: op.ID, Op: op.Name, Seq: op.Seq, Position: rec.Position}
	if rec.lineage.Status == registry.Erased {
		if op.Name != rec.lineage.Head {
			return nil, nil
		}
		return known, nil
	}
	if op.Seq > rec.lineage.Seq {
		return nil, nil
	}
	row, err := operationAt(r, rec, op.Seq)
	if err != nil {
		return nil, err
	}
	if op.Act != registry.Create && registry.OpID(row.Message.message().Name()) != op.Name {
		return nil, nil // a create is known by the identifier that it makes
	}
	known.Position = row.Position
	return known, nil
}

// operationAt reads one of the record's operations, which must be there.
func operationAt(r reader, rec *record, seq uint64) (*operationRow, error) {
	if seq == rec.lineage.RecordSeq {
		return rec.Op, nil
	}
	row := new(operationRow)
	found, err := r.view(rec.ref.operation(seq), func(v []byte) error { return decodeRow(v, row) })
	if err == nil && !found {
		err = fmt.Errorf("there is no row")
	}
	if err == nil {
		err = row.check()
	}
	if err != nil {
		return nil, fmt.Errorf("operation %d of %s: %w", seq, rec.id, err)
	}
	return row, nil
}

// recordAt is the record that the operation with this seq carried.
func recordAt(r reader, rec *record, seq uint64) (*registry.Record, error) {
	row, err := operationAt(r, rec, seq)
	if err != nil {
		return nil, err
	}
	op, err := row.operation()
	if err != nil {
		return nil, fmt.Errorf("operation %d of %s: %w", seq, rec.id, err)
	}
	if op.Record == nil {
		return nil, fmt.Errorf("operation %d of %s carries no record", seq, rec.id)
	}
	return op.Record, nil
}

// held finds a disclosure whose row is there, for readers, who have no clock; nil if none is.
func held(r reader, rec *record, d registry.Digest) (*strandRow, error) { return heldAt(r, rec, d, 0) }

// heldAt finds a disclosure that is held for the record at now: not one that waits to be swept.
func heldAt(r reader, rec *record, d registry.Digest, now registry.Millis) (*strandRow, error) {
	if s := rec.strand(d); s != nil {
		return s, nil
	}
	if rec.Kept == 0 {
		return nil, nil
	}
	kept, err := loadKept(r, rec.ref, d)
	if err != nil || kept == nil || kept.Until < now {
		return nil, err
	}
	return &kept.Strand, nil
}

func loadKept(r reader, ref ref, d registry.Digest) (*keptRow, error) {
	row := new(keptRow)
	found, err := r.view(ref.disclosure(d.Bytes()), func(v []byte) error { return decodeRow(v, row) })
	if err != nil || !found {
		return nil, err
	}
	return row, nil
}

// strand finds a disclosed strand of the record in force.
func (rec *record) strand(d registry.Digest) *strandRow {
	if rec.digests == nil {
		for i := range rec.Strands {
			rec.digests = append(rec.digests, rec.Strands[i].digest())
		}
	}
	if i := slices.Index(rec.digests, d); i >= 0 {
		return &rec.Strands[i]
	}
	return nil
}

func (s *strandRow) digest() registry.Digest { return digestOf(jws.EncodeBase64(s.Plain)) }

// findOperation is the seq of an operation of the record by its name.
func findOperation(r reader, rec *record, op registry.OpID) (seq uint64, found bool, err error) {
	switch op {
	case rec.id.Create():
		return 0, true, nil
	case rec.lineage.Head:
		return rec.lineage.Seq, true, nil
	case rec.opName():
		return rec.lineage.RecordSeq, true, nil
	}
	found, err = r.view(rec.ref.version(op), func(v []byte) error { return decodeRow(v, &seq) })
	return seq, found, err
}

// knownStatement finds out whether a statement was accepted before. What was said of an erased record is
// not known any more.
func knownStatement(r reader, name registry.OpID) (*Result, error) {
	var row knownRow
	found, err := r.view(statementKey(name), func(v []byte) error { return decodeRow(v, &row) })
	if err != nil || !found {
		return nil, err
	}
	return &Result{Known: true, ID: row.ID.id(), Op: name, Seq: row.Seq, Position: row.Position}, nil
}

// judgedStatus is a status that may be applied.
type judgedStatus struct {
	org  *record
	next registry.Accreditation
}

func judgeStatus(r reader, policy *registry.Policy, st *registry.StatusStatement, at moment) (judgedStatus, *Result, error) {
	if err := registry.CheckHome(st.Sub, policy.Country); err != nil {
		return judgedStatus{}, nil, err
	}
	if known, err := knownStatement(r, st.Name); known != nil || err != nil {
		return judgedStatus{}, known, err
	}
	org, err := loadRecord(r, st.Sub)
	if err != nil {
		return judgedStatus{}, nil, err
	}
	env := registry.StatusEnv{Now: at.now, Clock: at.clock, Policy: policy}
	var acc registry.Accreditation
	var failed error
	if org != nil && org.lineage.Kind == registry.Organisation {
		env.Lineage, acc = org.lineage, org.Standing.accreditation()
		if env.InForce, err = org.inForce(); err != nil {
			return judgedStatus{}, nil, err
		}
		env.Named = func(op registry.OpID) (uint64, *registry.Record, error) {
			seq, rec, err := namedRecord(r, org, op)
			if err != nil && registry.KindOf(err) == registry.Internal {
				failed = err
			}
			return seq, rec, err
		}
	}
	next, err := acc.Check(st, env)
	if failed != nil {
		err = failed
	}
	if err != nil {
		return judgedStatus{}, nil, err
	}
	return judgedStatus{org: org, next: next}, nil, nil
}

// namedRecord is what a status means by a head: an operation of the organisation and its record, nil if
// it carried none.
func namedRecord(r reader, org *record, op registry.OpID) (uint64, *registry.Record, error) {
	seq, found, err := findOperation(r, org, op)
	if err != nil {
		return 0, nil, err
	}
	if !found {
		return 0, nil, &registry.Error{Kind: registry.NotFound, Detail: fmt.Sprintf("%s has no operation %s", org.id, op)}
	}
	row, err := operationAt(r, org, seq)
	if err != nil || row.recordJSON() == nil {
		return seq, nil, err
	}
	rec, err := recordAt(r, org, seq)
	return seq, rec, err
}

// judgedAcceptance is an acceptance that may be applied.
type judgedAcceptance struct {
	passport *record
	strand   *strandRow // of passport
	next     registry.AcceptanceState
	pin      Pin // the provider
}

// judgeAcceptance judges an acceptance. With signed, the signature was checked by the proposer with a key
// of the provider's record, which is pinned.
func judgeAcceptance(r reader, policy *registry.Policy, a *registry.Acceptance, at moment, signed bool) (judgedAcceptance, *Result, error) {
	var j judgedAcceptance
	if err := registry.CheckHome(a.Sub, policy.Country); err != nil {
		return j, nil, err
	}
	if known, err := knownStatement(r, a.Name); known != nil || err != nil {
		return j, known, err
	}
	env := registry.AcceptanceEnv{Now: at.now, Clock: at.clock, Policy: policy}
	provider, err := loadRecord(r, a.Iss)
	if err == nil {
		j.passport, err = loadRecord(r, a.Sub)
	}
	if err != nil {
		return j, nil, err
	}
	if provider != nil {
		env.Provider = provider.lineage
		j.pin = Pin{ID: a.Iss, Head: provider.lineage.Head}
		if env.ProviderRecord, err = provider.inForce(); err != nil {
			return j, nil, err
		}
	}
	var last *registry.AcceptanceState
	if j.passport != nil {
		env.Passport = j.passport.lineage
		if j.strand = j.passport.strand(a.Strand); j.strand != nil {
			strand := j.strand.disclosure().Strand
			env.Strand, last = &strand, j.strand.Accepted.state()
		}
	}
	j.next, err = last.Check(a, env, signed)
	return j, nil, err
}

type judgedPolicy struct {
	policy *registry.Policy
	name   registry.OpID
}

// judgePolicy checks a policy and whether it may follow the current one. Unlike operations, policies are
// so few that Apply verifies their signatures again.
func judgePolicy(r reader, raw []byte, current *registry.Policy, version uint64) (judgedPolicy, *Result, error) {
	msg, err := jws.Parse(raw, registry.MaxStatement)
	if err != nil {
		return judgedPolicy{}, nil, err
	}
	name := registry.OpID(msg.Name())
	var said registry.Policy
	if err := jws.DecodeJSON(msg.Payload(), &said); err != nil {
		return judgedPolicy{}, nil, err
	}
	if said.Version >= 1 && said.Version <= version {
		_, before, err := loadPolicy(r, said.Version)
		if err != nil {
			return judgedPolicy{}, nil, err
		}
		if before == name {
			return judgedPolicy{}, &Result{Known: true, Op: name, Seq: said.Version}, nil
		}
	}
	p, err := registry.ParsePolicy(raw, current)
	if err != nil {
		return judgedPolicy{}, nil, err
	}
	return judgedPolicy{p, name}, nil, nil
}
