package nemesis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dcann/dcann/scripts/chaos/check"
	"github.com/dcann/dcann/scripts/chaos/fleet"
)

// Kind names a kind of fault.
type Kind string

// Config says whom to hurt, and how.
type Config struct {
	Fleet *fleet.Fleet
	Seed  uint64
	Kinds []Kind // those to choose from; Possible by default
	Log   *slog.Logger
	// Acknowledged is how many writes have been acknowledged so far.
	Acknowledged func() int
	Violation    func(check.Violation)
}

// Nemesis is all lanes. Make one with New; Run it once.
type Nemesis struct {
	config Config
	fleet  *fleet.Fleet
	claims *claims

	mu   sync.Mutex
	done map[Kind]int
}

// fault is one kind. strike breaks something, repairs it, and returns: nil, errSkipped if nothing was
// broken, or what is wrong with the harness.
type fault struct {
	kind   Kind
	needs  func(*fleet.Fleet) bool // nil: nothing
	strike func(context.Context, *lane) error
}

// lane strikes with one fault after the other. It belongs to one goroutine.
type lane struct {
	*Nemesis
	name        string
	least, most int
	random      *rand.Rand
	faults      []fault
}

// errSkipped is of a fault that found nothing to break, such as no leader.
var errSkipped = errors.New("skipped")

// Kinds are all kinds, in the order of the summary.
func Kinds() []Kind {
	var kinds []Kind
	for _, lane := range lanes {
		for _, f := range lane.faults {
			kinds = append(kinds, f.kind)
		}
	}
	return kinds
}

// Possible are the kinds that f has what they need for.
func Possible(f *fleet.Fleet) []Kind {
	var kinds []Kind
	for _, lane := range lanes {
		for _, fault := range lane.faults {
			if fault.needs == nil || fault.needs(f) {
				kinds = append(kinds, fault.kind)
			}
		}
	}
	return kinds
}

// New makes a nemesis.
func New(c Config) *Nemesis {
	if c.Kinds == nil {
		c.Kinds = Possible(c.Fleet)
	}
	return &Nemesis{config: c, fleet: c.Fleet, claims: newClaims(), done: map[Kind]int{}}
}

// Run strikes until ctx is done. What it broke is repaired when it returns, but nodes may still be starting.
func (n *Nemesis) Run(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(lanes))
	for i, plan := range lanes {
		l := &lane{Nemesis: n, name: plan.name, least: plan.least, most: plan.most, random: rand.New(rand.NewPCG(n.config.Seed, 1<<32+uint64(i)))}
		for _, f := range plan.faults {
			if slices.Contains(n.config.Kinds, f.kind) {
				l.faults = append(l.faults, f)
			}
		}
		if len(l.faults) > 0 {
			all.Go(func() { errs[i] = l.run(ctx) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// Done counts the faults so far.
func (n *Nemesis) Done() map[Kind]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	done := map[Kind]int{}
	for kind, times := range n.done {
		done[kind] = times
	}
	return done
}

func (l *lane) run(ctx context.Context) error {
	for {
		for _, i := range l.random.Perm(len(l.faults)) {
			f := l.faults[i]
			l.pause(ctx, l.least, l.most)
			if ctx.Err() != nil {
				return nil
			}
			began := time.Now()
			err := f.strike(ctx, l)
			switch {
			case errors.Is(err, errSkipped):
				l.config.Log.Info("skipped", "lane", l.name, "kind", f.kind)
				continue
			case err != nil:
				return fmt.Errorf("%s: %w", f.kind, err)
			}
			l.config.Log.Info("struck", "lane", l.name, "kind", f.kind, "took", time.Since(began).Round(time.Millisecond))
			l.mu.Lock()
			l.done[f.kind]++
			l.mu.Unlock()
		}
	}
}

// pause waits between so many milliseconds, or until ctx is done. The number is drawn in any case.
func (l *lane) pause(ctx context.Context, least, most int) {
	d := time.Duration(least+l.random.IntN(most-least+1)) * time.Millisecond
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// leader claims the node that leads now.
func (l *lane) leader(ctx context.Context) (*fleet.Node, error) {
	for range 10 {
		n, _ := l.fleet.Leader(ctx)
		if n == nil {
			l.pause(ctx, 50, 50)
			continue
		}
		if !l.claims.one(ctx, n) {
			return nil, errSkipped
		}
		if now, _ := l.fleet.Leader(ctx); now == n {
			return n, nil
		}
		l.claims.free(n) // it was deposed while we waited
	}
	return nil, errSkipped
}

// follower claims a voter that does not lead, replicas aside.
func (l *lane) follower(ctx context.Context) (*fleet.Node, error) {
	pick := l.random.IntN(fleet.Voters - 1)
	for range 10 {
		leader, _ := l.fleet.Leader(ctx)
		if leader == nil {
			l.pause(ctx, 50, 50)
			continue
		}
		n := l.others(leader)[pick]
		if !l.claims.one(ctx, n) {
			return nil, errSkipped
		}
		if now, _ := l.fleet.Leader(ctx); now != n {
			return n, nil
		}
		l.claims.free(n)
	}
	return nil, errSkipped
}

// others are the voters but n.
func (l *lane) others(n *fleet.Node) []*fleet.Node {
	return slices.DeleteFunc(slices.Clone(l.fleet.VoterNodes()), func(o *fleet.Node) bool { return o == n })
}

// patience is how long the registry may take to be well again after a fault was repaired, on a machine that
// is shared by four nodes, all clients and other lanes' faults, some of which strike the same node meanwhile: a
// slow disk, links that are cut, a leader who goes. That it is quicker is shown by the longest gap.
const patience = time.Minute

// recovered waits until a write is acknowledged again, and all of nodes are ready.
func (l *lane) recovered(ctx context.Context, after Kind, nodes ...*fleet.Node) {
	deadline := time.Now().Add(patience)
	before := l.config.Acknowledged()
	for ctx.Err() == nil {
		missing := ""
		if l.config.Acknowledged() == before {
			missing = "no write is acknowledged"
		}
		for _, n := range nodes {
			if !n.Ready(ctx) {
				missing = n.Name + " is not ready"
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			if ctx.Err() == nil {
				l.config.Violation(check.Violation{Kind: check.NoRecovery, Detail: fmt.Sprintf("%v after %s was repaired, %s", patience, after, missing)})
			}
			return
		}
		l.pause(ctx, 20, 20)
	}
}
