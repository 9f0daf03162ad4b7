package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node/cluster"
)

func newClusterJoinCommand(a *app) *cobra.Command {
	var node operatorFlags
	var replica bool
	c := &cobra.Command{
		Use:   "join --config FILE NAME=HOST:PORT",
		Short: "make a running node a member of the cluster",
		Long: `Makes a node that was started and waits a member of the cluster. It first gets everything
that the others have, and votes only when it has caught up, so that a join never costs the
others their majority. The command ends when the node votes, a replica's when it is a member;
interrupted, the node goes on to catch up, and the same command can be given again. For a member
at that address it changes nothing, and ends when it votes: what one waits for after its
data was lost, before anything is done to another node.

--config and --admin name a node that is a member already. HOST:PORT is where the members
reach the new node (its node-address or node-listen). For a founding node it is what the settings of
all nodes say; another is refused, since these win.`,
		Example: `  dcann cluster init --dir D --add n4=127.0.0.1:7504,127.0.0.1:7404
  dcann serve --config D/n4/node.yaml &
  dcann cluster join --config D/n1/node.yaml n4=127.0.0.1:7504
  dcann cluster join --config D/n1/node.yaml --replica r1=127.0.0.1:7505`,
		Args: exactly("NAME=HOST:PORT"),
	}
	node.add(c)
	c.Flags().BoolVar(&replica, "replica", false, "as a read replica: it never votes (its node.yaml says replica: true)")
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := parsePeer(args[0])
		if err != nil {
			return usageError{err}
		}
		address, err := node.address(a, c)
		if err != nil {
			return err
		}
		question := struct {
			Name    string `json:"name"`
			Address string `json:"address"`
			Replica bool   `json:"replica"`
		}{p.Name, p.Address, replica}
		op := a.operator(address, a.long(c))
		told, stop := context.WithCancel(c.Context())
		var telling sync.WaitGroup
		telling.Go(func() { op.tellJoin(told, p.Name) })
		err = op.json(c.Context(), http.MethodPost, "/cluster/join", question, nil)
		stop()
		telling.Wait()
		if err != nil {
			return err
		}
		as := "a member that votes"
		if replica {
			as = "a read replica"
		}
		a.say("%s is %s", p.Name, as)
		return nil
	}
	return c
}

// joinPoll is how often it is looked how far a node is that joins.
const joinPoll = 2 * time.Second

// tellJoin says now and then how far a node is that joins, until ctx is done.
func (op *operator) tellJoin(ctx context.Context, name string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(joinPoll):
		}
		var o cluster.Overview
		if err := op.json(ctx, http.MethodGet, "/cluster", nil, &o); err != nil {
			continue
		}
		for _, n := range o.Nodes {
			if n.Name == name && !n.Voter {
				op.app.say("%s is a member, has applied %d of %d entries, and votes when it has caught up, whether this command waits for that or not", name, n.Applied, o.Commit)
			}
		}
	}
}

func newClusterRemoveCommand(a *app) *cobra.Command {
	var node operatorFlags
	c := &cobra.Command{
		Use:   "remove --config FILE NAME",
		Short: "take a node out of the cluster, for good",
		Long: `Takes a member out of the cluster, whether it runs or is lost. The others go on without it:
what counts as a majority becomes less. Stop the node before or after. To come back, it is
joined again with an empty data directory.

A node that is only stopped for a while need not be removed. One that stays away is removed
by itself after --remove-dead-after (dcann serve) if three that vote stay.`,
		Example: `  dcann cluster remove --config D/n1/node.yaml n3`,
		Args:    exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			address, err := node.address(a, c)
			if err != nil {
				return err
			}
			question := struct {
				Name string `json:"name"`
			}{args[0]}
			if err := a.operator(address, a.timeout).json(c.Context(), http.MethodPost, "/cluster/remove", question, nil); err != nil {
				return err
			}
			a.say("%s is not a member any more", args[0])
			return nil
		},
	}
	node.add(c)
	return c
}

func newClusterTransferCommand(a *app) *cobra.Command {
	var node operatorFlags
	var to string
	c := &cobra.Command{
		Use:   "transfer --config FILE",
		Short: "let another node lead, before the one that leads is stopped",
		Long: `Lets another member lead: the one named by --to, or whichever has most. Done before the leader
is stopped, writes pause for less than an election takes. A node that is stopped in good
order does this by itself.`,
		Example: `  dcann cluster transfer --config D/n1/node.yaml
  dcann cluster transfer --config D/n1/node.yaml --to n2`,
		Args: exactly(),
	}
	node.add(c)
	c.Flags().StringVar(&to, "to", "", "name of the member that is to lead (default: any)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		address, err := node.address(a, c)
		if err != nil {
			return err
		}
		if to == "" && c.Flags().Changed("to") {
			return usagef("--to is empty: expected the name of a member, or no --to for any")
		}
		question := struct {
			To string `json:"to"`
		}{to}
		op := a.operator(address, a.timeout)
		if err := op.json(c.Context(), http.MethodPost, "/cluster/transfer", question, nil); err != nil {
			return err
		}
		var o cluster.Overview
		if err := op.json(c.Context(), http.MethodGet, "/cluster", nil, &o); err != nil || o.Leader == "" {
			o.Leader = "another node"
		}
		if to != "" {
			o.Leader = to
		}
		a.say("%s leads", o.Leader)
		return nil
	}
	return c
}
