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
	probes sync.WaitGroup
}

// New makes the clients; nothing is sent yet.
func New(c Config) *Load {
	l := &Load{config: c, caller: newCaller(c.Nodes, c.Start), pace: newPace(c.Rate)}
	for i := range c.Desks {
		l.desks = append(l.desks, &desk{load: l, first: i * (clientsPerDesk + probesPerDesk), probes: make(chan struct{}, probesPerDesk)})
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
	n := 0
	for _, d := range l.desks {
		for i := range clientsPerDesk {
			c := &client{desk: d, number: d.first + i, random: rand.New(rand.NewPCG(l.config.Seed, uint64(d.first+i)))}
			err := &errs[n]
			n++
			all.Go(func() { *err = c.run(ctx) })
		}
	}
	all.Wait()
	l.probes.Wait()
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

// crowded is how many calls a node may owe an answer to before most clients look for another one.
const crowded = 12

// node picks any node, but seldom one that answers nobody: else all clients would soon wait for that one.
func (l *Load) node(r *rand.Rand) Node {
	n := l.config.Nodes[r.IntN(len(l.config.Nodes))]
	if l.caller.waiting(n) > crowded && r.IntN(5) > 0 {
		n = l.config.Nodes[r.IntN(len(l.config.Nodes))]
	}
	return n
}

// slowest picks the node that owes the most answers, or any.
func (l *Load) slowest(r *rand.Rand) Node {
	n := l.config.Nodes[r.IntN(len(l.config.Nodes))]
	if r.IntN(4) == 0 {
		return n
	}
	for _, other := range l.config.Nodes {
		if l.caller.waiting(other) > l.caller.waiting(n) {
			n = other
		}
	}
	return n
}

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
