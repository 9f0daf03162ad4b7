package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// What a membershipRequest wants.
const (
	changeJoin     = "join"
	changeRemove   = "remove"
	changeTransfer = "transfer"
)

type membershipRequest struct {
	Change  string `cbor:"1,keyasint"`
	Name    string `cbor:"2,keyasint"`
	Address string `cbor:"3,keyasint"`
	Replica bool   `cbor:"4,keyasint"`
}

// Join makes a node a member, or gives a member another address. A new one does not vote before it has
// caught up, since from then on it counts for the majority (DESIGN 9): Join returns when it votes, or with
// an error of kind Unavailable when that takes longer than ctx; it goes on by itself then. A replica never
// votes, and is a member at once. Any node may be asked.
func (c *Cluster) Join(ctx context.Context, p Peer, replica bool) error {
	if err := p.validate(); err != nil {
		return &registry.Error{Kind: registry.Invalid, Detail: err.Error()}
	}
	if err := c.placed(p.Name, p.Address); err != nil {
		return err
	}
	if err := c.onLeader(ctx, membershipRequest{Change: changeJoin, Name: p.Name, Address: p.Address, Replica: replica}); err != nil || replica {
		return err
	}
	for seen := false; ctx.Err() == nil; {
		there := false
		for _, s := range c.members().Servers {
			if s.ID == raft.ServerID(p.Name) && s.Suffrage == raft.Voter {
				return nil
			}
			there = there || s.ID == raft.ServerID(p.Name)
		}
		if seen && !there {
			return &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf("node %s was removed again before it had caught up", p.Name)}
		}
		seen = there
		select {
		case <-time.After(leaderPoll):
		case <-ctx.Done():
		case <-c.quit:
			return errClosing
		}
	}
	return unavailable("node %s is a member and has not caught up yet: it votes as soon as it has; see dcann cluster status", p.Name)
}

// Remove takes a node out of the cluster. It is refused when too few of those that remain are alive. Any
// node may be asked; the leader hands over before it removes itself.
func (c *Cluster) Remove(ctx context.Context, name string) error {
	return c.onLeader(ctx, membershipRequest{Change: changeRemove, Name: name})
}

// TransferLeadership makes another voter lead: to, or the one that is furthest if to is empty.
func (c *Cluster) TransferLeadership(ctx context.Context, to string) error {
	return c.onLeader(ctx, membershipRequest{Change: changeTransfer, Name: to})
}

// turn is a lock for which one does not wait for longer than one's context.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	if !t.within(ctx) {
		return unavailable("another change of the members is under way, or the time for this one is over: nothing was changed, try again")
	}
	return nil
}

// within reports whether one has the lock, which one gives back by leave, before ctx is over.
func (t turn) within(ctx context.Context) bool {
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if ctx.Err() != nil { // both were so
		t.leave()
		return false
	}
	return true
}

func (t turn) leave() { <-t }

// onLeader has the leader do r.
func (c *Cluster) onLeader(ctx context.Context, r membershipRequest) error {
	return c.patiently(ctx, func() error { return c.askMembership(ctx, r) })
}

func (c *Cluster) askMembership(ctx context.Context, r membershipRequest) error {
	if c.alone() {
		return &registry.Error{Kind: registry.Invalid, Detail: "this node is alone: start it with node-listen to have others (dcann cluster init)"}
	}
	if c.gone.Load() {
		return c.removal()
	}
	leader := c.leader()
	switch leader {
	case "":
		return errNoLeader
	case c.cfg.Name:
		return c.onMembership(ctx, r)
	}
	err := c.call(ctx, leader, methodMembership, r, nil)
	if errors.Is(err, ErrNotSent) {
		return errNoLeader
	}
	return err
}

func (c *Cluster) onMembership(ctx context.Context, r membershipRequest) error {
	if c.inOffice() == nil {
		return c.because(errNoLeader)
	}
	if err := c.changing.take(ctx); err != nil {
		return err
	}
	defer c.changing.leave()
	// Who was deposed without knowing it yet would refuse by members that are none any more.
	if !c.cfg.guards.noRecheck {
		if err := c.readHere(ctx); err != nil {
			return err
		}
	}
	switch r.Change {
	case changeJoin:
		return c.join(ctx, r)
	case changeRemove:
		return c.remove(ctx, r.Name)
	case changeTransfer:
		return c.transfer(r.Name)
	}
	return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("change %.20q: this release does not know it", r.Change)}
}

// placed refuses an address that would not be gone by: the settings win over what is joined.
func (c *Cluster) placed(name, address string) error {
	i := slices.IndexFunc(c.cfg.Nodes, func(p Peer) bool { return p.Name == name })
	if i < 0 || c.cfg.Nodes[i].Address == address {
		return nil
	}
	return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf(
		"node %s is at %s by the settings of node %s, which win over %s: nothing was changed. To move it, change node in the settings of all nodes and restart them one by one", name, c.cfg.Nodes[i].Address, c.cfg.Name, address)}
}

func (c *Cluster) join(ctx context.Context, r membershipRequest) error {
	if err := c.placed(r.Name, r.Address); err != nil {
		return err
	}
	id, address := raft.ServerID(r.Name), raft.ServerAddress(r.Address)
	for _, s := range c.members().Servers {
		switch {
		case s.ID != id && s.Address == address:
			return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("node %s is at %s already: expected another address for %s", s.ID, address, id)}
		case s.ID == id && s.Address == address && (s.Suffrage == raft.Voter) == !r.Replica:
			return nil
		case s.ID == id && s.Suffrage == raft.Voter && r.Replica:
			return &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf("node %s votes: remove it before it is joined as a replica", id)}
		case s.ID == id && s.Suffrage == raft.Voter:
			if err := c.probe(ctx, r); err != nil {
				return err
			}
			c.cfg.OnChange(fmt.Sprintf("node %s moves to %s", id, address))
			return c.change(ctx, c.raft.AddVoter(id, address, 0, c.cfg.ProposeTimeout))
		}
	}
	if err := c.probe(ctx, r); err != nil {
		return err
	}
	c.cfg.OnChange(fmt.Sprintf("node %s at %s joins", id, address))
	if c.cfg.guards.noCaughtUp {
		return c.change(ctx, c.raft.AddVoter(id, address, 0, c.cfg.ProposeTimeout))
	}
	return c.change(ctx, c.raft.AddNonvoter(id, address, 0, c.cfg.ProposeTimeout))
}

func (c *Cluster) remove(ctx context.Context, name string) error {
	members := c.members()
	if !member(members, name) {
		return &registry.Error{Kind: registry.NotFound, Detail: fmt.Sprintf("there is no node %s in the cluster", name)}
	}
	voters, alive := c.answering(ctx, members, name)
	if alive < voters/2+1 {
		return &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf(
			"without %s there would be %d voters of which %d are alive: expected a majority; bring others back, or join new ones, first", name, voters, alive)}
	}
	if name == c.cfg.Name {
		if err := c.handOver(""); err != nil {
			return err
		}
		return errNoLeader // the next leader removes this node: whoever asked asks again
	}
	c.cfg.OnChange(fmt.Sprintf("node %s leaves", name))
	return c.change(ctx, c.raft.RemoveServer(raft.ServerID(name), 0, c.cfg.ProposeTimeout))
}

// answering asks all voters but one, and says how many they are and how many answer now. What they last reported
// would not do: it may be from a moment before one died, and who was just elected has no reports.
func (c *Cluster) answering(ctx context.Context, members raft.Configuration, but string) (voters, alive int) {
	ctx, cancel := context.WithTimeout(ctx, 4*c.cfg.HeartbeatTimeout)
	defer cancel()
	answers := make(chan error, len(members.Servers))
	for _, s := range members.Servers {
		switch name := string(s.ID); {
		case s.Suffrage != raft.Voter || name == but:
			continue
		case name == c.cfg.Name:
			answers <- nil
		default:
			go func() { answers <- c.call(ctx, name, methodConfirm, none{}, nil) }()
		}
		voters++
	}
	for range voters {
		if <-answers == nil {
			alive++
		}
	}
	return voters, alive
}

// change waits until a change of the configuration is committed. When it is not in time, it may be later.
func (c *Cluster) change(ctx context.Context, f raft.IndexFuture) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ProposeTimeout)
	defer cancel()
	if err := c.await(ctx, f); err != nil {
		if proposalError(err) == error(errNoLeader) {
			return c.because(errNoLeader)
		}
		return unavailable("the change of the members was not confirmed: %v; see dcann cluster status, and try again", err)
	}
	return nil
}

// allKnow refuses a level that some member's release does not know: that node would stop at the first command
// of it (DESIGN 8).
func (c *Cluster) allKnow(level uint32) error {
	heard := c.heard.all()
	for _, s := range c.members().Servers {
		if s.ID == raft.ServerID(c.cfg.Name) {
			continue
		}
		switch h, ok := heard[string(s.ID)]; {
		case !ok || time.Since(h.at) > clockReportAge:
			return &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf("level %d: node %s has not been heard from lately, so it is not known what its release supports: bring it back, or remove it", level, s.ID)}
		case h.MaxLevel < level:
			return &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf("level %d: node %s runs version %s, which knows levels up to %d: upgrade it first", level, s.ID, h.Version, h.MaxLevel)}
		}
	}
	return nil
}
