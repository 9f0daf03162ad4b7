package state

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// versionSlots is the size of the table of versions: 8 MiB however many records there are. Two records that
// share a slot invalidate each other's cached answers, nothing worse.
const versionSlots = 1 << 20

// everything is the slot that a new policy bumps: each stamp holds it.
const everything = versionSlots

// versionTable counts changes of records since the node started, by a hash of their identifier.
type versionTable [versionSlots + 1]atomic.Uint64

func newVersionTable() *versionTable { return new(versionTable) }

// slotOf takes bits of the digest, which is a hash already.
func slotOf(r ref) uint32 { return binary.BigEndian.Uint32(r[2:]) % versionSlots }

func (t *versionTable) bump(slot uint32) { t[slot].Add(1) }

type seen struct {
	slot    uint32
	version uint64
}

// Stamp says from which versions of which records an answer was made. It was taken before they were read,
// so that an answer made during a change is out of date as soon as the change is seen. The zero Stamp is
// never current. It lives in memory only: versions start anew with the process.
type Stamp struct {
	n      int
	inline [4]seen
	more   []seen // of an answer that uses more records than inline holds
}

// include adds what was seen, unless it is there already.
func (st *Stamp) include(x seen) {
	for _, y := range st.inline[:min(st.n, len(st.inline))] {
		if x == y {
			return
		}
	}
	if st.n < len(st.inline) {
		st.inline[st.n] = x
	} else {
		st.more = append(st.more, x)
	}
	st.n++
}

// look is what is there to be seen of a slot now.
func (t *versionTable) look(slot uint32) seen { return seen{slot, t[slot].Load()} }

// Current reports whether nothing has changed that the answer was made from. It takes a few nanoseconds,
// no lock and no memory.
func (s *Store) Current(st Stamp) bool {
	if st.n == 0 {
		return false
	}
	for _, x := range st.inline[:min(st.n, len(st.inline))] {
		if s.versions[x.slot].Load() != x.version {
			return false
		}
	}
	for _, x := range st.more {
		if s.versions[x.slot].Load() != x.version {
			return false
		}
	}
	return true
}

// snapshots counts the open snapshots of Pebble by generation, so that CompactErased can wait for those
// that still see what was erased.
type snapshots struct {
	mu  sync.Mutex
	gen *sync.WaitGroup
}

type snapshot struct {
	*pebble.Snapshot
	gen *sync.WaitGroup
}

// snapshot opens a consistent view of all rows; close it soon.
func (s *Store) snapshot() snapshot {
	s.snaps.mu.Lock()
	defer s.snaps.mu.Unlock()
	if s.snaps.gen == nil {
		s.snaps.gen = new(sync.WaitGroup)
	}
	s.snaps.gen.Add(1)
	return snapshot{s.db.NewSnapshot(), s.snaps.gen}
}

func (s snapshot) close() {
	_ = s.Snapshot.Close() // its error is that it was closed before
	s.gen.Done()
}

// older returns what waits until all snapshots that are open now are closed.
func (s *snapshots) older() *sync.WaitGroup {
	s.mu.Lock()
	defer s.mu.Unlock()
	gen := s.gen
	s.gen = nil
	if gen == nil {
		gen = new(sync.WaitGroup)
	}
	return gen
}
