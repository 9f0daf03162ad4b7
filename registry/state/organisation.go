package state

import (
	"strings"

	"github.com/dcann/dcann/registry"
)

// organisationChanged carries the accreditation over to next, enters the standing in the journal when
// the operation changes it, and brings the index up to date.
func (a *applier) organisationChanged(j judged, next *record) error {
	op := j.Operation()
	standing := standingRow{}
	var old *registry.Record
	if j.before != nil {
		standing = *j.before.Standing
		var err error
		if old, err = j.before.inForce(); err != nil {
			return err
		}
	}
	next.Standing = &standing
	acc := standing.accreditation()
	var named *registry.Record
	if acc.Status == registry.OrgActive {
		var err error
		if named, err = recordAt(a.w, j.before, acc.Seq); err != nil {
			return err
		}
	}
	if derived := acc.Standing(op.Record, named); derived != standing.Standing {
		next.Position, standing.Since = a.enter(entryOf{
			typ: standingEntries[derived], seq: standing.Count, message: op.Message(), second: true,
			object: &objectRef{ref: next.ref, seq: op.Seq},
		})
		standing.Standing = derived
		standing.Count++
	}
	return a.index(next.ref, old, op.Record)
}

// status applies a status command.
func (a *applier) status(c *Command) (Result, error) {
	st, err := registry.ReplayStatus(c.Bytes)
	if err != nil {
		return Result{}, err
	}
	j, known, err := judgeStatus(a.w, a.published.policy, st, a.at())
	if err != nil || known != nil {
		return resultOf(known), err
	}
	org, row := j.org, j.org.Standing
	count := row.Count
	position, now := a.enter(entryOf{
		typ: standingEntries[j.next.Status], seq: count, message: st.Message(),
		object: &objectRef{ref: org.ref, status: true, seq: count},
	})
	if row.Standing != j.next.Status {
		row.Since = now
	}
	row.accredit(j.next)
	row.Standing, row.Count = j.next.Status, count+1 // a status is derived to be what it says: Check saw to the values
	org.Position = position
	a.touch(org.ref)
	res := Result{ID: st.Sub, Op: st.Name, Seq: count, Position: position}
	if err := a.w.addRow(org.ref.status(count), &statementRow{Message: messageParts(st.Message()), Position: position, Time: now}); err != nil {
		return res, err
	}
	if err := a.w.addRow(statementKey(st.Name), &knownRow{ID: org.ref, Seq: count, Position: position}); err != nil {
		return res, err
	}
	return res, a.w.setRow(org.ref.key(), &org.recordRow)
}

// acceptance applies an acceptance command.
func (a *applier) acceptance(c *Command) (Result, error) {
	acc, err := registry.ParseAcceptance(c.Bytes)
	if err != nil {
		return Result{}, err
	}
	if len(c.Pins) != 1 || c.Pins[0].ID != acc.Iss {
		return Result{}, &registry.Error{Kind: registry.Invalid, Detail: "acceptance: expected its provider to be pinned"}
	}
	j, known, err := judgeAcceptance(a.w, a.published.policy, acc, a.at(), true)
	if err != nil || known != nil {
		return resultOf(known), err
	}
	passport, digest := j.passport, acc.Strand.Bytes()
	seq := j.next.Count - 1
	typ := EntryWithdrawn
	if j.next.Accepted {
		typ = EntryAccepted
	}
	position, now := a.enter(entryOf{typ: typ, subject: j.strand.disclosure().Subject(acc.Sub), seq: seq, message: acc.Message()})
	j.strand.Accepted = newAcceptedRow(j.next)
	if j.strand.Strand.Visibility == registry.Public { // of others, nobody shall see that they exist (DESIGN 7)
		passport.Position = position
	}
	a.touch(passport.ref)
	res := Result{ID: acc.Sub, Op: acc.Name, Seq: seq, Position: position}
	if err := a.w.addRow(passport.ref.acceptance(digest, seq), &statementRow{Message: messageParts(acc.Message()), Position: position, Time: now}); err != nil {
		return res, err
	}
	if err := a.w.addRow(statementKey(acc.Name), &knownRow{ID: passport.ref, Seq: seq, Position: position}); err != nil {
		return res, err
	}
	return res, a.w.setRow(passport.ref.key(), &passport.recordRow)
}

// The index of organisations: spaceIndex ‖ by what ‖ value, ended by 0 but for fixed lengths ‖ ref.
const (
	indexAll    = 'a'
	indexName   = 'n' // folded
	indexDomain = 'd'
	indexLEI    = 'l'
)

// indexPrefix is what all entries for a value begin with. A name may contain no zero byte: it holds no
// control characters.
func indexPrefix(by byte, value string) []byte {
	k := append([]byte{spaceIndex, by}, value...)
	if by != indexAll {
		k = append(k, 0)
	}
	return k
}

func indexKey(by byte, value string, r ref) []byte { return append(indexPrefix(by, value), r[:]...) }

// index moves the entries of an organisation whose record changes from old, nil for a new one, to now.
func (a *applier) index(r ref, old, now *registry.Record) error {
	if old == nil {
		old = new(registry.Record)
		if err := a.w.set(indexKey(indexAll, "", r), []byte{}); err != nil {
			return err
		}
	}
	for _, x := range []struct {
		by        byte
		was, will string
	}{
		{indexName, foldName(old.Name), foldName(now.Name)},
		{indexDomain, old.Domain, now.Domain},
		{indexLEI, old.LEI, now.LEI},
	} {
		if x.was == x.will {
			continue
		}
		if x.was != "" {
			if err := a.w.del(indexKey(x.by, x.was, r)); err != nil {
				return err
			}
		}
		if x.will != "" {
			if err := a.w.set(indexKey(x.by, x.will, r), []byte{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// foldName makes names comparable without regard to case. It is written out, and not unicode.ToLower,
// because it makes keys of the replicated state: two releases built with different tables of Unicode would
// fork it. It covers Latin, Greek and Cyrillic as European names are written.
func foldName(name string) string { return strings.Map(foldRune, name) }

func foldRune(c rune) rune {
	switch {
	case c >= 'A' && c <= 'Z', c >= 0xc0 && c <= 0xde && c != 0xd7, // ASCII, Latin-1
		c >= 0x391 && c <= 0x3a9, c >= 0x410 && c <= 0x42f: // Greek, Cyrillic
		return c + 0x20
	case c >= 0x400 && c <= 0x40f:
		return c + 0x50
	case c == 0x178:
		return 0xff
	case c >= 0x100 && c <= 0x12f, c >= 0x132 && c <= 0x137, c >= 0x14a && c <= 0x177: // Latin Extended-A: pairs
		return c | 1
	case c >= 0x139 && c <= 0x148, c >= 0x179 && c <= 0x17e:
		return c + c&1
	}
	return c
}
