package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// meetTime is how long one other node may take to answer one question of a node that is starting. Each has it
// for itself: a machine that is off answers neither yes nor no, and must keep nobody from asking the next.
const meetTime = 10 * beginPoll

// maxMet bounds how many nodes are asked that others have named.
const maxMet = 64

// helloReply is what a node says of itself to one that has no data.
type helloReply struct {
	Begun   bool   `cbor:"1,keyasint"` // it has data beyond what founds a cluster
	Nodes   []Peer `cbor:"2,keyasint"` // the founding members it was told
	Replica bool   `cbor:"3,keyasint"`

	Restored *restored `cbor:"4,keyasint,omitempty"` // nil if it did not come from a backup

	// Voters are those that it knows of, and before it has begun all that it was told of, by whoever counts on it:
	// the leader may be one of whom the settings of the node that asks say nothing.
	Voters []Peer `cbor:"5,keyasint,omitempty"`

	Level    uint32 `cbor:"6,keyasint,omitempty"` // of its state (DESIGN 8)
	MaxLevel uint32 `cbor:"7,keyasint,omitempty"` // the newest that its release knows
	Version  string `cbor:"8,keyasint,omitempty"` // of its software
}

// hello answers before Raft runs, too.
func (c *Cluster) hello(from string, q helloRequest) (helloReply, error) {
	c.knocked(from, q)
	begun, err := c.begun()
	if err != nil {
		return helloReply{}, err
	}
	r, err := c.restored()
	answer := helloReply{
		Begun: begun, Nodes: c.cfg.Nodes, Replica: c.cfg.Replica, Restored: r,
		Level: c.st.Level(), MaxLevel: state.MaxLevel, Version: c.cfg.Version, Voters: c.told.all(),
	}
	if answer.Begun {
		answer.Voters = c.voters()
	}
	return answer, err
}

// voters are those of the newest configuration that this node knows of, and where it reaches them.
func (c *Cluster) voters() (voters []Peer) {
	for _, s := range c.members().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		if address, ok := c.addressOf(string(s.ID)); ok {
			voters = append(voters, Peer{string(s.ID), address})
		}
	}
	return voters
}

// meeting is what came of asking one other node.
type meeting struct {
	peer     Peer
	hello    helloReply
	err      error // there was no answer
	admitted bool
	in       admitReply // what it said then
	refused  error      // why it was not admitted
	others   []Peer     // to be asked too
}

// greet says hello to another node.
func (c *Cluster) greet(ctx context.Context, p Peer) meeting {
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	m := meeting{peer: p}
	q := helloRequest{Address: c.cfg.Address}
	if c.running.Load() != nil {
		q.Begun, m.err = c.begun()
	}
	if m.err == nil {
		m.err = c.call(ctx, p.Name, methodHello, q, &m.hello)
	}
	return m
}

// inquire says hello to learn who votes.
func (c *Cluster) inquire(ctx context.Context, p Peer) meeting {
	m := c.greet(ctx, p)
	m.others = m.hello.Voters
	return m
}

// apply says hello, and asks a node that has begun to be admitted.
func (c *Cluster) apply(ctx context.Context, p Peer) meeting {
	m := c.inquire(ctx, p)
	if m.err != nil || !m.hello.Begun || m.hello.Level > state.MaxLevel {
		return m
	}
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	m.refused = c.call(ctx, p.Name, methodAdmit, none{}, &m.in)
	m.admitted = m.refused == nil
	return m
}

// meet asks peers, all at once, and then those whom they name. It returns what came of it, by name, when all
// have answered or their time is over; or as soon as one admits this node.
func (c *Cluster) meet(ctx context.Context, peers []Peer, ask func(context.Context, Peer) meeting) (met []meeting) {
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan meeting, len(peers)+maxMet)
	asked := map[string]bool{c.cfg.Name: true}
	askAll := func(peers []Peer) (count int) {
		for _, p := range peers {
			if !asked[p.Name] {
				asked[p.Name] = true
				count++
				asking.Go(func() { answers <- ask(ctx, p) })
			}
		}
		return count
	}
	for pending := askAll(peers); pending > 0; pending-- {
		m := <-answers
		met = append(met, m)
		if m.admitted {
			return met
		}
		if len(asked)+len(m.others) <= maxMet {
			c.told.note(m.others)
			pending += askAll(m.others)
		}
	}
	slices.SortFunc(met, func(a, b meeting) int { return strings.Compare(a.peer.Name, b.peer.Name) })
	return met
}

// lookAround asks all others once. found says that a cluster is to be founded; otherwise what says what is
// being waited for, and "" that this node may run Raft now. The error's kind is Invalid when no waiting helps.
func (c *Cluster) lookAround(ctx context.Context) (what string, found bool, err error) {
	met := c.meet(ctx, c.lookedAt(), c.apply)
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	if i := slices.IndexFunc(met, func(m meeting) bool { return m.admitted }); i >= 0 {
		return "", false, c.enter(met[i].in)
	}
	var missing []string
	begun, forbidden, others := "", "", ""
	for _, m := range met {
		switch {
		case m.err != nil:
			missing = append(missing, fmt.Sprintf("%s at %s (%v)", m.peer.Name, m.peer.Address, m.err))
		case m.hello.Begun && m.hello.Level > state.MaxLevel:
			return "", false, &registry.Error{Kind: registry.Invalid, Detail: fmt.Sprintf(
				"node %s, which runs version %s, is at level %d, and this node's version %s knows levels up to %d: upgrade it first",
				m.peer.Name, m.hello.Version, m.hello.Level, c.cfg.Version, state.MaxLevel)}
		case m.hello.Begun:
			begun = m.peer.Name
			if errors.Is(m.refused, registry.Forbidden) {
				forbidden = m.refused.Error()
			}
		case c.founding() && !samePeers(m.hello.Nodes, c.cfg.Nodes):
			others = fmt.Sprintf("node %s was told the founding members %v, and this node %v: expected the same", m.peer.Name, m.hello.Nodes, c.cfg.Nodes)
		}
	}
	switch {
	case forbidden != "":
		return forbidden, false, nil
	case begun != "":
		return fmt.Sprintf("a leader of the cluster that %s belongs to", begun), false, nil
	case others != "":
		return others, false, nil
	case len(missing) > 0:
		return "the other nodes: " + strings.Join(missing, ", "), false, nil
	case !c.founding():
		return fmt.Sprintf("a cluster to be begun by %v", c.cfg.Nodes), false, nil
	}
	return "", true, nil
}
