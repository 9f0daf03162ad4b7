package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// endReplaced ends this node for another state, but not before Raft's answer is on its way. Without it the sender
// does not know that the state arrived: it sends its state again, after ever longer pauses, and again the node that
// receives it would end before it answers. A follower that can only catch up by a state would never do.
func (c *Cluster) endReplaced() {
	defer c.fail(ErrReplaced)
	for c.running.Load() == nil { // a state came while Raft was being started
		select {
		case <-time.After(time.Millisecond):
		case <-c.quit:
			return
		}
	}
	// Raft's main loop takes this question when it is done with the installation.
	if c.await(context.Background(), c.running.Load().VerifyLeader()) != raft.ErrRaftShutdown {
		select {
		case <-time.After(answerTime):
		case <-c.quit:
		}
	}
}

// answerTime is how long Raft's transport may take to write an answer that it was given.
const answerTime = 100 * time.Millisecond

// settleInstalled makes the log fit a state that was received and put in force, before anything else looks
// at them. What the state holds is committed, so nothing of the log up to its index is needed. What follows
// upon it stays if it is of the same history; but if the log has another entry at that index, then that and all
// that follow were overruled, and Raft would refuse every message because of them, for ever (DESIGN 9).
func (c *Cluster) settleInstalled() error {
	if c.place == nil || c.place.index == 0 || c.cfg.guards.noSettle {
		return nil
	}
	index, term := c.st.Applied()
	if index != c.place.index || term != c.place.term {
		return nil // it has gone on since
	}
	first, err := c.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := c.log.LastIndex()
	if err != nil {
		return err
	}
	upTo := min(index, last)
	if first <= index && index <= last {
		var l raft.Log
		err := c.log.GetLog(index, &l)
		switch {
		case errors.Is(err, raft.ErrLogNotFound): // the log ended before, and went on behind the state
		case err != nil:
			return err
		case l.Term != term:
			if err := c.log.overrule(index, last); err != nil {
				return fmt.Errorf("delete the entries that the installed state overrules, from %d: %w", index, err)
			}
		}
	}
	if last > 0 && first <= upTo {
		if err := c.log.forget(first, upTo); err != nil {
			return fmt.Errorf("delete the entries that the installed state holds, up to %d: %w", upTo, err)
		}
	}
	return c.measureLog()
}

// overrule deletes the end of a log that Raft does not use yet, from its last entry on: the entry by which it is seen
// that they must go is the last to go, so that a crash meanwhile leaves none of them behind.
func (s *logStore) overrule(from, last uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for last >= from {
		first := from + (last-from)/deleteAtOnce*deleteAtOnce
		if err := s.db.DeleteRange(first, last); err != nil {
			return err
		}
		last = first - 1
	}
	return nil
}

// forget deletes entries of a log that Raft does not use yet, whatever the state holds.
func (s *logStore) forget(from, to uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		first, err := s.db.FirstIndex()
		if err != nil {
			return err
		}
		if from = max(from, first); first == 0 || from > to { // no entries, or none for a long while
			return nil
		}
		upTo := min(from+deleteAtOnce-1, to)
		if err := s.db.DeleteRange(from, upTo); err != nil {
			return err
		}
		s.size.removed(upTo)
		from = upTo + 1
	}
}
