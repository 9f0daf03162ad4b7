package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// readRounds confirms leadership for many readers at once: who comes while a confirmation is under way
// waits for the next, since leadership must be confirmed after the request arrived (DESIGN 9).
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

// ReadIndex returns when the state shows everything that was acknowledged, by any node, before the call.
// Only a leader can confirm it. The error's kind is Unavailable.
func (c *Cluster) ReadIndex(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ProposeTimeout)
	defer cancel()
	r := c.reads.join()
	select {
	case <-r.done:
	case <-ctx.Done():
		return unavailable("leadership was not confirmed in time")
	case <-c.quit:
		return errClosing
	}
	if r.err != nil {
		return r.err
	}
	return c.WaitIndex(ctx, r.index)
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

func (c *Cluster) confirmReads() {
	for {
		select {
		case <-c.reads.kick:
		case <-c.quit:
			return
		}
		if r := c.reads.begin(); r != nil {
			r.index, r.err = c.readIndex()
			close(r.done)
		}
	}
}

// readIndex is the index up to which everything was committed when leadership was confirmed.
//
// A confirmation that took longer than the lease proves nothing and is made again: a leader that was
// stopped meanwhile may have counted answers from before. That a stopped leader finds such answers when
// it resumes, and only then is asked, is the pause detector's to catch, which comes with several voters.
func (c *Cluster) readIndex() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.ProposeTimeout)
	defer cancel()
	for ctx.Err() == nil {
		began := time.Now()
		t := c.inOffice()
		if t == nil {
			return 0, c.because(errNoLeader)
		}
		index := c.raft.CommitIndex()
		if err := c.await(ctx, c.raft.VerifyLeader()); err != nil || c.inOffice() != t {
			return 0, c.because(errNoLeader)
		}
		members := c.raft.GetConfiguration().Configuration()
		if time.Since(began) < c.cfg.LeaseTimeout || soleVoter(members, c.cfg.Name) {
			return index, nil
		}
	}
	return 0, unavailable("leadership was not confirmed in time")
}

// WaitIndex returns when the state shows the entry at index, so that a client reads what it wrote on any
// node. The error's kind is Unavailable.
func (c *Cluster) WaitIndex(ctx context.Context, index uint64) error {
	switch err := c.applied.wait(ctx, index); {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return unavailable("the wait for index %d was given up", index)
	}
	return unavailable("this node has applied index %d: expected %d, which did not come in time", c.applied.load(), index)
}

// Bounded returns nil if this node heard from the leader at most MaxContactAge ago, or leads. The only
// voter is right about its own state whether it can write or not, so that a full disk stops no reads. The
// error's kind is Unavailable.
func (c *Cluster) Bounded() error {
	if c.Err() != nil {
		return errStopped
	}
	if c.inOffice() != nil {
		return nil
	}
	if c.settled.Load() && soleVoter(c.raft.GetConfiguration().Configuration(), c.cfg.Name) {
		return nil
	}
	if c.raft.State() == raft.Follower {
		if last := c.raft.LastContact(); !last.IsZero() && time.Since(last) <= MaxContactAge {
			return nil
		}
	}
	return &registry.Error{Kind: registry.Unavailable, Detail: "this node has not heard from the leader for longer than 5 s", RetryAfter: retryAfter}
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
