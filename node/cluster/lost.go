package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// witness is what another node says to one that is to go on without it.
type witness struct {
	name     string
	begun    bool   // it answered, and has data
	leader   string // who leads, as it knows
	stranger bool   // it is of a registry of which this node is no member
	friend   bool   // it is of one of which this node is a member
}

// lost returns nil unless the majority, which is believed to be lost, is there, with this node: all that this node knows are asked, once
// and all at once. No answer proves nothing, so it is the operator who says in the end that they are gone. The
// error's kind is Conflict. It is for a node that is stopped.
func (c *Cluster) lost(ctx context.Context) (err error) {
	if c.cfg.Net == nil {
		return nil
	}
	conf, err := c.newest()
	if err != nil {
		return err
	}
	peers := slices.Clone(c.cfg.Nodes)
	for _, s := range conf.Servers {
		peers = append(peers, Peer{string(s.ID), string(s.Address)})
	}
	c.told.note(peers) // what is in the settings wins
	if c.links, err = c.cfg.Net.Connect(c.addressOf, c.answer); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.unlink()) }()
	var begun, voting, leading []string
	voters := votersAmong(conf)
	for _, w := range c.witnesses(ctx, peers) {
		if !w.begun {
			continue
		}
		begun = append(begun, w.name)
		if slices.Contains(voters, w.name) {
			voting = append(voting, w.name)
		}
		switch {
		case w.stranger:
			leading = append(leading, fmt.Sprintf("%s goes on without %s", w.name, c.cfg.Name))
		case w.leader != "" && w.leader != c.cfg.Name:
			leading = append(leading, fmt.Sprintf("%s says that %s leads", w.name, w.leader))
		}
	}
	if slices.Contains(voters, c.cfg.Name) {
		voting = append(voting, c.cfg.Name)
	}
	what := fmt.Sprintf("with node %s, %d of the %d that vote are there", c.cfg.Name, len(voting), len(voters))
	if slices.Sort(leading); len(leading) > 0 {
		what = strings.Join(leading, ", ")
	} else if len(begun) == 0 || len(voting) < len(voters)/2+1 {
		return nil
	}
	slices.Sort(begun)
	return &registry.Error{Kind: registry.Conflict, Detail: fmt.Sprintf(
		"the majority is not lost: %s answered and have data; %s. Beside them, node %s alone would be a second registry of the same country. Nothing was changed. Start node %s, and it goes on with them; if it is not to, take it out (dcann cluster remove %s) and empty its data directory",
		strings.Join(begun, ", "), what, c.cfg.Name, c.cfg.Name, c.cfg.Name)}
}

// votersAmong are the names of those that vote in conf.
func votersAmong(conf raft.Configuration) (names []string) {
	for _, s := range conf.Servers {
		if s.Suffrage == raft.Voter {
			names = append(names, string(s.ID))
		}
	}
	return names
}

// witnesses asks others, all at once, for a few seconds at most.
func (c *Cluster) witnesses(ctx context.Context, peers []Peer) (all []witness) {
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	said := make(chan witness, len(peers))
	asked := map[string]bool{c.cfg.Name: true}
	for _, p := range peers {
		if asked[p.Name] {
			continue
		}
		asked[p.Name] = true
		go func() { said <- c.witness(ctx, p) }()
	}
	for range len(asked) - 1 {
		all = append(all, <-said)
	}
	return all
}

func (c *Cluster) witness(ctx context.Context, p Peer) witness {
	m := c.greet(ctx, p)
	w := witness{name: p.Name, begun: m.err == nil && m.hello.Begun}
	if w.begun {
		var o Overview
		err := c.call(ctx, p.Name, methodOverview, none{}, &o)
		w.leader, w.stranger, w.friend = o.Leader, errors.Is(err, errStranger), err == nil
	}
	return w
}
