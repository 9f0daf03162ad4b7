package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/registry"
)

func newClusterRecoverCommand(a *app) *cobra.Command {
	var file string
	var force bool
	c := &cobra.Command{
		Use:   "recover --config FILE",
		Short: "go on with what one node has, when the majority is lost for good",
		Long: `The last resort, when the majority of those that vote will never come back: makes the data of
one node that does not run the registry's, with this node as its only member. What the lost
nodes had acknowledged and this one never got is lost: take the node that is furthest.
A majority that comes back later must not be started again with its old data.

  1. Stop all nodes that are left; compare how far each is: the last index is in the log of
     its last run, and in dcann cluster status while it ran.
  2. Recover on the one that is furthest, and start it: it leads alone.
  3. Give each other node an empty data directory, start it, and dcann cluster join it.

Do it on one node only: two that are recovered are two registries. So the command first asks
the other nodes that this one knows, for a few seconds. It changes nothing when a majority of
those that vote, with this node, is there, or when one says that somebody leads: then this node is
to be started, not recovered. --force does not ask.`,
		Example: `  dcann cluster recover --config D/n2/node.yaml
  dcann serve --config D/n2/node.yaml
  dcann cluster join --config D/n2/node.yaml n1=127.0.0.1:7501`,
		Args: exactly(),
	}
	c.Flags().StringVar(&file, "config", "", "file that the node is started with (dcann serve --config)")
	c.Flags().BoolVar(&force, "force", false, "without asking the others whether they are lost")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := a.configOf(file)
		if err != nil {
			return err
		}
		done, err := node.Recover(c.Context(), config, force)
		if errors.Is(err, registry.Conflict) {
			return fmt.Errorf("%w; --force goes on all the same", err)
		}
		if err != nil {
			return configError(err)
		}
		without := "as before"
		if len(done.Without) > 0 {
			without = "without " + strings.Join(done.Without, ", ")
		}
		a.say("%s goes on alone, %s, from index %d: start it, then join others to it with empty data directories", config.Name, without, done.Last)
		return nil
	}
	required(c, "config")
	return c
}
