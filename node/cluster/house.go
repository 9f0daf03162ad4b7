package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/dcann/dcann/registry/state"
)

// keepHouse makes the state durable from time to time, keeps the log short, and proposes what falls due.
func (c *Cluster) keepHouse() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	flushed := time.Now()
	for {
		select {
		case <-tick.C:
		case <-c.quit:
			return
		case <-c.done:
			return
		}
		if c.flushDue(flushed) {
			// A failed flush is tried again at the next tick; what it would have bounded is only the replay.
			pending := c.machine.unflushed.Load()
			if c.st.Flush() == nil {
				c.machine.unflushed.Add(-pending)
				flushed = time.Now()
			}
		}
		if held := c.log.size.retained(); held > c.cfg.TrailingBytes && (!c.machine.snaps.keepLog() || held > keptAtMost*c.cfg.TrailingBytes) {
			c.trim()
		}
		if t := c.inOffice(); t != nil && c.st.DueTick(c.now()) && c.writable(t) == nil {
			ctx, cancel := context.WithTimeout(context.Background(), c.cfg.ProposeTimeout)
			c.propose(ctx, t, state.TickProposal())
			cancel()
		}
	}
}

// keptAtMost is how many times Config.TrailingBytes the log may have while a checkpoint is being sent.
const keptAtMost = 8

func (c *Cluster) flushDue(last time.Time) bool {
	pending := c.machine.unflushed.Load()
	return pending >= c.cfg.FlushBytes || pending > 0 && time.Since(last) >= c.cfg.FlushInterval
}

// trim cuts the log well below its bound, so that it is not cut again at once. A failure is tried again at
// the next tick.
func (c *Cluster) trim() {
	c.compacting.Lock()
	defer c.compacting.Unlock()
	_ = c.cutLog(c.log.size.trailing(c.cfg.TrailingBytes * 3 / 4))
}

// cutLog has Raft snapshot, which flushes, and delete all but the last trailing entries. The caller holds
// compacting.
func (c *Cluster) cutLog(trailing uint64) error {
	rc := c.raft.ReloadableConfig()
	rc.TrailingLogs = max(trailing, 1)
	if err := c.raft.ReloadConfig(rc); err != nil {
		return err
	}
	f := c.raft.Snapshot()
	return c.await(context.Background(), f)
}

// watch gives up the node when a log write hangs while others could lead: Raft goes on sending heartbeats
// and nobody stands for election (DESIGN 9). The only voter has nobody to make room for; Ready tells.
func (c *Cluster) watch() {
	c.every(max(c.cfg.LogStall/4, 10*time.Millisecond), func() {
		if err := c.stalled(); err != nil && !c.cfg.guards.noStall && !soleVoter(c.raft.GetConfiguration().Configuration(), c.cfg.Name) {
			c.fail(err)
		}
	})
}

// every calls do again and again until the node closes.
func (c *Cluster) every(pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-c.quit:
			return
		}
	}
}

// stalled says that the log write under way takes too long; nil if it does not.
func (c *Cluster) stalled() error {
	if d := c.log.stalled(); d > c.cfg.LogStall {
		return fmt.Errorf("a write to the Raft log has taken %s so far: expected less than %s", d.Round(time.Millisecond), c.cfg.LogStall)
	}
	return nil
}
