package state

import (
	"encoding/binary"
	"fmt"

	"github.com/dcann/dcann/registry"
)

// EntryType tells what a journal entry does, so that a subject's standing follows from leaves alone.
type EntryType uint8

// The types of entries (DESIGN 11). Those of standings, 16 to 19, come from status statements; Pending, and
// Active without a statement, also from an operation that changes what the accreditation rests on.
const (
	EntryCreate     EntryType = 1
	EntryUpdate     EntryType = 2
	EntryRecover    EntryType = 3
	EntryDeactivate EntryType = 4
	EntryErase      EntryType = 5
	EntryActive     EntryType = 16
	EntrySuspended  EntryType = 17
	EntryRevoked    EntryType = 18
	EntryPending    EntryType = 19
	EntryAccepted   EntryType = 32
	EntryWithdrawn  EntryType = 33
)

var actEntries = map[registry.Act]EntryType{
	registry.Create: EntryCreate, registry.Update: EntryUpdate, registry.Recover: EntryRecover,
	registry.Deactivate: EntryDeactivate, registry.Erase: EntryErase,
}

var standingEntries = map[registry.OrgStatus]EntryType{
	registry.OrgActive: EntryActive, registry.OrgSuspended: EntrySuspended,
	registry.OrgRevoked: EntryRevoked, registry.OrgPending: EntryPending,
}

// JournalEntry is one accepted signed object, or the standing of an organisation that an operation
// changed besides (DESIGN 8). Seq counts from 0 within the subject and, of an organisation, within its
// operations and its standings (types 16 to 19) separately: of an operation its seq, of a standing or an
// acceptance how many there were before it.
type JournalEntry struct {
	Position   uint64 // from 0, no gaps
	Type       EntryType
	Subject    registry.SubjectKey
	Seq        uint64
	Time       registry.Millis // of the Raft entry: never falls, and rises from one Raft entry to the next
	Salt       *[32]byte       // nil once the subject is erased, and of the erasure itself
	Commitment [32]byte        // SHA-256(salt ‖ compact JWS)
	ID         registry.ID     // of an organisation's entries; empty for passports and strands
	Object     []byte          // the compact JWS without disclosures; of an organisation's entries only
}

// LeafSize is the length of a leaf of the log in bytes.
const LeafSize = 82

// Leaf is the entry as the log holds it (DESIGN 11): version 1, type 1, subject 32, seq 8, time 8,
// commitment 32; integers big-endian.
func (e *JournalEntry) Leaf() (leaf [LeafSize]byte) {
	leaf[0], leaf[1] = 1, byte(e.Type)
	copy(leaf[2:], e.Subject[:])
	binary.BigEndian.PutUint64(leaf[34:], e.Seq)
	binary.BigEndian.PutUint64(leaf[42:], uint64(e.Time))
	copy(leaf[50:], e.Commitment[:])
	return leaf
}

// objectRef says where the signed object of an organisation's entry is: in its operations or statuses.
type objectRef struct {
	ref    ref
	status bool
	seq    uint64
}

// journalRow is a row of the journal. Unlike the others it has a fixed layout, as there are the most of
// them: version 1, flags 1, type 1, time 8, seq 8, commitment 32, then the salt 32 unless it is gone, then
// the subject 32 of a passport or strand, or ref 34 and object's seq 8 of an organisation.
type journalRow struct {
	entry  JournalEntry // without ID and Object; of an organisation also without Subject
	object *objectRef   // of an organisation
}

const (
	flagSalt         = 1
	flagOrganisation = 2
	flagStatus       = 4 // the object is a status
	journalFixed     = 1 + 1 + 1 + 8 + 8 + 32
)

func (j *journalRow) encode() []byte {
	b := make([]byte, 3, journalFixed+32+42)
	b[0], b[2] = rowVersion, byte(j.entry.Type)
	b = binary.BigEndian.AppendUint64(b, uint64(j.entry.Time))
	b = binary.BigEndian.AppendUint64(b, j.entry.Seq)
	b = append(b, j.entry.Commitment[:]...)
	if j.entry.Salt != nil {
		b[1] |= flagSalt
		b = append(b, j.entry.Salt[:]...)
	}
	if j.object == nil {
		return append(b, j.entry.Subject[:]...)
	}
	b[1] |= flagOrganisation
	if j.object.status {
		b[1] |= flagStatus
	}
	b = append(b, j.object.ref[:]...)
	return binary.BigEndian.AppendUint64(b, j.object.seq)
}

func decodeJournal(position uint64, b []byte) (journalRow, error) {
	j := journalRow{entry: JournalEntry{Position: position}}
	if len(b) < journalFixed || b[0] != rowVersion || b[1]&^(flagSalt|flagOrganisation|flagStatus) != 0 {
		return j, fmt.Errorf("journal row %d: %d bytes of another form than version %d", position, len(b), rowVersion)
	}
	flags := b[1]
	j.entry.Type = EntryType(b[2])
	j.entry.Time = registry.Millis(binary.BigEndian.Uint64(b[3:]))
	j.entry.Seq = binary.BigEndian.Uint64(b[11:])
	j.entry.Commitment = [32]byte(b[19:])
	rest := b[journalFixed:]
	want := 32
	if flags&flagOrganisation != 0 {
		want = len(ref{}) + 8
	}
	if flags&flagSalt != 0 {
		want += 32
	}
	if len(rest) != want || flags&(flagOrganisation|flagStatus) == flagStatus {
		return j, fmt.Errorf("journal row %d: %d bytes and flags %d do not fit", position, len(b), flags)
	}
	if flags&flagSalt != 0 {
		salt := [32]byte(rest)
		j.entry.Salt, rest = &salt, rest[32:]
	}
	if flags&flagOrganisation == 0 {
		j.entry.Subject = registry.SubjectKey(rest)
		return j, nil
	}
	j.object = &objectRef{ref: ref(rest), status: flags&flagStatus != 0, seq: binary.BigEndian.Uint64(rest[len(ref{}):])}
	return j, nil
}
