package cluster

import (
	"sync/atomic"
	"time"
)

// doubt is whether this node still leads, after it stood still. What settles a doubt must have been asked after it
// was raised: it settles none that came later.
type doubt struct {
	raised, settled atomic.Uint64 // counts of pauses
}

func (d *doubt) raise()             { d.raised.Add(1) }
func (d *doubt) settle(upTo uint64) { d.settled.Store(upTo) }
func (d *doubt) open() bool         { return d.raised.Load() != d.settled.Load() }

// pauses notices that this process did not run for a while. It belongs to one goroutine.
type pauses struct{ last *instant }

// tick reports whether more than limit has passed since the last call.
func (p *pauses) tick(now instant, limit time.Duration) bool {
	last := p.last
	p.last = &now
	return last != nil && now.since(*last) > limit
}

// maxPause is how long this process may have stood still without a doubt about its lease.
func (c *Cluster) maxPause() time.Duration { return max(c.cfg.LeaseTimeout/2, 4*tickEvery) }

// pausedNow reports whether follow has not looked for so long that it may be about to notice a pause.
func (c *Cluster) pausedNow() bool {
	last := c.ticked.Load()
	return last == nil || c.instant().since(*last) > c.maxPause()
}
