package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// twice runs a test with a guard and without it: what the guard is for must then go wrong.
func twice(t *testing.T, test func(t *testing.T, off bool)) {
	t.Parallel()
	t.Run("guarded", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("unguarded", func(t *testing.T) { t.Parallel(); test(t, true) })
}

// stuckFor is for how long an unguarded cluster must do nothing to count as stuck: several elections.
const stuckFor = 3 * time.Second

// mustBeStuck is the end of an unguarded test: name leads all the time, and nothing is written.
func (f *fleet) mustBeStuck(name string) {
	f.t.Helper()
	if why := f.moves(name); why != "" {
		f.t.Errorf("%s without the guard: the test shows nothing", why)
	}
}

// moves says what still goes on in a cluster that is to be stuck, led by name.
func (f *fleet) moves(name string) (why string) {
	leader := f.seat(name).node()
	term := leader.raft.CurrentTerm()
	for end := time.Now().Add(stuckFor); time.Now().Before(end); {
		for _, s := range f.seats {
			_, op := create()
			if err := f.tryWrite(s.name, op, time.Second); err == nil {
				return "a write through " + s.name + " succeeded"
			}
		}
	}
	if leader.raft.CurrentTerm() != term || leader.leader() != name {
		return name + " was deposed"
	}
	return ""
}

// A leader whose disk hangs sends heartbeats, and so nobody else leads.
func TestALeaderWhoseDiskHangsMakesRoom(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 3, func(_ string, c *Config) {
			c.LogStall, c.guards.noStall = 300*time.Millisecond, off
		})
		leader := f.settled()
		name := leader.cfg.Name
		leader.log.size.mu.Lock() // the last step of a log write
		t.Cleanup(leader.log.size.mu.Unlock)
		_, op := create()
		go func() { _, _ = leader.SubmitOperation(t.Context(), op) }()
		eventually(t, "the log hangs", func() bool { return leader.log.stalled() > 0 })
		if off {
			f.mustBeStuck(name)
			return
		}
		f.mustMakeRoom(leader)
	})
}

// mustMakeRoom holds a leader to giving itself up, and the others to going on without it.
func (f *fleet) mustMakeRoom(leader *node) {
	f.t.Helper()
	<-leader.Done()
	other := f.leader(leader.cfg.Name).cfg.Name
	p, op := create()
	f.write(other, op)
	f.mustHold(other, p)
}

// With two messages under way, a sender can wait for ever for room when the first is rejected.
func TestARejectedMessageStopsNoReplication(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		network := newNet()
		if off {
			network.maxInFlight = 2
		}
		// Of two, both are needed for every write.
		f := startClusterOn(t, 2, network, inMemory, func(_ string, c *Config) {
			c.HeartbeatTimeout, c.LeaseTimeout = time.Second, time.Second
		})
		leader := f.settled()
		name := leader.cfg.Name
		follower := f.seat(f.followers(leader)[0]).node()
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for range 16 {
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					_, op := create()
					_ = f.tryWrite(name, op, time.Second)
				}
			})
		}
		t.Cleanup(func() { close(stop); writers.Wait(); network.closePipelines() })
		full := error(syscall.ENOSPC)
		rounds := 40
		if off {
			rounds = 3000
		}
		for range rounds {
			follower.log.broken.Store(&full) // its disk is full for a moment: it rejects what comes
			time.Sleep(5 * time.Millisecond)
			follower.log.broken.Store(nil)
			before := follower.raft.LastIndex()
			began := time.Now()
			for follower.raft.LastIndex() == before && time.Since(began) < stuckFor {
				time.Sleep(time.Millisecond)
			}
			if follower.raft.LastIndex() != before {
				continue
			}
			if off && f.moves(name) == "" {
				return
			}
			if !off && f.seat(name).node().inOffice() != nil {
				t.Fatal("replication stopped")
			}
			f.leads(name) // it was slow, or deposed
		}
		if off {
			t.Errorf("%d rejections stopped nothing without the guard: the test shows nothing", rounds)
		}
	})
}

// The leader has told another to take over and hears nothing of it: Raft refuses writes for as long as that
// lasts. That is noticed even while nobody writes.
func TestATransferThatHangsEnds(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		network := newNet()
		gate, hangs := make(chan struct{}), make(chan string, 100)
		t.Cleanup(func() { close(gate) })
		network.onRPC = func(from, to, rpc string) error {
			if rpc == "TimeoutNow" && from != to {
				hangs <- from
				<-gate
			}
			return nil
		}
		f := startClusterOn(t, 3, network, inMemory, func(_ string, c *Config) {
			c.guards.noTransferWatch, c.LeaderWait, c.HeartbeatTimeout = off, 50*time.Millisecond, 500*time.Millisecond
		})
		var leader *node
		eventually(t, "a transfer hangs", func() bool {
			leader = f.settled()
			err := leader.TransferLeadership(inTime(t), "")
			return len(hangs) > 0 && registry.KindOf(err) == registry.Unavailable && leader.raft.State() == raft.Leader
		})
		name := leader.cfg.Name
		if off {
			f.mustBeStuck(name)
			return
		}
		select {
		case <-leader.Done():
		case <-time.After(90 * time.Second):
			t.Fatal("a leadership transfer hangs, and the node does not end")
		}
		if errors.Is(leader.Err(), ErrReplaced) {
			t.Fatal(leader.Err())
		}
		_, op := create()
		f.write(f.leader(name).cfg.Name, op)
	})
}

// A node whose clock is wrong neither leads nor makes registry time.
func TestALeaderWithAWrongClockStepsAside(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		const ahead = 5 * time.Minute
		said := make(chan string, 1000)
		f := startCluster(t, 3, func(name string, c *Config) {
			c.guards.noClock = off
			if name == "n1" {
				c.Clock = func() time.Time { return time.Now().Add(ahead) }
				c.OnChange = func(what string) { said <- what }
			}
		})
		f.settled()
		if off {
			f.leads("n1")
		} else {
			f.leader("n1")
			eventually(t, "n1 says that its clock is wrong", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_ = f.leader("n1").TransferLeadership(ctx, "n1")
				for len(said) > 0 {
					if strings.Contains(<-said, "clock") {
						return true
					}
				}
				return false
			})
		}
		var jumped bool
		for _, s := range f.seats {
			p, op := create()
			f.write(s.name, op)
			f.mustHold(s.name, p)
			jumped = jumped || s.node().st.LastTime() > registry.MillisOf(time.Now().Add(ahead/2))
		}
		if jumped != off {
			t.Errorf("registry time followed a wrong clock: %t", jumped)
		}
		if !off && f.seat("n1").node().inOffice() != nil {
			t.Error("a node with a wrong clock leads")
		}
	})
}
