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
// ours included; not known before a majority was heard from.
func (c *Cluster) clockOffset() (ahead time.Duration, known bool) {
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
		} else if h, ok := reports[string(s.ID)]; ok && time.Since(h.at) <= clockReportAge {
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

// clockWrong notes and reports whether our clock must not make registry time.
func (c *Cluster) clockWrong() bool {
	ahead, known := c.clockOffset()
	if !known || c.cfg.guards.noClock || ahead.Abs() <= MaxClockOffset {
		c.clockOff.Store(0)
		return false
	}
	c.clockOff.Store(int64(ahead))
	return true
}

// errClock says why nothing is proposed.
func (c *Cluster) errClock() error {
	return &registry.Error{Kind: registry.Unavailable, RetryAfter: retryAfter, Detail: fmt.Sprintf(
		"the clock of node %s is %s off the majority's: expected at most %s; it proposes nothing and hands leadership over",
		c.cfg.Name, time.Duration(c.clockOff.Load()).Round(time.Millisecond), MaxClockOffset)}
}

// stepAside gives up the office of a node whose clock is wrong. Who calls it comes back as long as it leads.
func (c *Cluster) stepAside() {
	c.office.Store(nil)
	_ = c.handOver("")
}
