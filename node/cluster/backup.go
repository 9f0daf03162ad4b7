package cluster

import (
	"context"
	"time"

	"github.com/dcann/dcann/node/archive"
)

// Backup is a consistent copy of the state, to be read as an archive (node/archive) and closed. It holds all that
// was acknowledged before the call, on whichever node. It costs a flush and hard links; writes go on.
//
// A node that cannot confirm that it has all of that (nobody leads, it is cut off, it was removed) refuses: who restores
// such a copy loses what the others acknowledged, and finds out later. With stale it gives what it has, and
// the header's AsOf says so. The error's kind is Unavailable.
func (c *Cluster) Backup(ctx context.Context, stale bool) (*Checkpoint, error) {
	if c.place == nil {
		return nil, errNoInstall
	}
	done, err := c.use()
	if err != nil {
		return nil, err
	}
	defer done()
	h := archive.Header{Kind: "backup", Node: c.cfg.Name, Version: c.cfg.Version}
	if err := c.confirmWhole(ctx, stale); err != nil {
		if !stale && c.gone.Load() {
			return nil, unavailable("%v; for a backup ask a member, or this node for a stale one", c.removal())
		}
		if !stale {
			return nil, unavailable("this node cannot confirm that it has all that was acknowledged, and a backup of it may lack some: ask another, or for a stale one (--stale): %v", err)
		}
		h.AsOf = new(c.stateAsOf(time.Now()))
	}
	return openCheckpoint(c.st, c.place, h)
}

// confirmWhole returns nil when the state shows everything that was acknowledged before the call.
func (c *Cluster) confirmWhole(ctx context.Context, stale bool) error {
	if stale { // a stale backup is wanted most when nobody leads any more, and will not
		limited, cancel := context.WithTimeout(ctx, c.cfg.LeaderWait)
		defer cancel()
		ctx = limited
	}
	err := c.ReadIndex(ctx)
	if err != nil && c.sole.Load() && c.Err() == nil {
		return nil // it cannot write, for want of space perhaps, and nobody else can have acknowledged anything
	}
	return err
}

// stateAsOf is until when everything that was acknowledged is in the state for certain; zero: not known.
func (c *Cluster) stateAsOf(now time.Time) time.Time {
	age, known := c.Staleness()
	if !known {
		return time.Time{}
	}
	return now.Add(-age).UTC()
}
