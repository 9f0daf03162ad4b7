package cluster

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
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
