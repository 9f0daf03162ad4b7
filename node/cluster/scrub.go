package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

const scrubbedFile = "scrubbed"

// Scrub makes what was erased leave this node's files: the Raft log is cut past the last erasure and its
// file written anew, since Bolt keeps old bytes in free pages, and the state is compacted. It does nothing
// when nothing was erased since the last time. Writes wait while the file is written, which is short as
// the log was just cut. A node that is killed meanwhile starts as if Scrub had not run, or had.
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

// rewrite copies what the log holds into a new file and puts it in place. Appends wait. After an error the
// log is as it was; or, if it is not known which file a crash would leave, nothing is written any more and
// the node stops.
func (s *logStore) rewrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	path := s.path + tmpSuffix
	db, err := openUnsynced(path, s.mapped, s.noSync)
	if err != nil {
		return err
	}
	err = copyLog(db, s.db)
	if err == nil {
		// Bolt has synced the file at each commit. It stays open across the rename.
		err = os.Rename(path, s.path)
	}
	if err != nil {
		return errors.Join(err, db.Close(), os.Remove(path))
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

func copyLog(dst, src *raftboltdb.BoltStore) error {
	for _, key := range stableKeys {
		value, err := src.Get([]byte(key))
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
	first, err := src.FirstIndex()
	if err != nil {
		return err
	}
	last, err := src.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	var logs []*raft.Log
	size := 0
	for i := first; i <= last; i++ {
		l := new(raft.Log)
		if err := src.GetLog(i, l); errors.Is(err, raft.ErrLogNotFound) {
			continue // between an old log and a state that was installed past its end
		} else if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		logs = append(logs, l)
		if size += len(l.Data); size >= copyAtOnce {
			if err := dst.StoreLogs(logs); err != nil {
				return err
			}
			logs, size = nil, 0
		}
	}
	return dst.StoreLogs(logs)
}

// copyAtOnce is how many bytes of entries are copied in one transaction, each of which is synced.
const copyAtOnce = 8 << 20
