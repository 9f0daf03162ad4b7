package nemesis

import (
	"context"
	"errors"

	"github.com/dcann/dcann/scripts/chaos/fleet"
)

// cable is one direction between two nodes.
type cable struct{ from, to *fleet.Node }

// partition takes a voter from the others: the leader three times of four. Clients still reach it.
func partition(ctx context.Context, l *lane) error {
	claim := l.leader
	if l.random.IntN(4) == 0 {
		claim = l.follower
	}
	n, err := claim(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	var cables []cable
	for _, other := range l.fleet.Nodes() {
		if other != n {
			cables = append(cables, cable{n, other}, cable{other, n})
		}
	}
	return l.cut(ctx, Partition, cables, 1000, 2000)
}

// oneWay loses what the leader sends, or what is sent to it, from one or from all others; or what a follower
// sends to the leader.
func oneWay(ctx context.Context, l *lane) error {
	shape := l.random.IntN(4)
	n, err := l.leader(ctx)
	if err != nil {
		return err
	}
	defer l.claims.free(n)
	var cables []cable
	for _, other := range l.fleet.Nodes() {
		if other == n || shape >= 2 && len(cables) > 0 {
			continue
		}
		if shape%2 == 0 {
			cables = append(cables, cable{n, other})
		} else {
			cables = append(cables, cable{other, n})
		}
	}
	return l.cut(ctx, OneWay, cables, 800, 1800)
}

func (l *lane) cut(ctx context.Context, kind Kind, cables []cable, least, most int) (err error) {
	repaired := false
	repair := func() error {
		if repaired {
			return nil
		}
		repaired = true
		var errs []error
		for _, c := range cables {
			errs = append(errs, l.fleet.Mend(c.from, c.to))
		}
		return errors.Join(errs...)
	}
	defer func() { err = errors.Join(err, repair()) }()
	for _, c := range cables {
		l.config.Log.Info("cut", "from", c.from.Name, "to", c.to.Name)
		if err := l.fleet.Cut(c.from, c.to); err != nil {
			return err
		}
	}
	l.pause(ctx, least, most)
	if err := repair(); err != nil {
		return err
	}
	l.recovered(ctx, kind)
	return nil
}
