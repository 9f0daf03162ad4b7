package cluster

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// A leader whose clock was wrong gave up its office, and when it could not hand over it never tried again: it led,
// and refused everything, with a clock that was long right.
func TestALeaderThatCannotHandOverTriesAgain(t *testing.T) {
	t.Parallel()
	network := newNet()
	var deaf atomic.Bool
	var tried atomic.Int64
	network.onRPC = func(from, to, rpc string) error {
		if rpc == "TimeoutNow" && from != to && deaf.Load() {
			tried.Add(1)
			return errors.New("connection refused")
		}
		return nil
	}
	ahead := make(map[string]*atomic.Int64)
	for _, name := range []string{"n1", "n2", "n3"} {
		ahead[name] = new(atomic.Int64)
	}
	f := startClusterOn(t, 3, network, inMemory, func(name string, c *Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead[name].Load())) }
		// Neither the end of the node nor an election by chance is to hide what this is about.
		c.guards.noTransferWatch, c.HeartbeatTimeout, c.LeaseTimeout = true, time.Second, time.Second
	})
	leader := f.allUp()
	name := leader.cfg.Name
	deaf.Store(true)
	ahead[name].Store(int64(time.Hour))
	eventually(t, "it tries to hand over", func() bool { return tried.Load() > 0 })
	eventually(t, "it is not in office", func() bool { return leader.inOffice() == nil })
	ahead[name].Store(0)
	deaf.Store(false)
	for _, s := range f.seats {
		p, op := create()
		f.write(s.name, op)
		f.mustHold(s.name, p)
	}
}

// A leader whose clock jumps makes registry time of it until the clocks are next compared: all that followed had to
// be later for good, and who signed by a right clock was refused.
func TestALeadersClockThatJumpsMakesNoTime(t *testing.T) {
	for _, by := range []time.Duration{9 * time.Minute, 24 * time.Hour, -24 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			twice(t, func(t *testing.T, off bool) {
				var jump atomic.Int64
				f := startCluster(t, 3, func(name string, c *Config) {
					c.guards.noClock = off
					if name == "n1" {
						c.Clock = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
					}
				})
				n1 := f.leads("n1")
				jump.Store(int64(by))
				refused := false
				for range 5 {
					_, op := create()
					err := f.tryWrite("n1", op, time.Second)
					refused = refused || registry.KindOf(err) == registry.Invalid
				}
				if !off {
					f.leader("n1")
				}
				jump.Store(0)
				p, op := create()
				f.write("n2", op)
				f.mustHold("n1", p)
				jumped := n1.st.LastTime() > registry.MillisOf(time.Now().Add(time.Minute))
				if wrong := jumped || refused; wrong != off {
					t.Errorf("registry time followed a clock that jumped: %t; an operation signed by a right clock was refused: %t", jumped, refused)
				}
			})
		})
	}
}

// A leader whose clock was wrong told of it for as long as it ran: whenever nobody led, a clock that had long been
// put right was said to be the cause.
func TestAClockThatIsRightAgainIsNoCause(t *testing.T) {
	t.Parallel()
	network := newNet()
	var deaf atomic.Bool
	network.onRPC = func(from, to, rpc string) error {
		if rpc == "TimeoutNow" && from != to && deaf.Load() {
			return errors.New("connection refused")
		}
		return nil
	}
	var ahead atomic.Int64
	f := startClusterOn(t, 3, network, inMemory, func(name string, c *Config) {
		c.guards.noTransferWatch, c.LeaderWait = true, 50*time.Millisecond
		if name == "n1" {
			c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		}
	})
	n1 := f.leads("n1")
	deaf.Store(true)
	ahead.Store(int64(time.Hour))
	_, op := create()
	saysClock := func() bool {
		err := f.tryWrite("n1", op, 3*time.Second)
		return err != nil && strings.Contains(err.Error(), "the clock of node n1")
	}
	eventually(t, "n1 says that it cannot write because of its clock", saysClock)
	network.isolate("n1")
	eventually(t, "n1 does not lead", func() bool { return n1.raft.State() != raft.Leader && n1.leader() == "" })
	ahead.Store(0)
	for range 3 {
		if saysClock() {
			t.Fatal("a node that does not lead, and has a right clock, refuses because of its clock")
		}
	}
}
