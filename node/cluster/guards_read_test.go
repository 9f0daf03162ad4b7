package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// deposed has n1 lead, and believe so for ten seconds, while another node leads in fact and has acknowledged an
// update of p, of which n1 knows nothing. Raft's messages to n1 are held; calls between nodes pass. A real leader
// believes in a past office when its process or machine stood still, and goes on: that its lease is over is
// then the last that it finds out. Here it has a long lease instead. asked is called when Raft's messages to
// n1 are held already and nobody has been elected yet.
func deposed(t *testing.T, g guards, asked func(f *fleet, n1 *node)) (f *fleet, n1 *node, p *passport) {
	t.Helper()
	return deposedOn(t, newNet(), g, func(string, *Config) {}, asked)
}

// deposedOn is deposed on a network, and with a change of the settings, that the test brings.
func deposedOn(t *testing.T, network *memNet, g guards, change func(string, *Config), asked func(f *fleet, n1 *node)) (f *fleet, n1 *node, p *passport) {
	t.Helper()
	f = startClusterOn(t, 3, network, inMemory, func(name string, c *Config) {
		change(name, c)
		c.guards = g
		if name == "n1" {
			c.HeartbeatTimeout, c.LeaseTimeout = 10*time.Second, 10*time.Second
		}
	})
	f.settled()
	n1 = f.leads("n1")
	p, op := create()
	f.write("n1", op)
	f.settled()
	f.net.holdRaft("n2", "n1")
	f.net.holdRaft("n3", "n1")
	asked(f, n1)
	other := f.leader("n1").cfg.Name
	op = p.next(registry.Update)
	f.write(other, op)
	p.moved(op)
	if n1.inOffice() == nil {
		t.Fatal("n1 does not believe that it leads: the test shows nothing")
	}
	return f, n1, p
}

// mustReadTruly holds a linearizable read of n1 to what was acknowledged.
func mustReadTruly(t *testing.T, n1 *node, p *passport, off bool, read func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stuckFor)
	defer cancel()
	if stale := read(ctx) == nil && !n1.holds(p); stale != off {
		t.Errorf("a linearizable read showed the past: %t", stale)
	}
}

func TestADeposedLeaderConfirmsNothing(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		_, n1, p := deposed(t, guards{noConfirm: off}, func(*fleet, *node) {})
		mustReadTruly(t, n1, p, off, n1.ReadIndex)
	})
}

// Answers of the past wait in the buffers of a leader that stood still. They confirm nothing.
func TestAnswersOfThePastConfirmNothing(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, n1, p := deposed(t, guards{bufferedConfirm: off}, func(f *fleet, n1 *node) {
			n1.raft.VerifyLeader() // has heartbeats sent now
			eventually(t, "answers to heartbeats are under way", func() bool {
				return f.net.answersHeld("n2", "n1") > 1 && f.net.answersHeld("n3", "n1") > 1
			})
		})
		mustReadTruly(t, n1, p, off, func(ctx context.Context) error {
			answer := make(chan error, 1)
			go func() { answer <- n1.ReadIndex(ctx) }()
			n1.passLoop(20)
			f.net.releaseAnswers("n2", "n1")
			f.net.releaseAnswers("n3", "n1")
			return <-answer
		})
	})
}

// passLoop waits until Raft has taken count messages from a channel: it takes what waits in the others, too.
func (n *node) passLoop(count int) {
	for range count {
		_ = n.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: "n", Address: "n"}}}).Error()
		time.Sleep(5 * time.Millisecond)
	}
}

// Who believes to lead refuses nothing because of what it does not know.
func TestADeposedLeaderRefusesNothingFalsely(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, _, p := deposed(t, guards{noRecheck: off}, func(*fleet, *node) {})
		unknown, op := create()
		f.write(f.leader("n1").cfg.Name, op)
		for _, next := range []*registry.Operation{p.next(registry.Update), unknown.next(registry.Update)} {
			err := f.tryWrite("n1", next, stuckFor)
			switch kind := registry.KindOf(err); {
			case err == nil:
				t.Error("a deposed leader accepted a write")
			case (kind != registry.Unavailable) != off:
				t.Errorf("a deposed leader refused an operation that follows upon an acknowledged one: %v", err)
			}
		}
	})
}

// ... nor a change of the members.
func TestADeposedLeaderRefusesNoChangeOfMembersFalsely(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, n1, _ := deposed(t, guards{noRecheck: off}, func(*fleet, *node) {})
		if err := f.leader("n1").Join(inTime(t), Peer{"r1", addressOf("r1")}, true); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), stuckFor)
		defer cancel()
		err := n1.Remove(ctx, "r1")
		switch kind := registry.KindOf(err); {
		case err == nil:
			t.Error("a deposed leader changed the members")
		case (kind != registry.Unavailable) != off:
			t.Errorf("a deposed leader refused to remove a member that had been joined: %v", err)
		}
	})
}

// A leader stands still with all that runs in it, another is elected and acknowledges a write, and the first
// goes on: not all of it at once, and its Raft last. What it then says of its staleness must be true.
func TestALeaderThatStoodStillKnowsItsAge(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 3, func(_ string, c *Config) { c.guards.noPause = off })
		f.settled()
		n1 := f.leads("n1")
		resumeRaft := n1.pauseRaft(t)
		n1.fresh.mu.Lock()
		resumeRest := sync.OnceFunc(n1.fresh.mu.Unlock)
		t.Cleanup(resumeRest)
		f.net.isolate("n1")
		p, op := create()
		f.write(f.leader("n1").cfg.Name, op)
		acknowledged := time.Now()
		f.net.holdRaft("*", "n1")
		f.net.mend("n1", "*")
		resumeRest()
		eventually(t, "n1 goes on", func() bool { return n1.paused.Load() > 0 })
		lied := false
		for range 40 {
			began := time.Now()
			age, known := n1.Staleness()
			lied = lied || known && !n1.holds(p) && age < began.Sub(acknowledged)
			time.Sleep(tickEvery / 2)
		}
		if n1.raft.State() != raft.Leader {
			t.Error("n1 does not believe that it leads: the test shows nothing")
		}
		if lied != off {
			t.Errorf("a leader of the past said that it shows the present: %t", lied)
		}
		resumeRaft()
	})
}

// pauseRaft has Raft's main loop stand still in the midst of a write, until resume is called.
func (n *node) pauseRaft(t *testing.T) (resume func()) {
	t.Helper()
	n.log.mu.Lock()
	resume = sync.OnceFunc(n.log.mu.Unlock)
	t.Cleanup(resume)
	_, op := create()
	go func() { _, _ = n.SubmitOperation(t.Context(), op) }()
	eventually(t, "Raft stands still", func() bool {
		passed := make(chan struct{})
		go func() { n.passLoop(1); close(passed) }()
		select {
		case <-passed:
			return false
		case <-time.After(50 * time.Millisecond):
			return true
		}
	})
	return resume
}
