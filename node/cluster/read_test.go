package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
)

func TestALinearizableReadSeesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 10 {
				p, op := create()
				if _, err := n.SubmitOperation(t.Context(), op); err != nil {
					t.Error(err)
					return
				}
				if err := n.ReadIndex(t.Context()); err != nil {
					t.Error(err)
				}
				n.mustHold(t, p)
			}
		})
	}
	wg.Wait()
}

// Who comes while a confirmation is under way must not share it: it may have begun before the request.
func TestReadRoundsAreJoinedOnlyBeforeTheyBegin(t *testing.T) {
	t.Parallel()
	r := readRounds{kick: make(chan struct{}, 1)}
	first, second := r.join(), r.join()
	if first != second {
		t.Error("two that wait for a confirmation to begin got two of them")
	}
	if began := r.begin(); began != first {
		t.Error("another round began")
	}
	if third := r.join(); third == first {
		t.Error("a request joined a confirmation that had begun before it")
	}
	if r.begin() == nil || r.begin() != nil {
		t.Error("a round is to begin once")
	}
}

func TestWaitIndex(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	at := n.AppliedIndex()
	if err := n.WaitIndex(t.Context(), at); err != nil {
		t.Error(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.WaitIndex(t.Context(), at+1) }()
	_, op := create()
	n.mustSubmit(t, op)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.WaitIndex(ctx, at+1000); registry.KindOf(err) != registry.Unavailable {
		t.Errorf("waiting for what never comes: %v", err)
	}
}

// TestCloseEndsTheWaitForAnIndex: whoever opens another state in the place of this one waits for all readers,
// and a reader that waited on for an index kept a follower away for so long that it needed yet another state.
func TestCloseEndsTheWaitForAnIndex(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	done := make(chan error, 1)
	go func() { done <- n.WaitIndex(t.Context(), n.AppliedIndex()+1000) }()
	for n.applied.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := n.Cluster.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, errClosing) {
		t.Errorf("got %v: expected that the node is shutting down", err)
	}
}

func TestOutOfOffice(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	n.office.Store(&tenure{term: n.raft.CurrentTerm() - 1})
	if err := n.ReadIndex(t.Context()); registry.KindOf(err) != registry.Unavailable {
		t.Errorf("ReadIndex in a term without an entry of its own: %v", err)
	}
	_, op := create()
	if _, err := n.SubmitOperation(t.Context(), op); registry.KindOf(err) != registry.Unavailable {
		t.Errorf("SubmitOperation in a term without an entry of its own: %v", err)
	}
	if err := n.Bounded(); err != nil {
		t.Errorf("the only voter knows its own state: %v", err)
	}
}

// With a longer lease no node ever answers a bounded read.
func TestTheLongestLeaseLetsNodesAnswerBoundedReads(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, func(_ string, c *Config) {
		c.HeartbeatTimeout, c.LeaseTimeout = MaxLeaseTimeout, MaxLeaseTimeout
	})
	f.settled()
}

// In its first moments a node took its state for as old as itself, although what it had heard was true of a moment
// before, by two leases: even with leases of which nobody can be sure enough it answered bounded reads for a while.
func TestANodeThatHasJustStartedIsNotYoungerThanWhatItHeard(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	f := startCluster(t, 3, func(_ string, c *Config) { c.HeartbeatTimeout, c.LeaseTimeout = lease, lease })
	name := f.followers(f.settled())[0]
	f.seat(name).halt()
	f.seat(name).start()
	eventually(t, name+" has heard from its leader", func() bool {
		n := f.seat(name).node()
		if n == nil {
			return false
		}
		age, known := n.Staleness()
		if known && age < 2*lease {
			t.Fatalf("%s says that its state is %v old: it can be sure of no less than %v", name, age, 2*lease)
		}
		return known
	})
}
