package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// beginPoll is how often a node without data asks the others. When several begin together none may be so late that
// the rest have elected a leader already, which would take its vote away: hence less than an election takes.
const beginPoll = 300 * time.Millisecond

// foundingIndex is that of the entry which founds a cluster: a log that holds no other has begun nothing yet.
const foundingIndex = 1

// begin sees to it that a node without data becomes part of a cluster, and only of one.
//
// A node that is alone becomes the only voter. Others must not just take the vote that the settings give
// them: a founding member whose disk was replaced has the same settings and no data, but it may have
// acknowledged what a majority without it now depends on. Voting once more, it could undo that. So a node
// without data asks all others (DESIGN 9, "bootstrap-expect"):
//   - if every founding member answers and none has data, and for a while nobody knocks who is of a cluster already, they
//     found one, all with the same first entry;
//   - if somebody has data there is a cluster already. Its leader takes the vote away before this node runs Raft
//     at all, and gives it back when it has caught up, like that of every other newcomer;
//   - else it waits.
//
// What a node that was restored from a backup may do is told at the type restored.
func (c *Cluster) begin(ctx context.Context, stable *stableStore) error {
	empty, err := c.empty()
	if err != nil {
		return err
	}
	if c.cfg.Net == nil {
		if err := c.endRestored(); err != nil {
			return err
		}
		return bootstrap(c.log, stable, c.st, []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(c.cfg.Name), Address: raft.ServerAddress(c.cfg.Name)}})
	}
	if c.links, err = c.cfg.Net.Connect(c.addressOf, c.answer); err != nil {
		return err
	}
	if !empty {
		if c.cfg.guards.noAdmission {
			return c.endRestored()
		}
		return c.awaitRestored(ctx)
	}
	said := ""
	var silence silence
	for {
		if c.cfg.guards.noAdmission && c.founding() && c.reachAll(ctx) {
			return nil
		}
		what, found, err := c.lookAround(ctx)
		if lasted := silence.noted(found, time.Now()); found && lasted < c.foundingWait() && !c.cfg.guards.atOnce {
			what, found = "those that may count on this node, to say so: else it founds a cluster in a moment", false
		}
		switch {
		case err != nil:
			return err
		case found:
			return bootstrap(c.log, stable, c.st, c.founders())
		case what == "":
			return nil
		case what != said:
			said = what
			c.cfg.OnWait(what)
		}
		select {
		case <-time.After(min(beginPoll, c.cfg.HeartbeatTimeout/4)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// empty reports whether neither log nor state holds anything.
func (c *Cluster) empty() (bool, error) {
	index, _ := c.st.Applied()
	last, err := c.log.LastIndex()
	return index == 0 && last == 0, err
}

// founding reports whether this node is one of those that begin the cluster.
func (c *Cluster) founding() bool {
	return slices.ContainsFunc(c.cfg.Nodes, func(p Peer) bool { return p.Name == c.cfg.Name })
}

// founders are the voters of the first configuration, in an order that all agree on.
func (c *Cluster) founders() []raft.Server {
	var servers []raft.Server
	for _, p := range c.cfg.Nodes {
		servers = append(servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(p.Name), Address: raft.ServerAddress(p.Address)})
	}
	slices.SortFunc(servers, func(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return servers
}

func samePeers(a, b []Peer) bool {
	byName := func(x, y Peer) int { return strings.Compare(x.Name, y.Name) }
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, byName)
	slices.SortFunc(b, byName)
	return slices.Equal(a, b)
}

// reachAll is the guardless way into a cluster: somebody answers, so Raft is run.
func (c *Cluster) reachAll(ctx context.Context) bool {
	for _, p := range c.cfg.Nodes {
		var other helloReply
		if p.Name != c.cfg.Name && c.call(ctx, p.Name, methodHello, none{}, &other) == nil && other.Begun {
			return true
		}
	}
	return false
}

// admit lets a member without data run Raft: its vote is taken away first, and what it may have
// acknowledged in a life that it has forgotten is then counted for nobody. Only the leader can say so.
func (c *Cluster) admit(ctx context.Context, name string) (admitReply, error) {
	t := c.inOffice()
	if t == nil {
		return admitReply{}, errNoLeader
	}
	if err := c.changing.take(ctx); err != nil {
		return admitReply{}, err
	}
	defer c.changing.leave()
	if err := c.readHere(ctx); err != nil { // not before: the wait for others' changes may be long
		return admitReply{}, err
	}
	if err := c.noTwin(ctx, name); err != nil {
		return admitReply{}, err
	}
	// What it said of itself before it lost its data is not true any more, and would give it its vote back.
	c.heard.forget(name)
	defer c.heard.forget(name)
	for _, s := range c.members().Servers {
		switch {
		case s.ID != raft.ServerID(name):
		case s.Suffrage == raft.Voter:
			c.cfg.OnChange(fmt.Sprintf("node %s has lost its data: it votes again when it has caught up", name))
			if err := c.change(ctx, c.raft.DemoteVoter(s.ID, 0, c.cfg.ProposeTimeout)); err != nil {
				return admitReply{}, err
			}
			return c.admission(t, name)
		case !c.isNonvoter(name):
			return admitReply{}, unavailable("that node %s does not vote is not certain yet: a majority must know of it", name)
		default:
			return c.admission(t, name)
		}
	}
	return admitReply{}, &registry.Error{Kind: registry.Forbidden, Detail: fmt.Sprintf("node %s is not a member of this cluster: run dcann cluster join %s=HOST:PORT on a member", name, name)}
}

// noTwin refuses who asks to be let in without data under the name of a member that is where it is known to be, and
// has its data: somebody copied its directory, and both run.
func (c *Cluster) noTwin(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*beginPoll)
	defer cancel()
	var other helloReply
	if err := c.call(ctx, name, methodHello, none{}, &other); err != nil || !other.Begun {
		return nil // it is the one that asks, or gone
	}
	address, _ := c.addressOf(name)
	return &registry.Error{Kind: registry.Forbidden, Detail: fmt.Sprintf(
		"node %s is at %s, and has its data: a second node uses its name and certificate; stop one of them", name, address)}
}

// admitReply says that a node without data may run Raft.
type admitReply struct {
	// Term is that in which it was let in. Who leads in an earlier one is not to be listened to: of a registry that was
	// recovered, nodes with the data of before may still run, and count on this one.
	Term uint64 `cbor:"1,keyasint"`

	// Recovered is what whoever lets it in keeps of a recovery, less those that are members by now: the newcomer is as
	// wary of the rest. It would tell them its term, else, and vote for them: they could then lead, and take it over.
	Recovered *recovered `cbor:"2,keyasint,omitempty"`
}

// admission is what a node is told that t lets in. Should t be over, its term is one after which others may have led,
// even if this node leads again: the newcomer would listen to them.
func (c *Cluster) admission(t *tenure, name string) (admitReply, error) {
	if c.inOffice() != t {
		return admitReply{}, errNoLeader
	}
	r, err := c.recovered()
	if err != nil {
		return admitReply{}, err
	}
	if r != nil {
		members := c.members()
		r.Without = slices.DeleteFunc(r.Without, func(other string) bool { return other == name || member(members, other) })
	}
	return admitReply{Term: t.term, Recovered: r}, nil
}

// enter notes in which term this node was let in, and of whom it is to be wary, before it runs Raft.
func (c *Cluster) enter(in admitReply) error {
	if err := c.noteToldRecovered(in.Recovered); err != nil {
		return err
	}
	known, err := c.log.getUint64(keyCurrentTerm)
	if err != nil && !notFound(err) || known >= in.Term {
		return err
	}
	return c.log.set(keyCurrentTerm, bigEndian(in.Term))
}

// isNonvoter reports whether a member has no vote in the newest configuration that is certain to last: that of
// the state. What Raft calls its configuration may still be undone.
func (c *Cluster) isNonvoter(name string) bool {
	servers, _ := c.committedMembers()
	i := slices.IndexFunc(servers, func(s raft.Server) bool { return s.ID == raft.ServerID(name) })
	return i >= 0 && servers[i].Suffrage != raft.Voter
}

// committedMembers are those of the newest configuration that is certain to last, and its index.
func (c *Cluster) committedMembers() ([]raft.Server, uint64) {
	data, index := c.st.Configuration()
	if len(data) == 0 {
		return nil, 0
	}
	return raft.DecodeConfiguration(data).Servers, index
}
