package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

func (c *Cluster) transfer(to string) error {
	if to == "" || to == c.cfg.Name {
		if to != "" {
			return nil
		}
		return c.handOver("")
	}
	for _, s := range c.members().Servers {
		if s.ID == raft.ServerID(to) && s.Suffrage == raft.Voter {
			return c.handOver(to)
		}
	}
	return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("node %s is no voter of this cluster: expected one that is, to lead it", to)}
}

// handOver makes another node lead: the named one, or whichever Raft chooses.
func (c *Cluster) handOver(to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*c.cfg.HeartbeatTimeout)
	defer cancel()
	f := c.raft.LeadershipTransfer
	if to != "" {
		address, _ := c.addressOf(to)
		f = func() raft.Future {
			return c.raft.LeadershipTransferToServer(raft.ServerID(to), raft.ServerAddress(address))
		}
	}
	if err := c.await(ctx, f()); err != nil {
		c.transferring.Store(true) // perhaps it still is: watchTransfers finds out
		return unavailable("leadership was not handed over: %v; node %s leads on", err, c.cfg.Name)
	}
	return nil
}

// watchTransfers gives the node up when Raft refuses writes because of a leadership transfer that does not
// end: a known defect when the transfer is interrupted (DESIGN 9). It has no other remedy than a restart. Once
// a write was refused Raft is asked again and again, since writes may be rare.
func (c *Cluster) watchTransfers() {
	tick := time.NewTicker(c.cfg.HeartbeatTimeout)
	defer tick.Stop()
	var since time.Time
	for {
		select {
		case <-tick.C:
		case <-c.quit:
			return
		}
		if !since.IsZero() && !c.transferring.Load() && c.inOffice() != nil {
			ctx, cancel := context.WithTimeout(context.Background(), c.cfg.HeartbeatTimeout)
			_, _ = c.appendTick(ctx)
			cancel()
		}
		if !c.transferring.Swap(false) || c.raft.State() != raft.Leader {
			since = time.Time{}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if stuck := time.Since(since); stuck > transferStall*c.cfg.HeartbeatTimeout && !c.cfg.guards.noTransferWatch {
			c.fail(fmt.Errorf("a leadership transfer has not ended for %s, and Raft refuses writes meanwhile: the node must be started anew", stuck.Round(time.Millisecond)))
			return
		}
	}
}

// transferStall is after how many election time-outs a leadership transfer hangs: Raft gives it one.
const transferStall = 6
