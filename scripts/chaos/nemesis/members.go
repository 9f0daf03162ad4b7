package nemesis

import (
	"context"
	"errors"
	"time"

	"github.com/dcann/dcann/scripts/chaos/check"
	"github.com/dcann/dcann/scripts/chaos/fleet"
)

// members takes the replica out of the registry and joins it again with nothing, every fourth time a voter.
func members(ctx context.Context, l *lane) error {
	n := l.fleet.Replica()
	if l.random.IntN(4) == 0 {
		var err error
		if n, err = l.follower(ctx); err != nil {
			return err
		}
	} else if !l.claims.one(ctx, n) {
		return errSkipped
	}
	defer l.claims.free(n)
	l.config.Log.Info("remove", "node", n.Name)
	if !l.insist(always(ctx), func(ctx context.Context, leader *fleet.Node) error { return remove(ctx, leader, n) }) {
		l.config.Violation(check.Violation{Kind: check.NoRecovery, Detail: n.Name + " cannot be removed"})
		return nil
	}
	if err := n.Wipe(); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	if !l.insist(always(ctx), func(ctx context.Context, leader *fleet.Node) error { return leader.Join(ctx, n) }) {
		l.config.Violation(check.Violation{Kind: check.NoRecovery, Detail: n.Name + " was removed and wiped, and cannot join again"})
		return nil
	}
	l.recovered(ctx, Members, n)
	return nil
}

// diskLost is over when the node votes again: until then one more loss would be that of a majority.
func diskLost(ctx context.Context, l *lane) error {
	n, err := l.follower(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	l.config.Log.Info("disk lost", "node", n.Name)
	if err := n.Wipe(); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	l.recovered(ctx, DiskLost, n) // first: before it was let in, the leader may still count it as a voter
	if !l.insist(always(ctx), func(ctx context.Context, leader *fleet.Node) error { return votes(ctx, leader, n) }) {
		l.config.Violation(check.Violation{Kind: check.NoRecovery, Detail: n.Name + " lost its disk, and does not get its vote back"})
	}
	return nil
}

// votes is nil when n has its vote and has caught up, as the leader sees it.
func votes(ctx context.Context, leader, n *fleet.Node) error {
	o, err := leader.Overview(ctx)
	if err != nil {
		return err
	}
	for _, member := range o.Nodes {
		if member.Name == n.Name && member.Voter && member.Healthy && o.Leader != "" {
			return nil
		}
	}
	return errNotYet
}

var errNotYet = errors.New("it does not vote yet")

// remove is done when n is not among the members, whoever did it: the answer to an earlier call may have been
// lost.
func remove(ctx context.Context, leader, n *fleet.Node) error {
	failed := leader.Remove(ctx, n)
	if failed == nil {
		return nil
	}
	o, err := leader.Overview(ctx)
	if err != nil || o.Leader != leader.Name {
		return failed
	}
	for _, member := range o.Nodes {
		if member.Name == n.Name {
			return failed
		}
	}
	return nil
}

func transfer(ctx context.Context, l *lane) error {
	pick := l.random.IntN(fleet.Voters)
	leader, _ := l.fleet.Leader(ctx)
	if leader == nil {
		return errSkipped
	}
	var to *fleet.Node // any
	if pick < fleet.Voters-1 {
		to = l.others(leader)[pick]
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := leader.Transfer(ctx, to); err != nil {
		l.config.Log.Info("not transferred", "error", err)
		return errSkipped
	}
	return nil
}

// insist asks whoever leads, again and again, as an operator would while things fail around them.
func (l *lane) insist(ctx context.Context, what func(context.Context, *fleet.Node) error) bool {
	for deadline := time.Now().Add(patience); ctx.Err() == nil && time.Now().Before(deadline); l.pause(ctx, 100, 100) {
		leader, _ := l.fleet.Leader(ctx)
		if leader == nil {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := what(ask, leader)
		cancel()
		if err == nil {
			return true
		}
		l.config.Log.Info("refused", "leader", leader.Name, "error", err)
	}
	return false
}
