package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// MaxClockOffset is how far the clock of a node that proposes may be from the median of a majority
// (DESIGN 6, rule 5).
const MaxClockOffset = 5 * time.Second

// clockReportAge is how old a node's report of its clock may be.
const clockReportAge = 3 * time.Second

// clockOffset is how far our clock is ahead of the median of the voters' clocks that were heard lately,
// ours included; not known before a majority was heard from, and our clock has stayed what it was.
func (c *Cluster) clockOffset(now instant) (ahead time.Duration, known bool) {
	reports := c.heard.all()
	var offsets []time.Duration
	voters := 0
	for _, s := range c.members().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == raft.ServerID(c.cfg.Name) {
			offsets = append(offsets, 0)
		} else if h, ok := reports[string(s.ID)]; ok && time.Since(h.at) <= clockReportAge && (now.skew()-h.skew).Abs() <= clockMoved {
			offsets = append(offsets, h.ahead)
		}
	}
	if len(offsets) == 0 || len(offsets) < voters/2+1 {
		return 0, false
	}
	slices.Sort(offsets)
	median := (offsets[(len(offsets)-1)/2] + offsets[len(offsets)/2]) / 2
	return -median, true
}

// clockEvery is how often a leader compares its clock with the others'.
const clockEvery = 100 * time.Millisecond

// clockMoved is by how much our clock may have been put forward or back since a node reported its own: a report
// from before says how far that node was from a clock that we do not have any more.
const clockMoved = MaxClockOffset / 10

// instant is a moment on both clocks of this machine: the one that only ever counts on, while the machine runs, and
// the wall clock, which somebody may set.
type instant struct {
	steady time.Duration // since the epoch of freshness
	wall   time.Time
}

// instant is now. The wall clock is read last: a process that stands still in between finds it put forward, never
// back.
func (c *Cluster) instant() instant {
	steady := time.Since(c.fresh.epoch)
	return instant{steady, c.cfg.Clock().Round(0)}
}

// skew changes when the wall clock is put forward or back, and not while both clocks go on.
func (i instant) skew() time.Duration {
	return time.Duration(i.wall.UnixNano()) - i.steady
}

// since is how long ago then was, by that clock which says that it is longer: the monotonic one stands still while a
// machine is suspended, and the wall clock may be put back. One that is put forward costs a confirmation too many.
func (i instant) since(then instant) time.Duration {
	return max(i.steady-then.steady, i.wall.Sub(then.wall), 0)
}

// back is d before, or the epoch if that is later.
func (i instant) back(d time.Duration) instant {
	d = min(d, i.steady)
	return instant{i.steady - d, i.wall.Add(-d)}
}

// agreement is what a comparison with a majority's clocks found.
type agreement struct{ skew, ahead time.Duration }

// clocksCompared compares our clock with a majority's, if that is possible now, and remembers that it was right.
func (c *Cluster) clocksCompared() (ahead time.Duration, known, wrong bool) {
	now := c.instant()
	ahead, known = c.clockOffset(now)
	if !known {
		return 0, false, false
	}
	if ahead.Abs() > MaxClockOffset && !c.cfg.guards.noClock {
		return ahead, true, true
	}
	c.agreed.Store(&agreement{now.skew(), ahead})
	return ahead, true, false
}

// clockJumped reports whether our wall clock has been put so far forward or back since it was compared that it may
// be wrong now. It asks nobody. The only voter is its own majority.
func (c *Cluster) clockJumped(now instant) bool {
	agreed := c.agreed.Load()
	if agreed == nil || c.cfg.guards.noClock || c.sole.Load() {
		return false
	}
	return (agreed.ahead + now.skew() - agreed.skew).Abs() > MaxClockOffset
}

// registryTime is our clock, for a command or to judge one by. It is looked at whenever it is used, and not only
// from time to time: what a clock that has jumped puts into a single entry, or refuses, cannot be undone.
//
// The error says that nothing was written and that trying again is safe: the clocks are compared meanwhile.
func (c *Cluster) registryTime() (registry.Millis, error) {
	now := c.instant()
	if c.clockJumped(now) {
		c.leaveOffice()
		return 0, errNoLeader
	}
	return registry.MillisOf(now.wall), nil
}

// keepTime has a leader whose clock is wrong leave its office. It waits for nothing, so that it is never late.
func (c *Cluster) keepTime() {
	c.every(clockEvery, func() {
		if c.raft.State() != raft.Leader {
			c.clockOff.Store(0) // who leads next is told by a comparison of its own
		}
		if c.inOffice() == nil {
			return
		}
		if _, _, wrong := c.clocksCompared(); wrong || c.clockJumped(c.instant()) {
			c.leaveOffice()
		}
	})
}

// leaveOffice has nothing proposed before lead has compared the clocks again.
func (c *Cluster) leaveOffice() {
	c.office.Store(nil)
	select {
	case c.compare <- struct{}{}:
	default: // it will find that it is not in office
	}
}

// clockError says why nothing is proposed.
func (c *Cluster) clockError(ahead time.Duration) error {
	return &registry.Error{Kind: registry.Unavailable, RetryAfter: retryAfter, Detail: fmt.Sprintf(
		"the clock of node %s is %s off the majority's: expected at most %s; it proposes nothing and hands leadership over",
		c.cfg.Name, ahead.Round(time.Millisecond), MaxClockOffset)}
}

// stepAside gives up the office of a node whose clock is wrong. Who calls it comes back as long as it leads; the
// others are told why nothing is written, then.
func (c *Cluster) stepAside(ahead time.Duration) {
	c.office.Store(nil)
	c.cfg.OnChange(c.clockError(ahead).Error())
	if c.handOver("") != nil {
		c.clockOff.Store(int64(ahead))
	}
}
