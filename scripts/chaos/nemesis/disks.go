package nemesis

import (
	"context"
	"errors"
	"time"

	"github.com/dcann/dcann/scripts/chaos/fleet"
)

// fullDisk leaves less than a node wants, or nothing at all.
func fullDisk(ctx context.Context, l *lane) (err error) {
	left := int64(0)
	if l.random.IntN(2) == 0 {
		left = fleet.MinFree * 3 / 4
	}
	n := l.fleet.Nodes()[l.random.IntN(fleet.Voters+1)]
	if claimed := l.claims.voter(); claimed != nil && !n.Replica {
		n = claimed // misfortunes do not come alone, and it saves waiting
	}
	if !l.claims.one(ctx, n) {
		return errSkipped
	}
	defer l.claims.free(n)
	l.config.Log.Info("full disk", "node", n.Name, "left", left)
	defer func() { err = errors.Join(err, n.FreeDisk()) }()
	if err := n.FillDisk(left); err != nil {
		return err
	}
	l.pause(ctx, 500, 1200)
	if err := n.FreeDisk(); err != nil {
		return err
	}
	l.recovered(ctx, FullDisk, n)
	return nil
}

// A write to a slow disk takes as long as the disk happens to be frozen. Once in stallOneIn times it is so
// long that the leader must give up (the default of cluster.Config.LogStall is 10 s).
const (
	stallOneIn = 40
	stall      = 12 * time.Second
)

func slowDisk(ctx context.Context, l *lane) (err error) {
	stalls := l.random.IntN(stallOneIn) == 0
	n := l.fleet.Nodes()[l.random.IntN(fleet.Voters+1)]
	defer func() { err = errors.Join(err, n.ThawDisk()) }()
	if stalls {
		if !l.claims.one(ctx, n) {
			return errSkipped
		}
		defer l.claims.free(n)
		l.config.Log.Info("stalled disk", "node", n.Name)
		if err := n.FreezeDisk(); err != nil {
			return err
		}
		l.pause(ctx, int(stall/time.Millisecond), int(stall/time.Millisecond))
		if err := n.ThawDisk(); err != nil {
			return err
		}
		l.recovered(ctx, SlowDisk, n)
		return nil
	}
	l.config.Log.Info("slow disk", "node", n.Name)
	for range 4 + l.random.IntN(5) {
		if err := n.FreezeDisk(); err != nil {
			return err
		}
		l.pause(ctx, 40, 250)
		if err := n.ThawDisk(); err != nil {
			return err
		}
		l.pause(ctx, 5, 40)
	}
	return nil
}
