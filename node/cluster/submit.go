package cluster

import (
	"context"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// SubmitOperation has op accepted and applied, and returns what it did; a known one returns its first
// result. The Result's Err is nil whenever the error is nil.
//
// A refusal that depends on state is given only by Apply or after it was confirmed that this node leads and
// has applied all that was acknowledged before the call, so that it is never false. The error has a
// registry kind. Unavailable means that nothing is known to be written, and that trying again, here or at
// another node, is safe; Error.RetryAfter says when.
func (c *Cluster) SubmitOperation(ctx context.Context, op *registry.Operation) (state.Result, error) {
	return c.submit(ctx, func(now registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckOperation(op, now)
	})
}

// SubmitStatus is SubmitOperation for a registry's word about an organisation.
func (c *Cluster) SubmitStatus(ctx context.Context, s *registry.StatusStatement) (state.Result, error) {
	return c.submit(ctx, func(now registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckStatus(s, now)
	})
}

// SubmitAcceptance is SubmitOperation for a provider's word about a strand.
func (c *Cluster) SubmitAcceptance(ctx context.Context, a *registry.Acceptance) (state.Result, error) {
	return c.submit(ctx, func(now registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckAcceptance(a, now)
	})
}

// SubmitPolicy is SubmitOperation for a signed policy.
func (c *Cluster) SubmitPolicy(ctx context.Context, raw []byte) (state.Result, error) {
	return c.submit(ctx, func(registry.Millis) (state.Proposal, *state.Result, error) {
		return c.st.CheckPolicy(raw)
	})
}

// SubmitLevel raises the level of commands that may be proposed (DESIGN 8).
func (c *Cluster) SubmitLevel(ctx context.Context, level uint32) (state.Result, error) {
	return c.submit(ctx, func(registry.Millis) (state.Proposal, *state.Result, error) {
		p, err := c.st.LevelProposal(level)
		return p, nil, err
	})
}

type check func(now registry.Millis) (state.Proposal, *state.Result, error)

// maxAttempts is how often a command is checked anew because a record that its check relied on has moved
// before it was applied. Each time somebody else's write succeeded.
const maxAttempts = 16

func (c *Cluster) submit(ctx context.Context, check check) (state.Result, error) {
	for range maxAttempts {
		t := c.inOffice()
		if err := c.writable(t); err != nil {
			return state.Result{}, err
		}
		p, known, err := check(c.now())
		if err != nil {
			p, known, err = c.confirm(ctx, check)
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

// confirm makes a refused check again when this node is sure to hold all that was acknowledged. A lagging
// or deposed leader would otherwise refuse falsely: it does not know the head that the caller was told of.
func (c *Cluster) confirm(ctx context.Context, check check) (state.Proposal, *state.Result, error) {
	if err := c.ReadIndex(ctx); err != nil {
		return state.Proposal{}, nil, err
	}
	return check(c.now())
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
