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
			if !h.passes(rpc) {
				continue
			}
			select {
			case h.consume <- rpc:
			case <-h.c.quit:
				return
			}
		case <-h.c.quit:
			return
		}
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
func (h *hearing) SetHeartbeatHandler(handle func(raft.RPC)) {
	h.Transport.SetHeartbeatHandler(func(rpc raft.RPC) {
		if h.passes(rpc) {
			handle(rpc)
		}
	})
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
