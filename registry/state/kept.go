package state

import (
	"slices"

	"github.com/dcann/dcann/registry"
)

// A disclosure is held while a standing record or an undoable one refers to it (DESIGN 5): the record in
// force, and the bases of operations that can still be undone, since undoing one is what brings its base
// back. So a disclosure outside the record in force is held until the latest of
//
//	registry time of op + recovery window, over the undoable op on the stack whose base has its digest.
//
// Such disclosures lie in spaceDisclosure, with a row in spaceDue for when their time is over. A window
// that a later policy makes longer does not lengthen what was decided before.

// bases answers how long a digest is held, reading the records of bases once.
type bases struct {
	a       *applier
	before  *record
	next    []registry.Standing // the undoable part of the stack after the operation
	records map[uint64][]registry.Digest
}

func (a *applier) newBases(j judged) *bases {
	next := j.Next()
	return &bases{
		a: a, before: j.before, records: make(map[uint64][]registry.Digest),
		next: next.Undoable(a.now, a.published.policy.Window()),
	}
}

// until is 0 when nothing that can be undone refers to d.
func (b *bases) until(d registry.Digest) (registry.Millis, error) {
	for _, s := range slices.Backward(b.next) { // their times rise: the first hit is the latest
		digests, err := b.digests(s.Base)
		if err != nil {
			return 0, err
		}
		if slices.Contains(digests, d) {
			return s.Time.Add(b.a.published.policy.Window()), nil
		}
	}
	return 0, nil
}

// over are the operations that could be undone before the operation and cannot any more: they were taken
// off, have become old, or a first key has signed above them.
func (b *bases) over() (ended []registry.Standing) {
	before := b.before.lineage
	for _, s := range before.Undoable(before.Updated, b.a.published.policy.Window()) {
		still := slices.ContainsFunc(b.next, func(n registry.Standing) bool { return n.Op == s.Op })
		if !still {
			ended = append(ended, s)
		}
	}
	return ended
}

func (b *bases) digests(seq uint64) ([]registry.Digest, error) {
	if d, ok := b.records[seq]; ok {
		return d, nil
	}
	r, err := recordAt(b.a.w, b.before, seq)
	if err != nil {
		return nil, err
	}
	b.records[seq] = r.Strands
	return r.Strands, nil
}

// keepStrands decides on every disclosure that was held before the operation and is not in next.
func (a *applier) keepStrands(j judged, next *record) error {
	b := a.newBases(j)
	strands := j.Operation().Record.Strands
	for i := range j.before.Strands {
		s := &j.before.Strands[i]
		digest := s.digest()
		if slices.Contains(strands, digest) {
			continue
		}
		until, err := b.until(digest)
		if err != nil {
			return err
		}
		if until == 0 {
			err = a.drop(next.ref, digest, s)
		} else {
			next.Kept++
			err = a.keep(next.ref, digest, &keptRow{Strand: *s, Until: until})
		}
		if err != nil {
			return err
		}
	}
	if next.Kept == 0 {
		return nil
	}
	return a.keepAnew(b, next)
}

// keepAnew reconsiders what was kept for operations that cannot be undone any more. The base of the first
// that a recovery takes off can come back for another window.
func (a *applier) keepAnew(b *bases, next *record) error {
	var affected []registry.Digest
	for _, s := range b.over() {
		digests, err := b.digests(s.Base)
		if err != nil {
			return err
		}
		affected = append(affected, digests...)
	}
	slices.Sort(affected)
	for _, digest := range slices.Compact(affected) {
		if err := a.keepAnewOne(b, next, digest); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) keepAnewOne(b *bases, next *record, digest registry.Digest) error {
	kept, err := loadKept(a.w, next.ref, digest)
	if err != nil || kept == nil {
		return err
	}
	until, err := b.until(digest)
	if err != nil || until == kept.Until {
		return err
	}
	if err := a.unkeep(next.ref, digest, kept.Until); err != nil {
		return err
	}
	if until == 0 {
		next.Kept--
		return a.drop(next.ref, digest, &kept.Strand)
	}
	kept.Until = until
	return a.keep(next.ref, digest, kept)
}

// keep writes the rows of a disclosure that is not in the record in force.
func (a *applier) keep(r ref, digest registry.Digest, row *keptRow) error {
	d := digest.Bytes()
	if err := a.w.setRow(r.disclosure(d), row); err != nil {
		return err
	}
	a.w.due(row.Until)
	return a.w.set(dueKey(row.Until, dropDisclosure, r, d[:]), []byte{})
}

// drop forgets a disclosure that is in no row any more. How its strand stands stays: the log says so too,
// and counts on if the disclosure is ever sent again.
func (a *applier) drop(r ref, digest registry.Digest, s *strandRow) error {
	d := digest.Bytes()
	a.w.scrub(r.disclosure(d))
	a.w.scrub(r.key())
	if s.Accepted == nil {
		return nil
	}
	return a.w.setRow(r.strand(d), s.Accepted)
}
