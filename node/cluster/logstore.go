package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// logStore is the Raft log on disk, behind the rules that keep it and the state together (DESIGN 9).
type logStore struct {
	path      string
	durable   func() (uint64, error) // the durably applied index D
	applied   func() uint64          // up to which entries are committed here, as far as is known; nil: before Raft runs
	fail      func(error)
	syncDir   func(dir string) error // syncDir, or in tests one that fails
	noClamp   bool                   // in tests only: DeleteRange deletes whatever it is asked to
	noHistory bool                   // in tests only: ... and what is applied, from the end
	noSync    bool                   // in tests only: the file is not synced
	noRestart bool                   // in tests only: Raft goes on with a log that it takes for longer than it is
	size      logSize
	times     histogram             // of StoreLogs
	writing   atomic.Int64          // when the write of Raft's under way began, in ns of the monotonic clock; 0: none
	moving    atomic.Int64          // ... that of a scrub for which Raft's wait
	low       atomic.Uint64         // from where on entries were overruled since a scrub began to copy them
	full      atomic.Bool           // the last write found the disk full
	epoch     time.Time             // what writing and moving count from
	mapped    int64                 // address space for the file
	broken    atomic.Pointer[error] // why nothing is written any more; nil if it is

	// mu is held for reading by every use of db, and for writing while Scrub puts another file in place.
	mu sync.RWMutex
	db *raftboltdb.BoltStore

	// Raft writes from one goroutine.
	suspect bool // the last StoreLogs failed: what it left behind must go before the next
	cut     bool // Raft has deleted what a leader overrules, and not stored yet what takes its place
}

// openLog opens or creates the log at path. The error says so if another process holds it, or if the file
// is damaged.
func openLog(path string, mapped int64) (*raftboltdb.BoltStore, error) {
	return openUnsynced(path, mapped, false)
}

// openUnsynced is openLog, in tests of what that costs without a sync of what is written.
func openUnsynced(path string, mapped int64, noSync bool) (db *raftboltdb.BoltStore, err error) {
	if err := checkLog(path); err != nil {
		return nil, fmt.Errorf("open the Raft log: %w", err)
	}
	defer recoverDamage(path, &err)()
	db, err = raftboltdb.New(raftboltdb.Options{Path: path, NoSync: noSync, BoltOptions: &bbolt.Options{
		NoFreelistSync:  true, // found again at start by reading the file, which is bounded
		FreelistType:    bbolt.FreelistMapType,
		Timeout:         time.Second,
		InitialMmapSize: int(mapped), // address space only; growing the map would stop all readers
	}})
	if err != nil {
		return nil, fmt.Errorf("open the Raft log %s (is another node running on it?): %w", path, err)
	}
	return db, nil
}

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.FirstIndex()
}

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.LastIndex()
}

// GetLog implements raft.LogStore.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.GetLog(index, l)
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore: the entries are on disk when it returns nil. After an error the leader
// steps down and its entries' outcome is unknown. A full disk heals by itself; any other error leaves the
// file in doubt (a page that fsync failed for is not written by the next fsync), so the node must stop.
func (s *logStore) StoreLogs(logs []*raft.Log) (err error) {
	defer s.begin(&s.writing)()
	defer func() { s.replaced(err) }()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	began := time.Now()
	err = s.store(logs)
	s.times.observe(time.Since(began))
	s.full.Store(isFull(err))
	s.suspect = err != nil
	if err != nil && !isFull(err) {
		s.stop(err)
		s.fail(fmt.Errorf("write to the Raft log: %w", err))
	}
	return err
}

// replaced is told what became of a write. Raft v1.7.3 deletes what a leader overrules, then writes what that leader
// has instead; when only the first succeeds, for want of space, it goes on to believe that its log ends where it did. It
// looks for entries that are gone in whatever it is sent, and takes nothing any more, for ever: the node must begin anew.
func (s *logStore) replaced(err error) {
	if err == nil {
		s.cut = false
	}
	if !s.cut || s.noRestart {
		return
	}
	s.stop(err)
	s.fail(fmt.Errorf("write to the Raft log what takes the place of overruled entries, which are deleted: %w", err))
}

func (s *logStore) store(logs []*raft.Log) error {
	if s.suspect {
		// Raft believes that none of the failed entries is in the log, and will give their indexes to
		// others. If some were written after all, they would follow upon those as a tail of an older term.
		if err := s.cutFrom(logs[0].Index); err != nil {
			return err
		}
	}
	if err := s.db.StoreLogs(logs); err != nil {
		return err
	}
	var bytes int64
	for _, l := range logs {
		bytes += boltCost(len(l.Data))
	}
	s.size.stored(logs[len(logs)-1].Index, bytes)
	return nil
}

func (s *logStore) cutFrom(index uint64) error {
	last, err := s.db.LastIndex()
	if err != nil || last < index {
		return err
	}
	s.sink(index)
	return s.db.DeleteRange(index, last)
}

// DeleteRange implements raft.LogStore. Raft deletes a prefix after a snapshot, whose index may be that of
// an entry that the state never sees and so lie beyond what is durable: a prefix is clamped to the
// durable index (DESIGN 9, rule 2). A suffix, one that ends at the last index, passes: it is what a new
// leader overrules. TrailingLogs is at least 1, so that a prefix never ends there. But what is committed is never
// overruled, except by a leader of another history: what this node has applied stays applied whatever Raft puts in
// its place, so it would go on with a state that no other has. It stops.
func (s *logStore) DeleteRange(from, to uint64) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	last, err := s.db.LastIndex()
	if err != nil {
		return err
	}
	if to >= last {
		if err := s.overruled(from); err != nil {
			return err
		}
		defer s.begin(&s.writing)() // as appends it is of Raft's main goroutine
		s.sink(from)
		if err := s.db.DeleteRange(from, to); err != nil {
			return err
		}
		s.cut = true
		return nil
	}
	durable, err := s.durable()
	if err != nil {
		return fmt.Errorf("which entries the state still needs: %w", err)
	}
	if !s.noClamp {
		to = min(to, durable)
	}
	if from > to {
		return nil
	}
	for ; from <= to; from += deleteAtOnce { // a crash between leaves a shorter prefix to delete, no gap
		upTo := min(from+deleteAtOnce-1, to)
		if err := s.db.DeleteRange(from, upTo); err != nil {
			return err
		}
		s.size.removed(upTo)
	}
	return nil
}

// overruled stops the node when entries from an index on are to go that it has applied, or is about to.
func (s *logStore) overruled(from uint64) error {
	if s.applied == nil || s.noHistory {
		return nil
	}
	applied := s.applied()
	if from > applied {
		return nil
	}
	err := fmt.Errorf("a leader overrules entry %d, and this node has applied those up to %d: that leader is of another history of this registry, and one of the two has forgotten what it acknowledged. On the node that is wrong, %s", from, applied, wipe)
	s.stop(err)
	s.fail(err)
	return err
}

// deleteAtOnce bounds how long appends wait for a deletion.
const deleteAtOnce = 512

func (s *logStore) set(key, value []byte) error {
	defer s.begin(&s.writing)()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	err := s.db.Set(key, value)
	s.full.Store(isFull(err))
	return err
}

func (s *logStore) get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.Get(key)
}

func (s *logStore) getUint64(key []byte) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.GetUint64(key)
}

// stop makes every later write fail with err.
func (s *logStore) stop(err error) { s.broken.CompareAndSwap(nil, &err) }

func (s *logStore) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.Close()
}

// begin notes that something begins for which Raft waits, and end that it is over. What is timed includes the wait
// for others that use the file: for whoever waits for Raft it is the same.
func (s *logStore) begin(what *atomic.Int64) (end func()) {
	what.Store(max(int64(time.Since(s.epoch)), 1))
	return func() { what.Store(0) }
}

// stalled is for how long Raft has waited for the log so far; 0 if it does not.
func (s *logStore) stalled() (longest time.Duration) {
	for _, what := range []*atomic.Int64{&s.writing, &s.moving} {
		if began := what.Load(); began != 0 {
			longest = max(longest, time.Since(s.epoch)-time.Duration(began))
		}
	}
	return longest
}

// isFull reports whether err says that a write did not happen for want of space. Bolt has then rolled back
// and is as it was. Want of space that only fsync tells of is not among them: what it lost is not known.
func isFull(err error) bool {
	if p, ok := errors.AsType[*os.PathError](err); ok && p.Op == "write" {
		return errors.Is(p, syscall.ENOSPC) || errors.Is(p, syscall.EDQUOT)
	}
	return err != nil && strings.HasPrefix(err.Error(), "file resize error") // bolt's, without the cause
}

func bigEndian(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
