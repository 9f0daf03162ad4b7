package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Journal lists up to limit entries from position from on, fewer only at the end. Passports and strands
// appear by subject key; entries of organisations in full, at one more read each.
func (s *Store) Journal(from uint64, limit int) ([]JournalEntry, error) {
	snap := s.snapshot()
	defer snap.close()
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: journalKey(from), UpperBound: after([]byte{spaceJournal})})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	r := committed{snap.Snapshot}
	var entries []JournalEntry
	for ok := it.First(); ok && len(entries) < limit; ok = it.Next() {
		var row journalRow
		if row, err = decodeJournal(binary.BigEndian.Uint64(it.Key()[1:]), it.Value()); err != nil {
			break
		}
		if row.object != nil {
			if err = row.join(r); err != nil {
				break
			}
		}
		entries = append(entries, row.entry)
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return entries, nil
}

// join adds what is public about an organisation's entry.
func (j *journalRow) join(r reader) error {
	o := j.object
	j.entry.ID = o.ref.id()
	j.entry.Subject = j.entry.ID.Subject()
	if o.status {
		var row statementRow
		found, err := r.view(o.ref.status(o.seq), func(v []byte) error { return decodeRow(v, &row) })
		if err == nil && !found {
			err = fmt.Errorf("status %d of %s: there is no row", o.seq, j.entry.ID)
		}
		j.entry.Object = []byte(row.Message.message().Compact())
		return err
	}
	rec, err := loadRecord(r, j.entry.ID)
	if err == nil && rec == nil {
		err = fmt.Errorf("%s: there is no row", j.entry.ID)
	}
	if err != nil {
		return err
	}
	row, err := operationAt(r, rec, o.seq)
	if err != nil {
		return err
	}
	j.entry.Object = []byte(row.Message.message().Compact())
	return nil
}

// Grown returns a channel that is closed when the journal grows: take it, read, and only then wait.
func (s *Store) Grown() <-chan struct{} {
	s.growth.Lock()
	defer s.growth.Unlock()
	return s.growth.grown
}
