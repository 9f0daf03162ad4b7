package cluster

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A deposed leader's own entries are deleted, as the next leader has others, and just then its disk is full for a
// moment: it deletes, and does not write.
func TestAFullDiskWhileEntriesAreOverruledIsSurvived(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		network := newNet()
		f := startClusterOn(t, 3, network, nil, func(name string, c *Config) {
			c.guards.noRestart = off
			patient(name, c)
		})
		f.allUp()
		f.fill("n1", 3)
		n1 := f.leads("n1")
		network.isolate("n1")
		before := n1.raft.LastIndex()
		for range 3 {
			_, op := create()
			_ = f.tryWrite("n1", op, 300*time.Millisecond)
		}
		if n1.raft.LastIndex() == before {
			t.Fatal("n1 has nothing that could be overruled: the test shows nothing")
		}
		f.leader("n1")
		full := error(syscall.ENOSPC)
		var deleted atomic.Bool
		n1.log.applied = func() uint64 { // asked before a suffix is deleted; n1 writes nothing now
			if !deleted.Swap(true) {
				time.AfterFunc(300*time.Millisecond, func() { n1.log.broken.CompareAndSwap(&full, nil) })
				n1.log.broken.Store(&full)
			}
			return n1.committed()
		}
		network.mend("n1", "*")
		p, op := create()
		f.write("n2", op)
		s := f.seat("n1")
		if off {
			f.mustHold("n2", p)
			f.mustHold("n3", p)
			for began := time.Now(); time.Since(began) < stuckFor; time.Sleep(10 * time.Millisecond) {
				if !deleted.Load() {
					began = time.Now()
				}
				if n := s.node(); n == nil || n.holds(p) {
					t.Fatalf("n1 goes on without the guard: the test shows nothing; it ended with %v", s.err())
				}
			}
			return
		}
		eventually(t, "n1 ends", func() bool { return s.node() == nil && s.err() != nil })
		if !strings.Contains(s.err().Error(), "takes the place of overruled entries") {
			t.Errorf("n1 ended with %v", s.err())
		}
		s.halt()
		s.start()
		f.mustHold("n1", p)
		f.mustAgree()
	})
}
