package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// readRounds answers many readers at once: who comes while an index is being found waits for the next,
// since leadership must be confirmed after the request arrived (DESIGN 9).
type readRounds struct {
	kick chan struct{}

	mu   sync.Mutex
	next *readRound // not begun; nil if nobody waits
}

type readRound struct {
	done  chan struct{} // closed when index and err are set
	index uint64
	err   error
}

// ReadIndex returns when the state shows everything that was acknowledged, by any node, before the call. It
// works on every node: one that does not lead asks the one that does. The error's kind is Unavailable.
func (c *Cluster) ReadIndex(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ProposeTimeout)
	defer cancel()
	return c.patiently(ctx, func() error {
		if c.raft.State() == raft.Leader {
			return c.readHere(ctx)
		}
		return c.read(ctx, &c.asks)
	})
}

// readHere is ReadIndex on the node that leads, and an error elsewhere.
func (c *Cluster) readHere(ctx context.Context) error { return c.read(ctx, &c.reads) }

func (c *Cluster) read(ctx context.Context, rounds *readRounds) error {
	index, err := c.joinRound(ctx, rounds)
	if err != nil {
		return err
	}
	return c.WaitIndex(ctx, index)
}

func (c *Cluster) joinRound(ctx context.Context, rounds *readRounds) (uint64, error) {
	r := rounds.join()
	select {
	case <-r.done:
		return r.index, r.err
	case <-ctx.Done():
		return 0, unavailable("leadership was not confirmed in time")
	case <-c.quit:
		return 0, errClosing
	}
}

func (r *readRounds) join() *readRound {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &readRound{done: make(chan struct{})}
		select {
		case r.kick <- struct{}{}:
		default: // the loop has not taken the last kick yet and will find this round
		}
	}
	return r.next
}

func (r *readRounds) begin() *readRound {
	r.mu.Lock()
	defer r.mu.Unlock()
	round := r.next
	r.next = nil
	return round
}

// serveRounds finds the index of one round after the other.
func (c *Cluster) serveRounds(rounds *readRounds, find func(context.Context) (uint64, error)) {
	ctx, cancel := c.untilQuit()
	defer cancel()
	for {
		select {
		case <-rounds.kick:
		case <-c.quit:
			return
		}
		if r := rounds.begin(); r != nil {
			r.index, r.err = find(ctx)
			close(r.done)
		}
	}
}

// untilQuit is a context that ends with the node.
func (c *Cluster) untilQuit() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	forget := c.atQuit(cancel)
	return ctx, func() { forget(); cancel() }
}

// atQuit has f called when the node closes, unless forget is called before.
func (c *Cluster) atQuit(f func()) (forget func() bool) { return context.AfterFunc(c.living, f) }

// readIndex is the index up to which everything was committed at some moment after the call: the commit
// index, taken in a term in which this node has committed, and then a majority that knew of no newer term.
func (c *Cluster) readIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ProposeTimeout)
	defer cancel()
	t := c.inOffice()
	if t == nil {
		return 0, c.because(errNoLeader)
	}
	index := c.raft.CommitIndex()
	if err := c.confirm(ctx, t); err != nil {
		return 0, err
	}
	if c.inOffice() != t {
		return 0, c.because(errNoLeader)
	}
	return index, nil
}

// askLeader is readIndex on a node that does not lead.
func (c *Cluster) askLeader(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LeaderWait)
	defer cancel()
	leader := c.leader()
	if leader == "" || leader == c.cfg.Name {
		return 0, c.because(errNoLeader)
	}
	var answer readIndexReply
	if err := c.call(ctx, leader, methodReadIndex, none{}, &answer); err != nil {
		return 0, c.because(errNoLeader) // whatever it was, another leader may do better
	}
	return answer.Index, nil
}

type readIndexReply struct {
	Index uint64 `cbor:"1,keyasint"`
}

// onReadIndex answers a node that does not lead. Its question joins those of readers here.
func (c *Cluster) onReadIndex(ctx context.Context, _ none) (readIndexReply, error) {
	if c.inOffice() == nil {
		return readIndexReply{}, c.because(errNoLeader)
	}
	index, err := c.joinRound(ctx, &c.reads)
	return readIndexReply{Index: index}, err
}

// WaitIndex returns when the state shows the entry at index, so that a client reads what it wrote on any
// node. The error's kind is Unavailable.
func (c *Cluster) WaitIndex(ctx context.Context, index uint64) error {
	switch err := c.applied.wait(ctx, c.quit, index); {
	case err == nil || errors.Is(err, errClosing):
		return err
	case errors.Is(err, context.Canceled):
		return unavailable("the wait for index %d was given up", index)
	}
	return unavailable("this node has applied index %d: expected %d, which did not come in time", c.applied.load(), index)
}

// Bounded returns nil if the state shows everything that was acknowledged MaxContactAge ago. The only voter
// is right about its own state whether it can write or not, so that a full disk stops no reads. The
// error's kind is Unavailable.
func (c *Cluster) Bounded() error {
	if c.Err() != nil {
		return errStopped
	}
	age, known := c.Staleness()
	if known && age <= MaxContactAge {
		return nil
	}
	detail := fmt.Sprintf("this node has not heard from a leader yet: bounded reads want to be at most %s old", MaxContactAge)
	if known {
		detail = fmt.Sprintf("what this node shows may be %s old: bounded reads want it to be at most %s old", age.Round(100*time.Millisecond), MaxContactAge)
	}
	return &registry.Error{Kind: registry.Unavailable, Detail: detail, RetryAfter: retryAfter}
}

// WaitReady returns when Bounded would, or with the error of ctx or of a node that failed.
func (c *Cluster) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for c.Bounded() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return c.err
		case <-c.quit:
			return errClosing
		}
	}
	return nil
}
