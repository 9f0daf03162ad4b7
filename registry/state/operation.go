package state

import (
	"slices"

	"github.com/dcann/dcann/registry"
)

// operation applies an operation command.
func (a *applier) operation(c *Command) (Result, error) {
	op, err := registry.ReplayOperation(c.Bytes)
	if err != nil {
		return Result{}, err
	}
	j, known, err := judgeOperation(a.w, a.published.policy, op, a.at())
	if err != nil || known != nil {
		return resultOf(known), err
	}
	ref, _ := refOf(op.ID)
	position, now := a.enter(a.operationEntry(ref, j))
	res := Result{ID: op.ID, Op: op.Name, Seq: op.Seq, Position: position}
	a.touch(ref)
	next := &record{ref: ref, id: op.ID}
	next.Lineage, next.Position = lineageToRow(j.Next()), position
	switch op.Act {
	case registry.Erase:
		err = a.erase(j.before, next)
	case registry.Deactivate:
		err = a.deactivate(j, next, newOperationRow(op, position, now))
	default:
		next.Op = newOperationRow(op, position, now)
		err = a.replace(j, next)
	}
	return res, err
}

func (a *applier) operationEntry(r ref, j judged) entryOf {
	op := j.Operation()
	e := entryOf{typ: actEntries[op.Act], seq: op.Seq, message: op.Message(), unsalty: op.Act == registry.Erase}
	if j.Next().Kind == registry.Organisation {
		e.object = &objectRef{ref: r, seq: op.Seq}
	} else {
		e.subject = op.ID.Subject()
	}
	return e
}

// deactivate leaves the record in force as it is and stores the operation beside it.
func (a *applier) deactivate(j judged, next *record, row *operationRow) error {
	lineage, position := next.Lineage, next.Position
	next.recordRow = j.before.recordRow
	next.Lineage, next.Position = lineage, position
	if err := a.store(next, j.Next().Seq, row); err != nil {
		return err
	}
	return a.w.setRow(next.ref.key(), &next.recordRow)
}

// replace makes next, whose Op carries a record, the record in force.
func (a *applier) replace(j judged, next *record) error {
	op := j.Operation()
	next.Rotation, next.Keys = op.Record.Rotation, keyRows(op.Record.Keys)
	if before := j.before; before != nil {
		if err := a.store(before, before.lineage.RecordSeq, before.Op); err != nil {
			return err
		}
		if err := a.markUndone(before, j.Undone()); err != nil {
			return err
		}
	}
	if op.Record.Kind == registry.Passport {
		if err := a.placeStrands(j, next); err != nil {
			return err
		}
	} else if err := a.organisationChanged(j, next); err != nil {
		return err
	}
	return a.w.setRow(next.ref.key(), &next.recordRow)
}

// store puts an operation that does not carry the record in force (any more) into its own row, and lets
// it be found by its name.
func (a *applier) store(rec *record, seq uint64, row *operationRow) error {
	if err := a.w.addRow(rec.ref.operation(seq), row); err != nil {
		return err
	}
	if seq == 0 {
		return nil // the identifier names it
	}
	name := registry.OpID(row.Message.message().Name())
	return a.w.addRow(rec.ref.version(name), &seq)
}

// markUndone notes at the operations that a recovery took off that they do not stand any more.
func (a *applier) markUndone(before *record, undone []registry.Standing) error {
	for _, s := range undone {
		key, row := before.ref.operation(s.Seq), new(operationRow)
		if _, err := a.w.view(key, func(v []byte) error { return decodeRow(v, row) }); err != nil {
			return err
		}
		row.Undone = true
		if err := a.w.setRow(key, row); err != nil {
			return err
		}
	}
	return nil
}

// placeStrands gives next the disclosures of its digests: those sent with the operation and those that
// are held. What is not in it any more is kept while an operation that can be undone refers to it.
func (a *applier) placeStrands(j judged, next *record) error {
	op, before := j.Operation(), j.before
	if before != nil {
		next.Kept = before.Kept
	}
	for _, digest := range op.Record.Strands {
		s, err := a.takeStrand(before, next, digest, op.Disclosures)
		if err != nil {
			return err
		}
		if s != nil {
			next.Strands = append(next.Strands, *s)
		}
	}
	if before == nil {
		return nil
	}
	return a.keepStrands(j, next)
}

// takeStrand finds the disclosure of a digest, with how its strand stands, and takes it from where it
// was kept; nil if there is none.
func (a *applier) takeStrand(before, next *record, digest registry.Digest, sent []registry.Disclosure) (*strandRow, error) {
	if before != nil {
		if s := before.strand(digest); s != nil {
			return s, nil
		}
	}
	if before != nil && before.Kept > 0 {
		kept, err := loadKept(a.w, next.ref, digest)
		if err != nil {
			return nil, err
		}
		if kept != nil && kept.Until >= a.now {
			next.Kept--
			return &kept.Strand, a.unkeep(next.ref, digest, kept.Until)
		}
	}
	i := slices.IndexFunc(sent, func(d registry.Disclosure) bool { return d.Digest == digest })
	if i < 0 {
		return nil, nil
	}
	s, err := newStrandRow(sent[i])
	if err != nil || before == nil {
		return &s, err
	}
	// It may have been disclosed and accepted before, and dropped since.
	key, accepted := next.ref.strand(digest.Bytes()), new(acceptedRow)
	found, err := a.w.view(key, func(v []byte) error { return decodeRow(v, accepted) })
	if err != nil || !found {
		return &s, err
	}
	s.Accepted = accepted
	return &s, a.w.del(key)
}

// unkeep removes the rows of a kept disclosure.
func (a *applier) unkeep(r ref, digest registry.Digest, until registry.Millis) error {
	d := digest.Bytes()
	if err := a.w.del(r.disclosure(d)); err != nil {
		return err
	}
	return a.w.del(dueKey(until, dropDisclosure, r, d[:]))
}
