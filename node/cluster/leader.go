package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry/state"
)

// tenure is a term in which this node leads and has applied an entry of its own. Only then does its state
// hold everything that was committed before, so that its checks are not made against the past.
type tenure struct{ term uint64 }

// lead takes office whenever Raft makes this node leader, and again while Raft does and it is not in office: it may
// have stepped aside in vain.
func (c *Cluster) lead() {
	again := time.NewTicker(retryFull)
	defer again.Stop()
	for {
		select {
		case <-c.raft.LeaderCh():
		case <-again.C:
		case <-c.compare:
		case <-c.quit:
			return
		}
		if c.Err() == nil && c.raft.State() == raft.Leader && c.inOffice() == nil {
			c.takeOffice()
		}
	}
}

// takeOffice proposes an entry of our own and waits until it is applied. It is not a Raft barrier, because
// the state never sees a barrier: in a tenure, every later entry is one that moves the applied index, and
// so a commit index is always one that can be waited for.
func (c *Cluster) takeOffice() {
	term := c.raft.CurrentTerm()
	if !c.clocksAgree(term) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.ProposeTimeout)
	defer cancel()
	if _, err := c.appendTick(ctx); err != nil || c.raft.CurrentTerm() != term {
		return
	}
	c.office.Store(&tenure{term: term})
	c.settled.Store(true)
	c.sole.Store(soleVoter(c.members(), c.cfg.Name))
}

// clocksAgree waits until a majority has said what time it is, and reports whether it is ours
// (DESIGN 6, rule 5): a node whose clock is wrong hands over before it has proposed anything, and so does one to which
// no majority speaks.
func (c *Cluster) clocksAgree(term uint64) bool {
	began := time.Now()
	for c.raft.State() == raft.Leader && c.raft.CurrentTerm() == term {
		ahead, known, wrong := c.clocksCompared()
		if wrong {
			c.stepAside(ahead)
			return false
		}
		if known || c.cfg.guards.noClock {
			c.clockOff.Store(0)
			c.inVain = 0
			return true
		}
		if time.Since(began) > c.unheardFor() && !c.cfg.guards.noLetGo {
			c.letGo()
			return false
		}
		select {
		case <-time.After(tickEvery / 5):
		case <-c.quit:
			return false
		}
	}
	return false
}

// appendTick appends an entry that only does what is due, and returns its index when it is applied. It needs no
// tenure: what is due does not depend on who finds it so.
func (c *Cluster) appendTick(ctx context.Context) (index uint64, err error) {
	now, err := c.registryTime()
	if err != nil {
		return 0, err
	}
	b := state.Batch{Time: now, Commands: []state.Command{state.TickProposal().Command()}}
	_, _ = rand.Read(b.Seed[:])
	data, err := b.Encode()
	if err != nil {
		return 0, fmt.Errorf("encode a tick: %w", err)
	}
	f := c.raft.Apply(data, c.cfg.ProposeTimeout)
	if err := c.await(ctx, f); err != nil {
		if errors.Is(err, raft.ErrLeadershipTransferInProgress) {
			c.transferring.Store(true)
		}
		return 0, c.because(proposalError(err))
	}
	if _, ok := f.Response().([]state.Result); !ok {
		return 0, errStopped
	}
	return f.Index(), nil
}

// inOffice is the tenure under way, nil if this node must not propose. It is exact at some moment during
// the call and may be over right after; Raft refuses then.
func (c *Cluster) inOffice() *tenure {
	t := c.office.Load()
	if t == nil || c.raft.State() != raft.Leader || c.raft.CurrentTerm() != t.term {
		return nil
	}
	return t
}

// await waits for f, but no longer than ctx or the node lives: an enqueued future whose node is shut down
// may never be answered.
func (c *Cluster) await(ctx context.Context, f raft.Future) error {
	answer := make(chan error, 1)
	go func() { answer <- f.Error() }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.quit:
		return raft.ErrRaftShutdown
	}
}
