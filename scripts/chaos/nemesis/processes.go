package nemesis

import (
	"context"
	"errors"
	"sync"

	"github.com/dcann/dcann/scripts/chaos/fleet"
)

func killLeader(ctx context.Context, l *lane) error {
	n, err := l.leader(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	return l.kill(ctx, KillLeader, n)
}

func killFollower(ctx context.Context, l *lane) error {
	n, err := l.follower(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	return l.kill(ctx, KillFollower, n)
}

// kill is followed by a start at once, or after the others have noticed.
func (l *lane) kill(ctx context.Context, kind Kind, n *fleet.Node) error {
	l.config.Log.Info("kill", "node", n.Name)
	if !n.Kill() {
		return errors.Join(errSkipped, n.Start())
	}
	l.pause(ctx, 0, 300)
	if err := n.Start(); err != nil {
		return err
	}
	l.recovered(ctx, kind, n)
	return nil
}

func stopLeader(ctx context.Context, l *lane) error {
	n, err := l.leader(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	return l.freeze(ctx, StopLeader, n, 1200, 2400)
}

func stopFollower(ctx context.Context, l *lane) error {
	if l.random.IntN(4) == 0 {
		return l.freeze(ctx, StopFollower, l.fleet.Replica(), 300, 1200)
	}
	n, err := l.follower(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	return l.freeze(ctx, StopFollower, n, 300, 1200)
}

func (l *lane) freeze(ctx context.Context, kind Kind, n *fleet.Node, least, most int) error {
	l.config.Log.Info("freeze", "node", n.Name)
	defer n.Continue()
	if !n.Freeze() {
		return errSkipped
	}
	l.pause(ctx, least, most)
	n.Continue()
	l.recovered(ctx, kind)
	return nil
}

// powerCut strikes the leader every other time.
func powerCut(ctx context.Context, l *lane) error {
	claim := l.follower
	if l.random.IntN(2) == 0 {
		claim = l.leader
	}
	n, err := claim(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	l.config.Log.Info("power cut", "node", n.Name)
	if err := n.PowerCut(); err != nil {
		return err
	}
	l.pause(ctx, 0, 300)
	if err := n.Start(); err != nil {
		return err
	}
	l.recovered(ctx, PowerCut, n)
	return nil
}

func restartAll(ctx context.Context, l *lane) error {
	cut := l.random.IntN(2) == 0 && l.fleet.HasDisks()
	if !l.claims.everyone(ctx) {
		return errSkipped
	}
	defer l.claims.free(nil)
	l.config.Log.Info("restart all", "power_cut", cut)
	nodes := l.fleet.Nodes()
	errs := make([]error, len(nodes))
	// Together as far as that goes: all are dead before the first has noticed.
	var down sync.WaitGroup
	for _, n := range nodes {
		down.Go(func() { n.Kill() })
	}
	down.Wait()
	for i, n := range nodes {
		if cut {
			errs[i] = n.PowerCut()
		}
		errs[i] = errors.Join(errs[i], n.Start())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l.recovered(ctx, RestartAll, nodes...)
	return nil
}
