package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

// heardLately is how recently the leader must have heard from a member for what it says of itself to count: as the
// leader has it. One that is down may come back with another release.
const heardLately = 3 * time.Second

// heardPatience is how long one waits for a member to be heard.
const heardPatience = 3 * time.Second

func newClusterUpgradeCommand(a *app) *cobra.Command {
	var node operatorFlags
	c := &cobra.Command{
		Use:   "upgrade --config FILE",
		Short: "raise the level of the state, once every member runs a release that knows it",
		Long: `The last step of a rolling upgrade. New releases understand the commands of older ones; what
only they know is used from the level on that all members know, and from then on an older
release does not start on this data any more. So: stop, replace and start the nodes one after
the other, then give this command once. It raises the level as far as every member allows,
says what keeps it from rising, and does nothing while a member cannot be heard.`,
		Example: `  dcann cluster upgrade --config D/n1/node.yaml`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			address, err := node.address(a, c)
			if err != nil {
				return err
			}
			op := a.operator(address, a.timeout)
			o, level, limit, err := op.level(c.Context())
			if err != nil {
				return err
			}
			if level == o.Level {
				a.say("the state has level %d already; %s", o.Level, limit)
				return nil
			}
			if err := op.post(c.Context(), "/level", []byte(strconv.FormatUint(uint64(level), 10))); err != nil {
				return err
			}
			a.say("the state has level %d, it was %d; %s", level, o.Level, limit)
			return nil
		},
	}
	node.add(c)
	return c
}

// level is levelFor, asked for again for a while: a leader that is new has not heard from everybody.
func (o *operator) level(ctx context.Context) (seen cluster.Overview, level uint32, limit string, err error) {
	for end := time.Now().Add(heardPatience); ; {
		seen = cluster.Overview{}
		if err := o.json(ctx, http.MethodGet, "/cluster", nil, &seen); err != nil {
			return seen, 0, "", err
		}
		level, limit, err = levelFor(seen)
		if err == nil || time.Now().After(end) {
			return seen, level, limit, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return seen, 0, "", ctx.Err()
		}
	}
}

// levelFor is the highest level that all members know, at least the present one, and what keeps it from
// being higher. The error's kind is Unavailable while a member's is not known.
func levelFor(o cluster.Overview) (level uint32, limit string, err error) {
	if o.Leader == "" || len(o.Nodes) == 0 {
		return 0, "", unavailable("nobody leads, as node %s knows: expected a majority of those that vote to run", o.Node)
	}
	var least, newest uint32
	var holding, silent []string
	for _, n := range o.Nodes {
		heard := n.Leader || n.Heard != nil && time.Duration(*n.Heard)*time.Millisecond <= heardLately
		if !heard || n.MaxLevel == 0 {
			silent = append(silent, n.Name)
			continue
		}
		if least == 0 || n.MaxLevel < least {
			least, holding = n.MaxLevel, nil
		}
		if n.MaxLevel == least {
			holding = append(holding, fmt.Sprintf("%s (release %s)", n.Name, n.Version))
		}
		newest = max(newest, n.MaxLevel)
	}
	if len(silent) > 0 {
		return 0, "", unavailable("not heard lately: %s. So it is not known which level their releases know, and the state stays at level %d: start them, or take out who does not come back (dcann cluster remove %s)",
			strings.Join(silent, ", "), o.Level, silent[0])
	}
	limit = "all members know no higher one"
	if newest > least {
		limit = fmt.Sprintf("level %d waits for a newer release on %s", newest, strings.Join(holding, ", "))
	}
	return max(least, o.Level), limit, nil
}

func unavailable(format string, args ...any) error {
	return &registry.Error{Kind: registry.Unavailable, Detail: fmt.Sprintf(format, args...)}
}
