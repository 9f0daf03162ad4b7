package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

const scrubbedFile = "scrubbed"

// Scrub makes what was erased leave this node's files: the Raft log is cut past the last erasure and its
// file written anew, since Bolt keeps old bytes in free pages, and the state is compacted. It does nothing
// when nothing was erased since the last time. Writes go on while the file is written, but for its end. A node that
// is killed meanwhile starts as if Scrub had not run, or had.
//
// An erasure that is itself the last entry can only be cut on a node that leads; elsewhere the error says
// so and the next Scrub, after any other entry, does it.
func (c *Cluster) Scrub(ctx context.Context) error {
	done, err := c.use()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.atQuit(cancel)()
	c.compacting.Lock()
	defer c.compacting.Unlock()
	if c.st.ErasureIndex() <= c.scrubbed.Load() {
		return nil
	}
	erased, err := c.moveOn(ctx)
	if err != nil {
		return err
	}
	if err := c.cutLog(max(c.raft.LastIndex(), erased+1) - erased); err != nil {
		return fmt.Errorf("cut the Raft log past the erasure at %d: %w", erased, err)
	}
	first, err := c.log.FirstIndex()
	if err != nil {
		return err
	}
	if first <= erased {
		return fmt.Errorf("the Raft log still begins at %d: expected it past the erasure at %d", first, erased)
	}
	if err := c.log.rewrite(); err != nil {
		return fmt.Errorf("write the Raft log anew: %w", err)
	}
	if err := c.st.CompactErased(ctx); err != nil {
		return err
	}
	// Remembered last: whatever stops before is done again.
	if err := writeDurably(filepath.Join(c.cfg.Dir, scrubbedFile), bigEndian(erased)); err != nil {
		return err
	}
	c.scrubbed.Store(erased)
	return nil
}

// moveOn sees to it that the log has an entry past the last erasure, which it returns, because Raft always
// keeps the last. What is appended for that may erase in its turn, as much as is due.
func (c *Cluster) moveOn(ctx context.Context) (erased uint64, err error) {
	for {
		erased = c.st.ErasureIndex()
		if c.raft.LastIndex() > erased {
			return erased, nil
		}
		if c.inOffice() == nil {
			return 0, errNoLeader
		}
		if _, err := c.appendTick(ctx); err != nil {
			return 0, err
		}
	}
}

func readScrubbed(dir string) (uint64, error) {
	data, err := os.ReadFile(filepath.Join(dir, scrubbedFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case len(data) != 8:
		return 0, fmt.Errorf("%s in %s has %d bytes: expected 8", scrubbedFile, dir, len(data))
	}
	return binary.BigEndian.Uint64(data), nil
}

// stableKeys are all that Raft and this package keep beside the log.
var stableKeys = []string{string(keyCurrentTerm), "LastVoteTerm", "LastVoteCand", string(keyRestored), string(keyRecovered)}

// rewrite copies what the log holds into a new file and puts it in place. Appends wait only for the last of it.
// One at a time rewrites. After an error the log is as it was; or, if it is not known which file a crash would leave,
// nothing is written any more and the node stops.
func (s *logStore) rewrite() error {
	path := s.path + tmpSuffix
	db, err := openUnsynced(path, s.mapped, s.noSync)
	if err != nil {
		return err
	}
	err = s.copyAhead(db)
	if err == nil {
		err = s.exclusively(func() error { return s.replace(db, path) })
	}
	if err != nil && s.uses(db) { // it is not known which file a crash would leave
		return err
	}
	if err != nil {
		return errors.Join(err, db.Close(), os.Remove(path))
	}
	return nil
}

// exclusively does something while nobody else uses the log, which is timed: Raft waits for it.
func (s *logStore) exclusively(do func() error) error {
	defer s.begin(&s.moving)()
	s.mu.Lock()
	defer s.mu.Unlock()
	return do()
}

func (s *logStore) uses(db *raftboltdb.BoltStore) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db == db
}

// replace copies the rest into the new file at path and puts it in place. After an error the log is as it was, unless
// it uses db already. The caller holds mu.
func (s *logStore) replace(db *raftboltdb.BoltStore, path string) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	err := s.copyRest(db)
	if err == nil {
		// Bolt has synced the file at each commit. It stays open across the rename.
		err = os.Rename(path, s.path)
	}
	if err != nil {
		return err
	}
	// From here on the old file has no name: what is written to it would be lost at the next start.
	old := s.db
	s.db = db
	if err := s.syncDir(filepath.Dir(s.path)); err != nil {
		// The rename may be undone by a crash: what is written to the new file would be lost by that.
		s.stop(err)
		s.fail(fmt.Errorf("put the Raft log's new file in place: %w", err))
		return errors.Join(err, old.Close())
	}
	return old.Close()
}

// sink notes that entries from index on are overruled, before they are.
func (s *logStore) sink(index uint64) {
	for low := s.low.Load(); index < low && !s.low.CompareAndSwap(low, index); {
		low = s.low.Load()
	}
}

// copyAhead copies entries while others are appended, until few are left. What is overruled meanwhile is copied all the
// same: copyRest takes it back.
func (s *logStore) copyAhead(dst *raftboltdb.BoltStore) error {
	// Who overrules now has done so after this, or has not begun.
	_ = s.exclusively(func() error { s.low.Store(math.MaxUint64); return nil })
	for ahead := 0; ahead < copyBytesAhead; {
		n, left, err := s.copySome(dst)
		if err != nil {
			return err
		}
		if left <= maxAppendEntries {
			return nil
		}
		ahead += n
	}
	return errors.New("entries are appended faster than they are copied")
}

// copySome copies the next entries, and says how many bytes they have and how many entries are left.
func (s *logStore) copySome(dst *raftboltdb.BoltStore) (bytes int, left uint64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	copied, err := dst.LastIndex()
	if err != nil {
		return 0, 0, err
	}
	first, err := s.db.FirstIndex()
	if err != nil {
		return 0, 0, err
	}
	last, err := s.db.LastIndex()
	if err != nil {
		return 0, 0, err
	}
	upTo, bytes, err := copyLogs(dst, s.db, max(first, copied+1), last, copyAtOnce)
	return bytes, last - min(upTo, last), err
}

// copyRest has dst hold what the log holds. The caller holds mu.
func (s *logStore) copyRest(dst *raftboltdb.BoltStore) error {
	for _, key := range stableKeys {
		value, err := s.db.Get([]byte(key))
		if err != nil && notFound(err) {
			continue
		}
		if err == nil {
			err = dst.Set([]byte(key), value)
		}
		if err != nil {
			return err
		}
	}
	first, err := s.db.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.db.LastIndex()
	if err != nil {
		return err
	}
	low := min(s.low.Load(), last+1)
	if err := keepOnly(dst, first, low); err != nil {
		return err
	}
	copied, err := dst.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	_, _, err = copyLogs(dst, s.db, max(first, copied+1), last, math.MaxInt)
	return err
}

// keepOnly deletes from dst what is before first or not before end.
func keepOnly(dst *raftboltdb.BoltStore, first, end uint64) error {
	from, err := dst.FirstIndex()
	if err != nil || from == 0 {
		return err
	}
	to, err := dst.LastIndex()
	if err != nil {
		return err
	}
	if from < first {
		err = dst.DeleteRange(from, min(first-1, to))
	}
	if err == nil && end <= to {
		err = dst.DeleteRange(max(from, end), to)
	}
	return err
}

// copyLogs copies entries from first on: up to last, or until they have enough bytes. It says up to which.
func copyLogs(dst, src *raftboltdb.BoltStore, first, last uint64, enough int) (upTo uint64, bytes int, err error) {
	var logs []*raft.Log
	size := 0
	store := func() error {
		if len(logs) == 0 {
			return nil
		}
		err := dst.StoreLogs(logs)
		bytes += size
		logs, size = nil, 0
		return err
	}
	upTo = first - 1
	for i := first; i <= last && bytes+size < enough; i++ {
		upTo = i
		l := new(raft.Log)
		if err := src.GetLog(i, l); errors.Is(err, raft.ErrLogNotFound) {
			continue // between an old log and a state that was installed past its end
		} else if err != nil {
			return upTo, bytes, fmt.Errorf("entry %d: %w", i, err)
		}
		logs = append(logs, l)
		if size += len(l.Data); size >= copyAtOnce {
			if err := store(); err != nil {
				return upTo, bytes, err
			}
		}
	}
	return upTo, bytes, store()
}

// copyAtOnce is how many bytes of entries are copied in one transaction, each of which is synced.
const copyAtOnce = 8 << 20

// copyBytesAhead is after how many a rewrite gives up: appends are not to wait for long, and who appends faster than
// this copies is never caught up with. It is far more than a log holds.
const copyBytesAhead = 4 << 30
