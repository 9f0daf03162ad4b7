package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
	"github.com/dcann/dcann/scripts/chaos/check"
)

// How long a passport is worked on. A history much longer takes porcupine long.
const (
	clientsPerDesk = 3
	probesPerDesk  = 4 // reads under way that no client waits for
	maxEvents      = 45
	maxAge         = 12 * time.Second
)

// How long a client waits. A read waits longer than a leader is frozen, so that it is among the first that
// this one answers when it comes back.
const (
	writePatience = 4 * time.Second
	readPatience  = 6 * time.Second
)

// file is the passport that a desk works on, and all that was recorded of it.
type file struct {
	holder *holder
	began  time.Duration

	mu     sync.Mutex
	busy   int // clients at work on it
	closed bool
	events []check.Event
	// head and seq are the newest that any client has heard of; seq of the create is 0.
	exists bool
	head   registry.OpID
	seq    uint64
	sent   []*registry.Operation // every one that was submitted, the create first
}

// desk is some clients that fight over one passport at a time.
type desk struct {
	load   *Load
	first  int           // number of its first client; those of its probes follow on its clients'
	probes chan struct{} // holds one for each probe under way

	mu      sync.Mutex
	current *file
}

// take gives a client the current passport, or a new one if that is used up. Each take needs one leave.
func (d *desk) take() (*file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.current; f != nil {
		if f.enter(d.load.caller.now()) {
			return f, nil
		}
		if s := f.close(); s != nil {
			d.load.config.Done(s)
		}
	}
	h, err := newHolder(d.load.config.Country)
	if err != nil {
		return nil, err
	}
	d.current = &file{holder: h, began: d.load.caller.now(), busy: 1, sent: []*registry.Operation{h.create}}
	return d.current, nil
}

func (f *file) enter(now time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.events) >= maxEvents || now-f.began > maxAge {
		return false
	}
	f.busy++
	return true
}

// leave takes in what a client saw. It returns the subject when that was the last call about it and it is
// closed.
func (f *file) leave(e *check.Event) *check.Subject {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e != nil {
		f.events = append(f.events, *e)
		f.learn(e)
	}
	f.busy--
	if !f.closed || f.busy > 0 {
		return nil
	}
	return &check.Subject{ID: f.holder.create.ID, Events: f.events}
}

func (f *file) learn(e *check.Event) {
	head := e.Head
	if e.Action == check.Submit {
		head = e.Op
	}
	if e.Outcome == check.OK && (!f.exists || e.Seq > f.seq) {
		f.exists, f.head, f.seq = true, head, e.Seq
	}
}

// close lets nobody in any more. It returns the subject if no call about it is under way; else leave does.
func (f *file) close() *check.Subject {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.busy > 0 || len(f.events) == 0 {
		return nil
	}
	return &check.Subject{ID: f.holder.create.ID, Events: f.events}
}

// client is one of a desk. It belongs to one goroutine.
type client struct {
	desk   *desk
	number int
	random *rand.Rand
	// index is the highest Dcann-Index of the client's own writes: what its careful reads wait for.
	index uint64
	// pending is an operation of the file whose outcome it does not know.
	pending *registry.Operation
	of      *file
}

// run makes calls until ctx is done.
func (c *client) run(ctx context.Context) error {
	l := c.desk.load
	for l.pace.wait(ctx) {
		f, err := c.desk.take()
		if err != nil {
			return err
		}
		if c.of != f {
			c.of, c.pending = f, nil
		}
		e := &check.Event{Client: c.number}
		err = c.act(ctx, f, e)
		var broken *brokenAnswer
		switch {
		case errors.Is(err, errNotSent):
			e = nil
			l.count.add(&l.count.notSent)
		case errors.As(err, &broken):
			l.config.Violation(check.Violation{Kind: check.Broken, ID: f.holder.create.ID, Detail: broken.detail})
		case err != nil:
			return err
		}
		acknowledged := e != nil && e.Action == check.Submit && e.Outcome == check.OK
		if acknowledged && c.random.IntN(100) < 70 {
			c.probe(f)
		}
		c.desk.leave(f, e)
	}
	return nil
}

func (d *desk) leave(f *file, e *check.Event) {
	if e != nil {
		d.load.count.event(e)
	}
	if s := f.leave(e); s != nil {
		d.load.config.Done(s)
	}
}

// probe asks for what was just written at a node that is slow to answer others, if there is one. It may be a
// leader that was frozen, or cut off, and does not know yet that somebody else was elected. The client goes
// on meanwhile, so that there is something for that node to be wrong about. The client has taken f.
func (c *client) probe(f *file) {
	d := c.desk
	select {
	case d.probes <- struct{}{}:
	default:
		return
	}
	f.mu.Lock()
	f.busy++
	f.mu.Unlock()
	n := d.load.slowest(c.random)
	number := d.first + clientsPerDesk + c.random.IntN(probesPerDesk)
	d.load.probes.Go(func() {
		defer func() { <-d.probes }()
		ctx, cancel := context.WithTimeout(context.Background(), readPatience)
		defer cancel()
		e := &check.Event{Client: number}
		err := d.load.caller.read(ctx, n, f.holder.create.ID, wire.Linearizable, 0, e)
		var broken *brokenAnswer
		switch {
		case errors.Is(err, errNotSent):
			e = nil
			d.load.count.add(&d.load.count.notSent)
		case errors.As(err, &broken):
			d.load.config.Violation(check.Violation{Kind: check.Broken, ID: f.holder.create.ID, Detail: broken.detail})
		}
		d.leave(f, e)
	})
}

// act makes one call of a kind that chance picks.
func (c *client) act(ctx context.Context, f *file, e *check.Event) error {
	l := c.desk.load
	n := l.node(c.random)
	f.mu.Lock()
	exists, head, seq := f.exists, f.head, f.seq
	again := f.sent[c.random.IntN(len(f.sent))]
	f.mu.Unlock()

	dice := c.random.IntN(100)
	switch {
	case c.pending != nil && dice < 60: // what became of it?
		return c.submit(ctx, n, c.pending, e)
	case !exists && dice < 70:
		return c.submit(ctx, n, f.holder.create, e)
	case exists && dice < 40 && seq+1 < MaxOperations:
		op, err := f.holder.update(head, seq)
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.sent = append(f.sent, op)
		f.mu.Unlock()
		return c.submit(ctx, n, op, e)
	case dice < 45:
		return c.submit(ctx, n, again, e)
	}
	return c.read(ctx, n, f, e)
}

func (c *client) submit(ctx context.Context, n Node, op *registry.Operation, e *check.Event) error {
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	err := c.desk.load.caller.submit(ctx, n, op, e)
	switch {
	case err != nil || e.Outcome == check.Unknown:
		c.pending = op
	case e.Outcome == check.OK:
		c.index = max(c.index, e.Index)
		fallthrough
	default:
		c.pending = nil
	}
	return err
}

func (c *client) read(ctx context.Context, n Node, f *file, e *check.Event) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	level, index := wire.Linearizable, uint64(0)
	switch dice := c.random.IntN(100); {
	case dice < 55:
	case dice < 70:
		level = wire.Bounded
	case dice < 80:
		level = wire.Stale
	case dice < 90:
		level, index = wire.Bounded, c.index
	default:
		level, index = wire.Stale, c.index
	}
	return c.desk.load.caller.read(ctx, n, f.holder.create.ID, level, index, e)
}
