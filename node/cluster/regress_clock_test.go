package cluster

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

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
