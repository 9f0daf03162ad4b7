package cluster

import (
	"sync"
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

// A node that ended as soon as a state was in force never answered whoever had sent it, and was sent it again and
// again, for ever.
func TestWhoSendsAStateIsTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	opened := map[string]int{}
	f := startCluster(t, 3, func(name string, _ *Config) {
		mu.Lock()
		defer mu.Unlock()
		opened[name]++
	})
	for range 3 {
		leader := f.settled()
		behind := f.seat(f.followers(leader)[0])
		behind.halt()
		all := f.fill(leader.cfg.Name, 20)
		for _, s := range f.seats {
			if n := s.node(); n != nil {
				n.compacting.Lock()
				_ = n.cutLog(1) // a follower may have nothing new yet
				n.compacting.Unlock()
			}
		}
		mu.Lock()
		before := opened[behind.name]
		mu.Unlock()
		behind.start()
		f.mustHold(behind.name, all...)
		mu.Lock()
		installed := opened[behind.name] - before - 1
		mu.Unlock()
		if installed != 1 {
			t.Errorf("the state was installed %d times", installed)
		}
	}
}
