package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/node/cluster"
)

func newClusterRecoverCommand(a *app) *cobra.Command {
	var file string
	var nodes []string
	c := &cobra.Command{
		Use:   "recover --config FILE",
		Short: "go on with what one node has, when the majority is lost for good",
		Long: `The last resort, when the majority of those that vote will never come back: makes the data of
one node that does not run the registry's, with new members, by default this node alone. What
the lost nodes had acknowledged and this one never got is lost: take the node that is furthest.
A majority that comes back later must not be started again with its old data.

  1. Stop all nodes that are left; compare how far each is: the last index is in the log of
     its last run, and in dcann cluster status while it ran.
  2. Recover on the one that is furthest, and start it: it leads alone.
  3. Give each other node an empty data directory, start it, and dcann cluster join it.

With --node for all members, this one among them, several nodes that have the same data go on
together; the same command is then given on each of them.`,
		Example: `  dcann cluster recover --config D/n2/node.yaml
  dcann serve --config D/n2/node.yaml
  dcann cluster join --config D/n2/node.yaml n1=127.0.0.1:7501`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringVar(&file, "config", "", "file that the node is started with (dcann serve --config)")
	f.StringArrayVar(&nodes, "node", nil, "a member from now on, NAME=HOST:PORT; once for each (default: this node alone)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := a.configOf(file)
		if err != nil {
			return err
		}
		var members []cluster.Peer
		for _, text := range nodes {
			p, err := parsePeer(text)
			if err != nil {
				return usageError{fmt.Errorf("--node %w", err)}
			}
			members = append(members, p)
		}
		if err := node.Recover(c.Context(), config, members); err != nil {
			return configError(err)
		}
		if len(members) == 0 {
			a.say("%s goes on alone: start it, then join others to it with empty data directories", config.Name)
		} else {
			a.say("%s goes on with the members %s: do the same on each, then start them", config.Name, strings.Join(nodes, ", "))
		}
		return nil
	}
	required(c, "config")
	return c
}
