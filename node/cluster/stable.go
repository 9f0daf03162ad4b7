package cluster

import (
	"bytes"
	"fmt"
	"runtime"
	"time"
)

// stableStore keeps Raft's term and vote in the log's file. Raft panics when its term cannot be saved, so
// Set never returns an error: on a full disk it waits until there is room, which is when this node could
// vote or lead again anyway; when the node has failed or closes, the calling goroutine ends.
type stableStore struct {
	log    *logStore
	quit   <-chan struct{} // closed when the node closes
	fail   func(error)
	strict bool // before Raft runs, errors are for the caller
}

// retryFull is how often a write that found the disk full is tried again.
const retryFull = 200 * time.Millisecond

// Set implements raft.StableStore. What is there already is not written again, as Raft does at its start,
// so that a node starts on a full disk.
func (s *stableStore) Set(key, value []byte) error {
	old, err := s.log.get(key)
	if err == nil && bytes.Equal(old, value) || err != nil && notFound(err) && bytes.Equal(value, bigEndian(0)) {
		return nil
	}
	for {
		err := s.log.set(key, value)
		if err == nil || s.strict {
			return err
		}
		if !isFull(err) {
			s.fail(fmt.Errorf("save the term or vote: %w", err))
			runtime.Goexit()
		}
		select {
		case <-s.quit:
			runtime.Goexit()
		case <-time.After(retryFull):
		}
	}
}

// Get implements raft.StableStore.
func (s *stableStore) Get(key []byte) ([]byte, error) { return s.log.get(key) }

// SetUint64 implements raft.StableStore.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	return s.Set(key, bigEndian(value))
}

// GetUint64 implements raft.StableStore.
func (s *stableStore) GetUint64(key []byte) (uint64, error) { return s.log.getUint64(key) }
