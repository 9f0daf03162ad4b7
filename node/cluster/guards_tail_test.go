package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A leader is cut off with entries that nobody else has. The next one's first entry takes long to be written, and the
// message that it had made meanwhile for the one before tells of an earlier end of the log, and of a later commit.
func TestWhatOnlyADeposedLeaderHasIsNotCommitted(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		network := newNet()
		network.timeout = 300 * time.Millisecond
		f := startClusterOn(t, 3, network, inMemory, func(name string, c *Config) {
			patient(name, c)
			c.guards.noTail = off
		})
		f.allUp()
		f.fill("n1", 3)
		deposed := f.leads("n1")
		next, other := f.seat("n2").node(), f.seat("n3").node()
		network.isolate("n1")
		written, writes := next.hold(t), other.hold(t)
		var lost []*passport
		before := deposed.raft.LastIndex()
		for range 6 { // one entry each
			p, op := create()
			lost = append(lost, p)
			go func() { _ = f.tryWrite("n1", op, 300*time.Millisecond) }()
			at := deposed.raft.LastIndex()
			for end := time.Now().Add(time.Second); deposed.raft.LastIndex() == at && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
		if deposed.raft.LastIndex() < before+3 {
			t.Fatalf("n1's log ends at %d, before at %d: the test shows nothing", deposed.raft.LastIndex(), before)
		}
		eventually(t, "another leads", func() bool {
			if other.raft.State() == raft.Leader {
				next, other, written, writes = other, next, writes, written
			}
			return next.raft.State() == raft.Leader
		})
		writes()
		first := next.raft.LastIndex()
		// The leader tries to send to n1 again and again, after longer and longer waits. What it sends next is made
		// before such a wait, and given the commit index after it.
		for began := time.Now(); time.Since(began) < 5*time.Second; {
			time.Sleep(10 * time.Millisecond)
		}
		written()
		eventually(t, "the first entry is committed", func() bool { return next.raft.CommitIndex() > first })
		network.mend("n1", "*")

		p, op := create()
		f.write(next.cfg.Name, op)
		wrong := func() bool {
			n := f.seat("n1").node()
			if n == nil || n.Err() != nil {
				return true
			}
			for _, p := range lost {
				if n.holds(p) {
					return true
				}
			}
			return false
		}
		if off {
			eventually(t, "n1 shows what was never committed, or has ended by it", wrong)
			return
		}
		f.mustHold("n1", p)
		if wrong() {
			t.Errorf("n1 shows what was never committed, or has ended: %v", f.seat("n1").err())
		}
		f.mustAgree()
	})
}
