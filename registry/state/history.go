package state

import (
	"fmt"

	"github.com/dcann/dcann/registry"
)

// HistoryEntry is one operation of a record's history.
type HistoryEntry struct {
	Operation     *registry.Operation // with the disclosures that are still held, of every visibility
	Seq, Position uint64
	Time          registry.Millis
	Undone        bool // a recovery took it off
}

// History lists up to limit operations of a record in order, those after seq *after or from the first;
// more says that there are more. The error's kind is NotFound, or Gone for an erased record.
func (s *Store) History(id registry.ID, after *uint64, limit int) (entries []HistoryEntry, more bool, err error) {
	snap := s.snapshot()
	defer snap.close()
	r := committed{snap.Snapshot}
	rec, err := loadRecord(r, id)
	switch {
	case err != nil:
		return nil, false, err
	case rec == nil:
		return nil, false, notFound(id)
	case rec.lineage.Status == registry.Erased:
		return nil, false, &registry.Error{Kind: registry.Gone, Detail: fmt.Sprintf("%s was erased", id)}
	}
	seq := uint64(0)
	if after != nil {
		if *after >= rec.lineage.Seq {
			return nil, false, nil
		}
		seq = *after + 1
	}
	for ; seq <= rec.lineage.Seq && len(entries) < limit; seq++ {
		e, err := historyEntry(r, rec, seq)
		if err != nil {
			return nil, false, err
		}
		entries = append(entries, e)
	}
	return entries, seq <= rec.lineage.Seq, nil
}

func historyEntry(r reader, rec *record, seq uint64) (HistoryEntry, error) {
	row, err := operationAt(r, rec, seq)
	if err != nil {
		return HistoryEntry{}, err
	}
	op, err := row.operation()
	if err != nil {
		return HistoryEntry{}, fmt.Errorf("%s: %w", rec.id, err)
	}
	if op.Record != nil {
		for _, digest := range op.Record.Strands {
			s, err := held(r, rec, digest)
			if err != nil {
				return HistoryEntry{}, err
			}
			if s != nil {
				op.Disclosures = append(op.Disclosures, s.disclosure())
			}
		}
	}
	return HistoryEntry{Operation: op, Seq: seq, Position: row.Position, Time: row.Time, Undone: row.Undone}, nil
}
