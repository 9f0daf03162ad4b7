package state

import (
	"encoding/binary"

	"github.com/dcann/dcann/registry"
)

// The key spaces, by first byte. doc.go has the table of what their rows hold.
const (
	spaceAcceptance = 'a' // ref ‖ strand ‖ count 8: an acceptance or withdrawal
	spaceStrand     = 'b' // ref ‖ strand: how a strand stands that is no longer in the record
	spaceDisclosure = 'd' // ref ‖ strand: a disclosure that only an undoable operation still refers to
	spaceJournal    = 'j' // position 8
	spaceStatement  = 'k' // name 32 of a statement
	spaceLocal      = 'l' // this node's own: outside the hashes
	spaceMeta       = 'm'
	spaceOperation  = 'o' // ref ‖ seq 8: an operation that does not carry the record in force
	spaceRecord     = 'r' // ref
	spaceStatus     = 's' // ref ‖ count 8: a status statement
	spaceDue        = 't' // time 8 ‖ what 1 ‖ ref ‖ …: work that is due after a registry time
	spaceVersion    = 'v' // ref ‖ name 32: the seq of an operation that has a row in 'o'
	spaceIndex      = 'x' // of organisations, by what they are looked up by
	spaceScrub      = 'y' // index 8 ‖ a key of which older versions must leave the files: this node's own
)

// replicated tells the spaces whose rows are the replicated state from the node's own.
func replicated(space byte) bool { return space != spaceLocal && space != spaceScrub }

// ref names a record in keys: country 2 ‖ digest 32, so that it is half an identifier's length.
type ref [34]byte

// refOf is the ref of an identifier that was parsed; false for one that was not.
func refOf(id registry.ID) (r ref, ok bool) {
	if len(id) != 69 {
		return r, false
	}
	d := id.Create().Digest()
	copy(r[:2], id.Country())
	copy(r[2:], d[:])
	return r, d != [32]byte{}
}

func (r ref) id() registry.ID {
	return registry.NewID(registry.Country(r[:2]), registry.OpIDOf([32]byte(r[2:])))
}

func (r ref) key() []byte { return r.under(spaceRecord) }

// under is the prefix of the record's rows in a space.
func (r ref) under(space byte, parts ...[]byte) []byte {
	n := 1 + len(r)
	for _, p := range parts {
		n += len(p)
	}
	k := append(append(make([]byte, 0, n), space), r[:]...)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

func (r ref) operation(seq uint64) []byte { return r.under(spaceOperation, be64(seq)) }
func (r ref) status(count uint64) []byte  { return r.under(spaceStatus, be64(count)) }
func (r ref) version(op registry.OpID) []byte {
	d := op.Digest()
	return r.under(spaceVersion, d[:])
}
func (r ref) disclosure(d [32]byte) []byte { return r.under(spaceDisclosure, d[:]) }
func (r ref) strand(d [32]byte) []byte     { return r.under(spaceStrand, d[:]) }
func (r ref) acceptance(d [32]byte, count uint64) []byte {
	return r.under(spaceAcceptance, d[:], be64(count))
}

func journalKey(position uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{spaceJournal}, position)
}

func statementKey(name registry.OpID) []byte {
	d := name.Digest()
	return append([]byte{spaceStatement}, d[:]...)
}

// What a row in spaceDue asks for.
const (
	dropDisclosure = 1 // … ‖ strand 32
	purgeErased    = 2 // due at once, at time 0, until nothing is left
)

func dueKey(t registry.Millis, what byte, r ref, strand []byte) []byte {
	k := binary.BigEndian.AppendUint64([]byte{spaceDue}, uint64(t))
	k = append(append(k, what), r[:]...)
	return append(k, strand...)
}

// dueParts takes a key of spaceDue apart; ok is false for one that nobody wrote.
func dueParts(k []byte) (t registry.Millis, what byte, r ref, strand []byte, ok bool) {
	if len(k) < 10+len(r) || k[0] != spaceDue {
		return 0, 0, r, nil, false
	}
	t, what, r, strand = registry.Millis(binary.BigEndian.Uint64(k[1:])), k[9], ref(k[10:]), k[10+len(r):]
	return t, what, r, strand, what == purgeErased && len(strand) == 0 || what == dropDisclosure && len(strand) == 32
}

// scrubKey is for a key and the index of the entry that took it away.
func scrubKey(index uint64, k []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{spaceScrub}, index), k...)
}

const scrubPrefix = 1 + 8

var (
	keyApplied       = []byte("lapplied")
	keyConfiguration = []byte("lconfiguration")
	keyCounters      = []byte("mcounters")
)

func policyKey(version uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("mpolicy"), version)
}

func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// after is the first key that does not begin with prefix; nil when there is none.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
