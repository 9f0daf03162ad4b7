package cluster

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Of three voters one is dead. A fourth that cannot be reached joins: did it vote at once, two of four would be
// left.
func TestWhoJoinsCostsNoMajority(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 3, func(_ string, c *Config) { c.guards.noCaughtUp = off })
		leader := f.settled()
		name := leader.cfg.Name
		dead := f.seat(f.followers(leader)[0])
		dead.crash(vfs.CrashCloneCfg{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := leader.Join(ctx, Peer{"n4", addressOf("n4")}, false); err == nil {
			t.Error("a node that nobody has heard of was told to vote")
		}
		_, op := create()
		if off {
			if err := f.tryWrite(name, op, stuckFor); err == nil {
				t.Error("a write succeeded without the guard: the test shows nothing")
			}
			return
		}
		f.write(name, op)
		n4 := f.add("n4", false)
		n4.start()
		p, op := create()
		f.write(name, op)
		f.mustHold("n4", p)
		eventually(t, "n4 votes", func() bool { return slices.Contains(f.leader().voters(), "n4") })
		dead.start()
		f.mustHold(dead.name, p)
		f.mustAgree()
	})
}

// Two of three have acknowledged a write, and one of them loses its disk. Were it to vote again as if nothing had
// happened, it and the one that never had the write could elect one of theirs.
func TestWhoLostItsDataDoesNotVoteTheAcknowledgedAway(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 3, func(_ string, c *Config) { c.guards.noAdmission = off })
		f.settled()
		f.leads("n1")
		f.seat("n3").halt()
		p, op := create()
		f.write("n1", op)
		f.mustHold("n2", p)

		f.seat("n2").halt()
		f.seat("n2").wipe()
		f.seat("n1").halt()
		f.seat("n3").start()
		f.seat("n2").start()
		if off {
			eventually(t, "n2 and n3 elect a leader", func() bool {
				n3 := f.seat("n3").node()
				return n3 != nil && n3.inOffice() != nil
			})
			f.seat("n1").start()
			_, op := create()
			f.write("n3", op)
			if f.seat("n3").node().holds(p) {
				t.Error("nothing was lost without the guard: the test shows nothing")
			}
			return
		}
		eventually(t, "n2 waits for a leader", func() bool {
			f.seat("n2").mu.Lock()
			defer f.seat("n2").mu.Unlock()
			return f.seat("n2").waiting != ""
		})
		if f.seat("n2").node() != nil {
			t.Error("a node without data runs Raft")
		}
		f.seat("n1").start()
		for _, name := range []string{"n1", "n2", "n3"} {
			f.mustHold(name, p)
		}
		eventually(t, "n2 votes again", func() bool { return slices.Equal(f.leader().voters(), []string{"n1", "n2", "n3"}) })
		f.mustAgree()
	})
}

// The log is cut, and the power fails: what was acknowledged is in the state or in the log. Raft's own count of
// what it may delete includes barriers, which the state never sees, so one guard does not replace the other.
func TestNothingIsCutThatIsNotDurable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		guards   guards
		barriers int
		ok       bool
	}{
		{name: "guarded", barriers: 5, ok: true},
		{name: "not flushed, but clamped", guards: guards{noFlush: true}, barriers: 5, ok: true},
		{name: "not clamped, with barriers", guards: guards{noClamp: true}, barriers: 5},
		{name: "neither", guards: guards{noFlush: true, noClamp: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := startCluster(t, 1, func(_ string, c *Config) { c.guards = tt.guards })
			all := f.fill("n1", 10)
			n := f.settled()
			for range tt.barriers {
				if err := n.raft.Barrier(time.Second).Error(); err != nil {
					t.Fatal(err)
				}
			}
			n.compacting.Lock()
			err := n.cutLog(1)
			n.compacting.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			f.seat("n1").crash(vfs.CrashCloneCfg{})
			f.seat("n1").start()
			if !tt.ok {
				eventually(t, "it refuses to start", func() bool { return f.seat("n1").err() != nil })
				t.Log(f.seat("n1").err())
				return
			}
			f.mustHold("n1", all...)
			f.settled().mustKeepTheRule(t)
		})
	}
}
