package cluster

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// hearing is the transport of a node that has others: what comes in passes by here before Raft hears of it.
type hearing struct {
	raft.Transport
	c       *Cluster
	consume chan raft.RPC
	refused func(raft.RPC) bool // answers what Raft must not hear of; nil if it may hear all
}

// hear is trans, with an ear for what this node must not listen to.
func (c *Cluster) hear(trans raft.Transport) (*hearing, error) {
	h := &hearing{Transport: trans, c: c, consume: make(chan raft.RPC)}
	w, err := c.wary()
	if w != nil {
		h.refused = w.refused
	}
	return h, err
}

// forward passes on what Raft may hear, while the node runs.
func (h *hearing) forward() {
	for {
		select {
		case rpc := <-h.Transport.Consumer():
			if h.passes(rpc) {
				h.deliver(rpc)
			}
		case <-h.c.quit:
			return
		}
	}
}

// deliver has Raft see to rpc in its turn; who sent it waits for the answer.
func (h *hearing) deliver(rpc raft.RPC) {
	select {
	case h.consume <- rpc:
	case <-h.c.quit:
		rpc.Respond(nil, errClosing)
	}
}

// passes reports whether Raft may hear of rpc, which is answered if not.
//
// Raft v1.7.3 takes as committed what the leader says is, up to the end of its own log; Raft as published takes it
// only up to the last entry that this very message has shown to be the leader's too. The difference is what a
// deposed leader has behind that, which nobody else may have: it would apply entries that never were committed.
func (h *hearing) passes(rpc raft.RPC) bool {
	if h.refused != nil && h.refused(rpc) {
		return false
	}
	if q, ok := rpc.Command.(*raft.AppendEntriesRequest); ok && !h.c.cfg.guards.noTail {
		q.LeaderCommitIndex = min(q.LeaderCommitIndex, q.PrevLogEntry+uint64(len(q.Entries)))
	}
	return true
}

// Consumer implements raft.Transport.
func (h *hearing) Consumer() <-chan raft.RPC { return h.consume }

// SetHeartbeatHandler implements raft.Transport.
//
// What handle is given, Raft v1.7.3 sees to at once, whatever it is about, so that a follower hears its leader while it
// writes. But it would take a newer term like that too, and depose a leader or a candidate, in the midst of what that
// is about: an entry would get a term that another leads, a vote be counted in one that it was not given for, a term
// be overwritten by an earlier one (hashicorp/raft#695). So only a follower hears like that, and of a leader that it
// knows; everything else has to wait for its turn.
func (h *hearing) SetHeartbeatHandler(handle func(raft.RPC)) {
	h.Transport.SetHeartbeatHandler(func(rpc raft.RPC) {
		switch {
		case !h.passes(rpc):
		case h.c.cfg.guards.noTurn || h.nothingNew(rpc):
			handle(rpc)
		default:
			h.deliver(rpc)
		}
	})
}

// nothingNew reports whether rpc is from the leader that this node follows.
func (h *hearing) nothingNew(rpc raft.RPC) bool {
	r := h.c.running.Load()
	q, ok := rpc.Command.(*raft.AppendEntriesRequest)
	return ok && r != nil && r.State() == raft.Follower && r.CurrentTerm() == q.Term
}

// RequestPreVote implements raft.WithPreVote, as the transports of this package's networks do.
func (h *hearing) RequestPreVote(id raft.ServerID, target raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	t, ok := h.Transport.(raft.WithPreVote)
	if !ok {
		return fmt.Errorf("node %s cannot be asked before an election", id)
	}
	return t.RequestPreVote(id, target, q, a)
}

// Close implements raft.WithClose.
func (h *hearing) Close() error {
	if t, ok := h.Transport.(raft.WithClose); ok {
		return t.Close()
	}
	return nil
}
