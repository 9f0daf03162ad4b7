package cluster

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// A leader that was deposed has been taught entries of a newer term since, and its replication may still send its
// state, in its own term. A node with that state would not know the term of it, and refuse to start again.
func TestADeposedLeadersStateIsNotInstalled(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	place, err := OpenPlace(vfs.NewCrashableMem(), "data")
	if err != nil {
		t.Fatal(err)
	}
	term := n.raft.CurrentTerm()
	snaps := &snapshots{st: n.st, place: place, term: func() (uint64, error) { return n.log.getUint64(keyCurrentTerm) }}
	for _, tt := range []struct {
		term    uint64
		refused bool
	}{{term, false}, {term + 1, true}} {
		s, err := snaps.Create(1, n.AppliedIndex()+1, tt.term, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("some of it")); (err != nil) != tt.refused {
			t.Errorf("a state as of term %d, in term %d: %v", tt.term, term, err)
		}
		if err := s.Cancel(); err != nil {
			t.Error(err)
		}
	}
}
