package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// submitRequest is a write on its way from another node to the leader.
type submitRequest struct {
	Kind  state.CommandType `cbor:"1,keyasint"`
	Bytes []byte            `cbor:"2,keyasint"` // as the client sent them
	Left  time.Duration     `cbor:"3,keyasint"` // until whoever asked stops waiting
}

// forward sends s to the node that leads. It is done once: the other does it or says that it does not lead,
// and never sends it on. When no answer comes the outcome is unknown, and whoever submitted may try again.
func (c *Cluster) forward(ctx context.Context, leader string, s submission) (state.Result, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.cfg.ProposeTimeout)
	}
	c.forwarded.Add(1)
	var answer result
	err := c.call(ctx, leader, MethodSubmit, submitRequest{Kind: s.kind, Bytes: s.bytes(), Left: time.Until(deadline)}, &answer)
	if err != nil {
		return state.Result{}, c.forwardError(err)
	}
	r := answer.state()
	if r.Err == nil {
		c.showOwn(ctx, r.Index)
	}
	return r, r.Err
}

// ownWait is how long a forwarded write waits to be seen here, too.
const ownWait = time.Second

// showOwn waits until a forwarded write can be read here: who wrote at a node will ask there for what was written,
// and not be told that there is no such thing. A node that is behind answers all the same, for it is written.
func (c *Cluster) showOwn(ctx context.Context, index uint64) {
	ctx, cancel := context.WithTimeout(ctx, ownWait)
	defer cancel()
	_ = c.applied.wait(ctx, c.quit, index)
}

// forwardError says what an error of a forward means to whoever submitted.
func (c *Cluster) forwardError(err error) error {
	unreached, lost := errors.AsType[*unreachedError](err)
	if registry.KindOf(err) == registry.Unavailable {
		c.forwardErrors.Add(1)
	}
	switch {
	case !lost:
		return err
	case errors.Is(unreached.cause, ErrNotSent):
		return c.because(errNoLeader) // the leader is gone: there will be another
	}
	return c.because(errUnknown)
}

// onSubmit answers a forwarded write. The bytes are checked as if a client had sent them.
func (c *Cluster) onSubmit(ctx context.Context, r submitRequest) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, min(r.Left, c.cfg.ProposeTimeout))
	defer cancel()
	s, err := c.submission(r)
	if err != nil {
		return result{}, err
	}
	if c.inOffice() == nil {
		return result{}, c.because(errNoLeader)
	}
	done, err := c.submitHere(ctx, s.check)
	return resultOf(done), err
}

func (c *Cluster) submission(r submitRequest) (submission, error) {
	switch r.Kind {
	case state.OperationCommand:
		op, err := registry.ParseOperation(r.Bytes)
		if err != nil {
			return submission{}, err
		}
		return c.operation(op), nil
	case state.StatusCommand:
		s, err := registry.ParseStatus(r.Bytes)
		if err != nil {
			return submission{}, err
		}
		return c.status(s), nil
	case state.AcceptanceCommand:
		a, err := registry.ParseAcceptance(r.Bytes)
		if err != nil {
			return submission{}, err
		}
		return c.acceptance(a), nil
	case state.PolicyCommand:
		return c.policy(r.Bytes), nil
	case state.LevelCommand:
		if len(r.Bytes) == 4 {
			return c.level(binary.BigEndian.Uint32(r.Bytes)), nil
		}
	}
	return submission{}, &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("a forwarded write of type %d with %d bytes: this release does not know it", r.Kind, len(r.Bytes))}
}
