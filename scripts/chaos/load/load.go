package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/scripts/chaos/check"
)

// Config says what to do to whom.
type Config struct {
	Country registry.Country
	Nodes   []Node
	// Desks is how many passports are worked on at a time, Rate how many calls are begun a second in all.
	Desks int
	Rate  float64
	Seed  uint64
	Start time.Time // what the times of events count from

	// Done is given every passport that no call is about any more, Violation what is wrong with a single
	// answer. Both may be called by many goroutines at once.
	Done      func(*check.Subject)
	Violation func(check.Violation)
}

// Load is all clients. Make one with New; Run it once.
type Load struct {
	config Config
	caller *caller
	pace   *pace
	count  counts
	desks  []*desk
}

// New makes the clients; nothing is sent yet.
func New(c Config) *Load {
	l := &Load{config: c, caller: newCaller(c.Start), pace: newPace(c.Rate)}
	for i := range c.Desks {
		l.desks = append(l.desks, &desk{load: l, first: i * clientsPerDesk})
	}
	return l
}

// Run lets the clients work until ctx is done, hands over the passports that are left and returns when all
// calls have ended.
func (l *Load) Run(ctx context.Context) error {
	pacing, stop := context.WithCancel(context.Background())
	var paced sync.WaitGroup
	paced.Go(func() { l.pace.run(pacing) })
	var all sync.WaitGroup
	errs := make([]error, len(l.desks)*clientsPerDesk)
	for _, d := range l.desks {
		for i := range clientsPerDesk {
			n := d.first + i
			c := &client{desk: d, number: n, random: rand.New(rand.NewPCG(l.config.Seed, uint64(n)))}
			all.Go(func() { errs[n] = c.run(ctx) })
		}
	}
	all.Wait()
	stop()
	paced.Wait()
	for _, d := range l.desks {
		if d.current == nil {
			continue
		}
		if s := d.current.close(); s != nil {
			l.config.Done(s)
		}
	}
	return errors.Join(errs...)
}

// Counts is what the clients have done so far.
func (l *Load) Counts() Counts { return l.count.snapshot() }

// node picks any node.
func (l *Load) node(r *rand.Rand) Node { return l.config.Nodes[r.IntN(len(l.config.Nodes))] }

// pace lets calls begin at a steady rate. What nobody took for a while is lost, so that a stall is not
// followed by a flood.
type pace struct {
	every  time.Duration
	permit chan struct{}
}

func newPace(rate float64) *pace {
	return &pace{every: time.Duration(float64(time.Second) / rate), permit: make(chan struct{}, 8)}
}

func (p *pace) run(ctx context.Context) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case p.permit <- struct{}{}:
		default:
		}
	}
}

// wait reports false when ctx is done.
func (p *pace) wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-p.permit:
		return ctx.Err() == nil
	}
}
