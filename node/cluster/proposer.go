package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// minBatchBytes is room for the largest command.
const minBatchBytes = registry.MaxOperation + 4<<10

// queueLength is how many commands wait for a batch before those who submit wait in line.
const queueLength = 4096

// proposer fills batches from many submitters and keeps several on their way. A batch goes out as soon
// as fewer than Config.Pipeline are under way; until then it fills, so that batches are small when there
// is little to do and large when there is much.
type proposer struct {
	c     *Cluster
	queue chan proposal
	slots chan struct{} // one taken by each batch under way
	fates sync.WaitGroup

	closing chan struct{} // closed: nothing more is accepted
	ended   chan struct{} // closed: nothing more is sent

	batches, commands atomic.Uint64
}

// proposal is a command on its way. It was checked in the tenure, and belongs to no other.
type proposal struct {
	command state.Command
	tenure  *tenure
	fate    chan<- fate // buffered: the proposer never waits for who asked
}

// fate is what became of a command: a result of Apply, or the error with which it went missing.
type fate struct {
	result state.Result
	err    error
}

func newProposer(c *Cluster) *proposer {
	return &proposer{
		c: c, queue: make(chan proposal, queueLength), slots: make(chan struct{}, c.cfg.Pipeline),
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
}

func (p *proposer) run() {
	defer close(p.ended)
	var next []proposal
	for {
		if len(next) == 0 {
			select {
			case first := <-p.queue:
				next = append(next, first)
			case <-p.closing:
				return
			}
		}
		select {
		case p.slots <- struct{}{}:
		case <-p.closing:
			tell(next, fate{err: errClosing})
			return
		}
		next = p.send(next)
	}
}

// send proposes carried and what is queued, up to the caps of a batch. It returns what was taken from the
// queue and did not fit.
func (p *proposer) send(carried []proposal) (rest []proposal) {
	batch, rest := p.fill(carried)
	t := p.c.inOffice()
	now, err := p.c.registryTime()
	if err != nil {
		<-p.slots
		tell(batch, fate{err: err})
		return rest
	}
	sent := make([]proposal, 0, len(batch))
	b := state.Batch{Time: now, Commands: make([]state.Command, 0, len(batch))}
	for _, pr := range batch {
		if t == nil || pr.tenure != t {
			pr.fate <- fate{err: errNoLeader}
			continue
		}
		sent = append(sent, pr)
		b.Commands = append(b.Commands, pr.command)
	}
	if len(sent) == 0 {
		<-p.slots
		return rest
	}
	_, _ = rand.Read(b.Seed[:]) // never fails
	data, err := b.Encode()
	if err != nil {
		<-p.slots
		tell(sent, fate{err: fmt.Errorf("encode a batch of %d commands: %w", len(sent), err)})
		return rest
	}
	p.batches.Add(1)
	p.commands.Add(uint64(len(sent)))
	f := p.c.raft.Apply(data, p.c.cfg.ProposeTimeout)
	p.fates.Go(func() { p.finish(sent, f) })
	return rest
}

func (p *proposer) fill(batch []proposal) (full, rest []proposal) {
	size := 0
	for i := range batch {
		size += batch[i].command.Size()
	}
	for len(batch) < p.c.cfg.BatchCommands {
		select {
		case pr := <-p.queue:
			if size += pr.command.Size(); size > p.c.cfg.BatchBytes {
				return batch, []proposal{pr}
			}
			batch = append(batch, pr)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// finish waits for the fate of one batch and tells it to those who wait.
func (p *proposer) finish(sent []proposal, f raft.ApplyFuture) {
	err := p.c.await(context.Background(), f)
	<-p.slots
	if err != nil {
		if errors.Is(err, raft.ErrLeadershipTransferInProgress) {
			p.c.transferring.Store(true)
		}
		tell(sent, fate{err: p.c.because(proposalError(err))})
		return
	}
	results, ok := f.Response().([]state.Result)
	if !ok || len(results) != len(sent) {
		tell(sent, fate{err: errStopped})
		return
	}
	for i, pr := range sent {
		pr.fate <- fate{result: results[i], err: results[i].Err}
	}
}

func tell(to []proposal, f fate) {
	for _, pr := range to {
		pr.fate <- f
	}
}

// close accepts nothing more and waits a moment for what is under way: until it can take every slot.
func (p *proposer) close() {
	close(p.closing)
	<-p.ended
	enough := time.After(p.c.cfg.ProposeTimeout)
	for range cap(p.slots) {
		select {
		case p.slots <- struct{}{}:
		case <-enough:
			return
		case <-p.c.done:
			return
		}
	}
}

func (c *Cluster) now() registry.Millis { return registry.MillisOf(c.cfg.Clock()) }

// because names the cause that the node knows of for an error that Raft cannot explain.
func (c *Cluster) because(err error) error {
	switch {
	case c.Err() != nil:
		return errStopped
	case c.log.full.Load(), c.st.DiskError() != nil:
		return errDisk
	case errors.Is(err, errNoLeader) && c.clockOff.Load() != 0 && c.raft.State() == raft.Leader: // else it says nothing of now
		return c.clockError(time.Duration(c.clockOff.Load()))
	}
	return err
}
