package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// SubmitOperation has op accepted and applied, and returns what it did; a known one returns its first
// result. The Result's Err is nil whenever the error is nil. On a node that does not lead, the original
// bytes go to the one that does, once (DESIGN 2).
//
// A refusal that depends on state is given only by Apply or after it was confirmed that the node which
// gives it leads and has applied all that was acknowledged before the call, so that it is never false. The
// error has a registry kind. Unavailable means that nothing is known to be written, and that trying
// again, here or at another node, is safe; Error.RetryAfter says when.
func (c *Cluster) SubmitOperation(ctx context.Context, op *registry.Operation) (state.Result, error) {
	return c.submit(ctx, c.operation(op))
}

// SubmitStatus is SubmitOperation for a registry's word about an organisation.
func (c *Cluster) SubmitStatus(ctx context.Context, s *registry.StatusStatement) (state.Result, error) {
	return c.submit(ctx, c.status(s))
}

// SubmitAcceptance is SubmitOperation for a provider's word about a strand.
func (c *Cluster) SubmitAcceptance(ctx context.Context, a *registry.Acceptance) (state.Result, error) {
	return c.submit(ctx, c.acceptance(a))
}

// SubmitPolicy is SubmitOperation for a signed policy.
func (c *Cluster) SubmitPolicy(ctx context.Context, raw []byte) (state.Result, error) {
	return c.submit(ctx, c.policy(raw))
}

// SubmitLevel raises the level of commands that may be proposed (DESIGN 8).
func (c *Cluster) SubmitLevel(ctx context.Context, level uint32) (state.Result, error) {
	return c.submit(ctx, c.level(level))
}

// submission is something to write: how a leader checks it, and what another node sends to one.
type submission struct {
	kind  state.CommandType
	bytes func() []byte // as received
	check check
}

type check func(now registry.Millis) (state.Proposal, *state.Result, error)

func (c *Cluster) operation(op *registry.Operation) submission {
	return submission{state.OperationCommand, op.Bytes, func(now registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckOperation(op, now)
	}}
}

func (c *Cluster) status(s *registry.StatusStatement) submission {
	bytes := func() []byte { return []byte(s.Message().Compact()) }
	return submission{state.StatusCommand, bytes, func(now registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckStatus(s, now)
	}}
}

func (c *Cluster) acceptance(a *registry.Acceptance) submission {
	bytes := func() []byte { return []byte(a.Message().Compact()) }
	return submission{state.AcceptanceCommand, bytes, func(now registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckAcceptance(a, now)
	}}
}

func (c *Cluster) policy(raw []byte) submission {
	return submission{state.PolicyCommand, func() []byte { return raw }, func(registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckPolicy(raw)
	}}
}

func (c *Cluster) level(level uint32) submission {
	bytes := func() []byte { return binary.BigEndian.AppendUint32(nil, level) }
	return submission{state.LevelCommand, bytes, func(registry.Millis) (state.Proposal, *state.Result, error) {
		p, err := c.st.LevelProposal(level)
		if err == nil {
			err = c.allKnow(level)
		}
		return p, nil, err
	}}
}

// submit has s written here if this node leads, else by the one that does.
func (c *Cluster) submit(ctx context.Context, s submission) (r state.Result, err error) {
	done, err := c.use()
	if err != nil {
		return r, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ProposeTimeout)
	defer cancel()
	err = c.patiently(ctx, func() (err error) {
		r, err = c.submitOnce(ctx, s)
		return err
	})
	return r, err
}

// patiently tries again while nobody is known to lead, for an election takes about a second; but not for longer
// than LeaderWait. Only this error says that nothing was done and another try may do better.
func (c *Cluster) patiently(ctx context.Context, try func() error) error {
	patience := time.Now().Add(c.cfg.LeaderWait)
	for {
		err := try()
		if !errors.Is(err, errNoLeader) || c.alone() || time.Now().After(patience) {
			return c.leaderless(err)
		}
		select {
		case <-time.After(leaderPoll):
		case <-ctx.Done():
			return c.leaderless(err)
		case <-c.done:
			return errStopped
		case <-c.quit:
			return errClosing
		}
	}
}

// leaderless says of an error that there is no leader to wait for, if that is so.
func (c *Cluster) leaderless(err error) error {
	if !errors.Is(err, errNoLeader) || c.leader() != "" {
		return err
	}
	return unavailable("nobody leads, as node %s knows: expected a majority of those that vote to be in touch; nothing was written, try again", c.cfg.Name)
}

// leaderPoll is how often it is looked whether there is a leader now.
const leaderPoll = 20 * time.Millisecond

func (c *Cluster) submitOnce(ctx context.Context, s submission) (state.Result, error) {
	if c.raft.State() == raft.Leader {
		return c.submitHere(ctx, s.check)
	}
	leader := c.leader()
	if leader == "" || leader == c.cfg.Name {
		return state.Result{}, c.because(errNoLeader)
	}
	return c.forward(ctx, leader, s)
}

// leader is the name of the node that leads, as far as this one knows; empty if it knows none.
func (c *Cluster) leader() string {
	_, id := c.raft.LeaderWithID()
	return string(id)
}

// maxAttempts is how often a command is checked anew because a record that its check relied on has moved
// before it was applied. Each time somebody else's write succeeded.
const maxAttempts = 16

// submitHere is submit on the node that leads.
func (c *Cluster) submitHere(ctx context.Context, check check) (state.Result, error) {
	for range maxAttempts {
		t := c.inOffice()
		if err := c.writable(t); err != nil {
			return state.Result{}, err
		}
		now, err := c.registryTime()
		if err != nil {
			return state.Result{}, err
		}
		p, known, err := check(now)
		if err != nil && !c.cfg.guards.noRecheck {
			p, known, err = c.checkAgain(ctx, check)
		}
		if err != nil {
			return state.Result{}, err
		}
		if known != nil {
			return *known, known.Err
		}
		f := c.propose(ctx, t, p)
		if !f.result.Moved {
			return f.result, f.err
		}
	}
	return state.Result{}, unavailable("the records that this depends on changed %d times meanwhile: nothing was written, try again", maxAttempts)
}

// checkAgain makes a refused check again when this node is sure to hold all that was acknowledged. A lagging
// or deposed leader would otherwise refuse falsely: it does not know the head that the caller was told of.
func (c *Cluster) checkAgain(ctx context.Context, check check) (state.Proposal, *state.Result, error) {
	if err := c.readHere(ctx); err != nil {
		return state.Proposal{}, nil, err
	}
	now, err := c.registryTime()
	if err != nil {
		return state.Proposal{}, nil, err
	}
	return check(now)
}

// writable refuses what could not be proposed now.
func (c *Cluster) writable(t *tenure) error {
	select {
	case <-c.proposer.closing:
		return errClosing
	case <-c.done:
		return errStopped
	default:
	}
	if err := c.space.check(); err != nil {
		return err
	}
	if c.st.DiskError() != nil {
		return errDisk
	}
	if t == nil {
		return c.because(errNoLeader)
	}
	return nil
}

// propose queues the command and waits for its fate. When it does not wait to the end, the outcome is
// unknown: the command may be applied at any time later.
func (c *Cluster) propose(ctx context.Context, t *tenure, p state.Proposal) fate {
	answer := make(chan fate, 1)
	deadline := time.NewTimer(c.cfg.ProposeTimeout)
	defer deadline.Stop()
	select {
	case c.proposer.queue <- proposal{command: p.Command(), tenure: t, fate: answer}:
	case <-ctx.Done():
		return fate{err: unavailable("too many writes are waiting: nothing was written, try again")}
	case <-deadline.C:
		return fate{err: unavailable("too many writes are waiting: nothing was written, try again")}
	case <-c.quit:
		return fate{err: errClosing}
	}
	select {
	case f := <-answer:
		return f
	case <-ctx.Done():
	case <-deadline.C:
	case <-c.quit:
	}
	return fate{err: c.because(errUnknown)}
}
