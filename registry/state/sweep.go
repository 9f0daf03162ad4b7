package state

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/dcann/dcann/registry"
)

// maxSweep bounds the rows that one entry takes away beyond what its commands do.
const maxSweep = 256

// erase turns a record into a tombstone. What is not gone with its row is taken away by purge, most
// often at the end of the same entry.
func (a *applier) erase(before, tombstone *record) error {
	if err := a.unsalt(before.Op.Position); err != nil {
		return err
	}
	a.w.scrub(before.ref.key())
	a.w.due(0)
	if err := a.w.set(dueKey(0, purgeErased, before.ref, nil), []byte{}); err != nil {
		return err
	}
	return a.w.setRow(tombstone.ref.key(), &tombstone.recordRow)
}

// unsalt removes the salt from a journal entry, so that its commitment says nothing to those who guess.
func (a *applier) unsalt(position uint64) error {
	key := journalKey(position)
	var row journalRow
	_, err := a.w.view(key, func(v []byte) (err error) {
		row, err = decodeJournal(position, v)
		return err
	})
	if err != nil || row.entry.Salt == nil {
		return err
	}
	row.entry.Salt = nil
	a.w.scrub(key)
	return a.w.set(key, row.encode())
}

// sweep does what is due at the entry's time, at most maxSweep rows of it in one entry.
func (a *applier) sweep() error {
	for a.budget > 0 && a.w.firstDue < a.now {
		keys, err := a.w.dueBefore(a.now, a.budget)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			if a.budget <= 0 {
				return nil
			}
			done, err := a.doDue(key, a.budget)
			if err != nil {
				return err
			}
			a.budget -= done
		}
	}
	return nil
}

// doDue does the work of one due row and returns how many rows it touched, at least 1.
func (a *applier) doDue(key []byte, budget int) (int, error) {
	until, what, ref, strand, ok := dueParts(key)
	switch {
	case !ok:
		return 0, fmt.Errorf("due row %x is not known", key)
	case what == purgeErased:
		return a.purge(key, ref, budget)
	}
	digest := registry.DigestOf([32]byte(strand))
	kept, err := loadKept(a.w, ref, digest)
	if err != nil {
		return 0, err
	}
	if err := a.w.del(key); err != nil || kept == nil || kept.Until != until {
		return 1, err
	}
	rec, err := loadRecord(a.w, ref.id())
	if err != nil || rec == nil || rec.lineage.Status == registry.Erased { // purge sees to the erased
		return 1, err
	}
	if err := a.unkeep(ref, digest, until); err != nil {
		return 1, err
	}
	rec.Kept--
	a.touch(ref)
	if err := a.drop(ref, digest, &kept.Strand); err != nil {
		return 1, err
	}
	return 1, a.w.setRow(ref.key(), &rec.recordRow)
}

// purge takes away up to budget rows of an erased record, and its due row with the last of them.
func (a *applier) purge(due []byte, r ref, budget int) (int, error) {
	n := 0
	for _, space := range []byte{spaceDisclosure, spaceStrand, spaceAcceptance, spaceOperation, spaceVersion} {
		keys, err := a.w.under(r.under(space), budget-n)
		if err != nil {
			return n, err
		}
		for _, key := range keys {
			if err := a.purgeRow(r, key); err != nil {
				return n, err
			}
			n++
		}
		if n >= budget {
			return n, nil // more may be left: the due row stays
		}
	}
	return n + 1, a.w.del(due)
}

func (a *applier) purgeRow(r ref, key []byte) error {
	var err error
	switch key[0] {
	case spaceOperation:
		var row operationRow
		if _, err = a.w.view(key, func(v []byte) error { return decodeRow(v, &row) }); err == nil {
			err = a.unsalt(row.Position)
		}
	case spaceAcceptance:
		var row statementRow
		if _, err = a.w.view(key, func(v []byte) error { return decodeRow(v, &row) }); err == nil {
			err = a.unsalt(row.Position)
		}
		if err == nil {
			known := statementKey(registry.OpID(row.Message.message().Name()))
			a.w.scrub(known)
			err = a.w.del(known)
		}
	case spaceDisclosure:
		var row keptRow
		if _, err = a.w.view(key, func(v []byte) error { return decodeRow(v, &row) }); err == nil {
			err = a.w.del(dueKey(row.Until, dropDisclosure, r, key[1+len(r):]))
		}
	}
	if err != nil {
		return err
	}
	a.w.scrub(key)
	return a.w.del(key)
}

// due notes that a row in spaceDue is being written.
func (w *writer) due(t registry.Millis) { w.firstDue = min(w.firstDue, t) }

// dueBefore lists rows that are due before now, in order, and moves firstDue when there are none.
func (w *writer) dueBefore(now registry.Millis, limit int) ([][]byte, error) {
	keys, err := w.under([]byte{spaceDue}, limit)
	if err != nil {
		return nil, err
	}
	w.firstDue = noneDue
	if len(keys) > 0 {
		w.firstDue, _, _, _, _ = dueParts(keys[0])
	}
	for i, k := range keys {
		if t, _, _, _, _ := dueParts(k); t >= now {
			return keys[:i], nil
		}
	}
	return keys, nil
}

// dueChanged reports whether firstDue may have changed since the last commit.
func (w *writer) dueChanged() bool { return len(w.rows[spaceDue]) > 0 }

// firstDue reads the time of the first row in spaceDue.
func firstDue(r pebble.Reader) (registry.Millis, error) {
	prefix := []byte{spaceDue}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return 0, fmt.Errorf("read what is due: %w", err)
	}
	defer it.Close()
	if !it.First() {
		return noneDue, it.Error()
	}
	t, _, _, _, ok := dueParts(bytes.Clone(it.Key()))
	if !ok {
		return 0, fmt.Errorf("read what is due: row %x is not known", it.Key())
	}
	return t, nil
}
