package cluster

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A leader that had stood still answered a follower how far it had committed, after its loop had run again and
// before it doubted its office: the question may have waited while another led.
func TestNobodyIsToldThePastBeforeThePauseIsDoubted(t *testing.T) {
	t.Parallel()
	inLoop, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	f := startCluster(t, 3, func(name string, c *Config) {
		if name == "n1" {
			c.OnChange = func(what string) {
				if strings.HasPrefix(what, "nothing comes") { // it is the loop that says so
					close(inLoop)
					<-goOn
				}
			}
		}
	})
	n1 := f.leads("n1")
	report := f.seat("n2").node().report()
	n1.machine.snaps.came.Store(1)
	<-inLoop
	eventually(t, "the loop of n1 has stood still for long enough", n1.pausedNow)
	n1.fresh.mu.Lock() // its next round stands still as soon as it has looked at the clocks
	defer n1.fresh.mu.Unlock()
	noticed := n1.paused.Load()
	release()
	eventually(t, "the loop of n1 runs again", func() bool { return !n1.pausedNow() })
	if reply, err := n1.onFollow("n2", report); err == nil {
		t.Errorf("a leader that does not know yet whether it still leads answered %+v", reply)
	}
	if n1.paused.Load() != noticed || n1.inOffice() == nil {
		t.Error("the loop was not stopped where it should be: the test shows nothing")
	}
}

// The monotonic clock stands still with a machine that is suspended: when it went on, what the node showed was as
// old as it had been before, and nobody doubted that it still led. The wall clock knows.
func TestASuspendedLeaderKnowsItsAge(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, asleep := sleepers(t, off)
		n1 := f.leads("n1")
		before := n1.paused.Load()
		age := ageAfterSleep(t, n1, asleep["n1"])
		if lied := age < suspended; lied != off {
			t.Errorf("a leader that was suspended for %s said that what it shows is %s old", suspended, age)
		}
		if !off {
			eventually(t, "n1 notices", func() bool { return n1.paused.Load() > before })
		}
		p, op := create()
		f.write("n2", op)
		f.mustHold("n1", p)
	})
}

func TestASuspendedFollowerKnowsItsAge(t *testing.T) {
	t.Parallel()
	f, asleep := sleepers(t, false)
	f.leads("n1")
	if age := ageAfterSleep(t, f.seat("n2").node(), asleep["n2"]); age < suspended {
		t.Errorf("a follower that was suspended for %s said that what it shows is %s old", suspended, age)
	}
	f.settled()
}

// suspended is for how long a machine is, in these tests: less than makes its clock wrong.
const suspended = 3 * time.Second

// sleepers is a cluster whose machines can have been suspended: by how much their wall clocks, and these only, are later.
func sleepers(t *testing.T, noPause bool) (*fleet, map[string]*atomic.Int64) {
	asleep := map[string]*atomic.Int64{"n1": new(atomic.Int64), "n2": new(atomic.Int64), "n3": new(atomic.Int64)}
	f := startCluster(t, 3, func(name string, c *Config) {
		c.guards.noPause = noPause
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(asleep[name].Load())) }
	})
	return f, asleep
}

// ageAfterSleep is what n says of its age when its machine goes on, and before anything else in it does.
func ageAfterSleep(t *testing.T, n *node, asleep *atomic.Int64) time.Duration {
	eventually(t, "it is fresh", func() bool {
		age, known := n.Staleness()
		return known && age < suspended/2
	})
	n.fresh.mu.Lock()
	defer n.fresh.mu.Unlock()
	asleep.Store(int64(suspended))
	age, _ := n.Staleness()
	return age
}
