package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Overview is what an operator sees of the whole cluster, as its leader knows it.
type Overview struct {
	Node   string `json:"node"`             // who answered
	Leader string `json:"leader,omitempty"` // empty if nobody is known to lead
	Term   uint64 `json:"term"`
	Commit uint64 `json:"commit"` // index up to which all is committed, as far as who answered knows
	Level  uint32 `json:"level"`  // of the state (DESIGN 8)

	// Removed says that Node, which answered by itself, is no member any more.
	Removed bool `json:"removed,omitempty"`

	Nodes []NodeStatus `json:"nodes"` // by name
}

// NodeStatus is one member of the cluster. What it has not reported itself is zero.
type NodeStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Replica bool   `json:"replica,omitempty"` // it does not vote, and is never to
	Leader  bool   `json:"leader,omitempty"`

	// Heard is how long ago the leader heard from it, in milliseconds; absent if never.
	Heard *int64 `json:"heardMillis,omitempty"`

	Applied uint64 `json:"applied"` // index
	Durable uint64 `json:"durable"` // index
	Last    uint64 `json:"last"`    // index of the log's end
	Lag     uint64 `json:"lag"`     // entries between the leader's commit index and Applied

	// ClockOffset is how far its clock is ahead of the leader's, in milliseconds.
	ClockOffset int64 `json:"clockOffsetMillis"`

	MaxLevel uint32 `json:"maxLevel"` // the newest level that its release knows (DESIGN 8)
	Version  string `json:"version"`  // of its software
	Healthy  bool   `json:"healthy"`  // heard from lately by a leader, and caught up with it
}

// CheckReport compares the state of all members at one index (DESIGN 8).
type CheckReport struct {
	Index uint64      `json:"index"`
	Equal bool        `json:"equal"` // all members answered and have the same hash; with Full, their rows agree with it
	Full  bool        `json:"full"`
	Nodes []NodeCheck `json:"nodes"` // by name
}

// NodeCheck is one member's part in a CheckReport.
type NodeCheck struct {
	Name string `json:"name"`
	Hash string `json:"hash,omitempty"` // hex; empty if it did not answer
	// Problem says why there is no hash, how it differs, or what a scan of the rows found.
	Problem string `json:"problem,omitempty"`
}

// Overview is what the leader knows of all members; when there is none, what this node knows by itself.
func (c *Cluster) Overview(ctx context.Context) (Overview, error) {
	done, err := c.use()
	if err != nil {
		return Overview{}, err
	}
	defer done()
	if leader := c.leader(); leader != "" && leader != c.cfg.Name && !c.alone() {
		var o Overview
		if err := c.call(ctx, leader, methodOverview, none{}, &o); err == nil {
			return o, nil
		}
	}
	return c.onOverview()
}

func (c *Cluster) onOverview() (Overview, error) {
	o := Overview{Node: c.cfg.Name, Leader: c.leader(), Term: c.raft.CurrentTerm(), Commit: max(c.raft.CommitIndex(), c.applied.load()), Level: c.st.Level()}
	o.Removed = c.gone.Load()
	heard := c.heard.all()
	if c.raft.State() != raft.Leader {
		heard = nil // of an office that has ended
	}
	for _, s := range c.members().Servers {
		n := NodeStatus{Name: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter, Leader: string(s.ID) == o.Leader}
		if address, ok := c.addressOf(n.Name); ok {
			n.Address = address
		}
		r, at := heard[n.Name].followRequest, heard[n.Name].at
		if n.Name == c.cfg.Name {
			r, at = c.report(), time.Now()
		}
		if !at.IsZero() {
			ms := time.Since(at).Milliseconds()
			n.Heard = &ms
			n.Applied, n.Durable, n.Last, n.Replica, n.MaxLevel, n.Version = r.Applied, r.Durable, r.Last, r.Replica && !n.Voter, r.MaxLevel, r.Version
			n.ClockOffset = heard[n.Name].ahead.Milliseconds()
			n.Lag = o.Commit - min(r.Applied, o.Commit)
			n.Healthy = o.Leader != "" && time.Since(at) <= maxSilence && n.Lag <= maxTrailing
		}
		o.Nodes = append(o.Nodes, n)
	}
	slices.SortFunc(o.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.Name, b.Name) })
	return o, nil
}
