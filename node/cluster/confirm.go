package cluster

import (
	"context"

	"github.com/hashicorp/raft"
)

type confirmReply struct {
	Term uint64 `cbor:"1,keyasint"` // the newest that the node knows of
}

// confirm returns nil if, at a moment after the call, t's was the newest term that a majority of voters knew of: then
// nobody else could have been elected, and committed anything, before the call. A voter that does not know of the
// term yet says nothing: it may be one that has lost what it knew.
//
// Raft's own VerifyLeader proves less: it counts every answer that arrives, that to a heartbeat which was
// sent before the call included. A leader that was stopped finds such answers in its buffers when it goes on,
// while somebody else leads (DESIGN 9). Here a question is asked after the call and the answer belongs to it.
func (c *Cluster) confirm(ctx context.Context, t *tenure) error {
	if c.cfg.guards.noConfirm {
		return nil
	}
	if c.cfg.guards.bufferedConfirm {
		if err := c.await(ctx, c.raft.VerifyLeader()); err != nil {
			return c.because(errNoLeader)
		}
		return nil
	}
	var others []string
	voters, self := 0, 0
	for _, s := range c.members().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == raft.ServerID(c.cfg.Name) {
			self = 1
		} else {
			others = append(others, string(s.ID))
		}
	}
	missing := voters/2 + 1 - self
	if missing <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*c.cfg.HeartbeatTimeout)
	defer cancel()
	answers := make(chan error, len(others))
	for _, name := range others {
		go func() { answers <- c.confirmBy(ctx, name, t.term) }()
	}
	for range others {
		if <-answers == nil {
			if missing--; missing == 0 {
				return nil
			}
		}
	}
	return unavailable("leadership was not confirmed by a majority: try again")
}

// confirmBy asks one voter.
func (c *Cluster) confirmBy(ctx context.Context, name string, term uint64) error {
	var answer confirmReply
	if err := c.call(ctx, name, methodConfirm, none{}, &answer); err != nil {
		return err
	}
	if answer.Term != term {
		return errNoLeader
	}
	return nil
}

// onConfirm answers with the newest term that this node knows of. It is stored before the node votes in it.
func (c *Cluster) onConfirm(context.Context, none) (confirmReply, error) {
	return confirmReply{Term: c.raft.CurrentTerm()}, nil
}
