package state

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"sync"
)

// contentHash is the sum modulo 2^256 of rowHash over all replicated rows: it does not depend on the
// order in which they were written, so that a scan can recompute it, and a write changes it by two
// hashes. Least significant word first.
type contentHash [4]uint64

func (c *contentHash) add(h [32]byte) {
	var carry uint64
	for i := range c {
		c[i], carry = bits.Add64(c[i], binary.LittleEndian.Uint64(h[8*i:]), carry)
	}
}

func (c *contentHash) sub(h [32]byte) {
	var borrow uint64
	for i := range c {
		c[i], borrow = bits.Sub64(c[i], binary.LittleEndian.Uint64(h[8*i:]), borrow)
	}
}

func (c contentHash) bytes() (b [32]byte) {
	for i, w := range c {
		binary.LittleEndian.PutUint64(b[8*i:], w)
	}
	return b
}

func contentHashOf(b [32]byte) (c contentHash) {
	for i := range c {
		c[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return c
}

// rowHash is SHA-256(length of key 4 ‖ key ‖ value). buf is scratch space, returned for use again.
func rowHash(buf, key, value []byte) (hash [32]byte, scratch []byte) {
	buf = binary.BigEndian.AppendUint32(buf[:0], uint32(len(key)))
	buf = append(append(buf, key...), value...)
	return sha256.Sum256(buf), buf
}

// What a write did, in the running hash.
const (
	wroteRow   = 1
	deletedRow = 0
)

// chained is the running hash after one more write.
func chained(chain [32]byte, what byte, row [32]byte) [32]byte {
	var b [65]byte
	copy(b[:], chain[:])
	b[32] = what
	copy(b[33:], row[:])
	return sha256.Sum256(b[:])
}

// stateHash is what nodes compare: everything that was ever written, and everything that is there.
func stateHash(chain [32]byte, content contentHash) [32]byte {
	c := content.bytes()
	return sha256.Sum256(append(append([]byte("dcann-state-v1\n"), chain[:]...), c[:]...))
}

// hashedEntries is how many entries back HashAt looks: seconds of the heaviest load, which is more than a
// question needs from one node to another. They take 300 KiB.
const hashedEntries = 4096

// hashedEntry is what a state hash is made of, as of one entry.
type hashedEntry struct {
	known   bool
	index   uint64
	chain   [32]byte
	content contentHash
}

// hashRing holds the newest entries, each at its index modulo the size. Raft has entries of its own, which
// leave their places to older ones: so the index is compared.
type hashRing struct {
	mu      sync.Mutex
	entries [hashedEntries]hashedEntry
}

func (r *hashRing) add(entries ...hashedEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		r.entries[e.index%hashedEntries] = e
	}
}

func (r *hashRing) at(index uint64) (hashedEntry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[index%hashedEntries]
	return e, e.known && e.index == index
}

// hashed is what the entry that was just applied leaves.
func (w *writer) hashed() hashedEntry {
	return hashedEntry{known: true, index: w.applied.Index, chain: w.chain, content: w.content}
}

// HashAt is the StateHash as of exactly that entry. It knows the entry that Open found applied and the
// newest 4096 indexes applied since; ok is false for others, and for indexes that are no entry of this state,
// as those of Raft's own entries.
func (s *Store) HashAt(index uint64) (hash [32]byte, ok bool) {
	e, ok := s.hashes.at(index)
	if !ok {
		return hash, false
	}
	return stateHash(e.chain, e.content), true
}
