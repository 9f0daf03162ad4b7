package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node/cluster"
)

func newClusterStatusCommand(a *app) *cobra.Command {
	var node operatorFlags
	c := &cobra.Command{
		Use:   "status --config FILE",
		Short: "show the members of a cluster, and how far each is",
		Long: `Shows the members of a cluster as its leader sees them; if nobody leads, what the node that
is asked knows.

  role      leader, voter, replica (never votes), joining (not yet caught up), or nonvoter (one of these)
  applied   how far into the log the member's state is
  lag       how many entries that is behind what is committed
  heard     how long ago the leader heard from it; what it has not said is shown as -
  level     the newest level that its release knows; the cluster's own is above the table
  healthy   heard from lately, and caught up`,
		Example: `  dcann cluster status --config D/n1/node.yaml
  dcann cluster status --admin unix:/var/lib/dcann/admin.sock -o json`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			address, err := node.address(a, c)
			if err != nil {
				return err
			}
			var o cluster.Overview
			if err := a.operator(address, a.timeout).json(c.Context(), http.MethodGet, "/cluster", nil, &o); err != nil {
				return err
			}
			return a.show(o, func(w io.Writer) { writeOverview(w, o) })
		},
	}
	node.add(c)
	return c
}

func writeOverview(w io.Writer, o cluster.Overview) {
	if o.Removed {
		_ = printLine(w, "%s; ask a member how the registry is", cluster.Removal(o.Node))
	} else if o.Leader == "" {
		_ = printLine(w, "nobody leads in term %d, as node %s knows: no majority of those that vote is in touch", o.Term, o.Node)
	} else {
		_ = printLine(w, "%s leads in term %d; %d entries are committed; the state has level %d", o.Leader, o.Term, o.Commit, o.Level)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "NAME\tADDRESS\tROLE\tAPPLIED\tLAG\tHEARD\tLEVEL\tVERSION\tHEALTHY")
	for _, n := range o.Nodes {
		heard, healthy, applied, lag := "never", "no", "-", "-"
		if n.Heard != nil {
			heard = (time.Duration(*n.Heard) * time.Millisecond).String() + " ago"
			applied, lag = strconv.FormatUint(n.Applied, 10), strconv.FormatUint(n.Lag, 10)
		}
		if n.Leader || n.Name == o.Node {
			heard = "-"
		}
		if n.Healthy {
			healthy = "yes"
		}
		if o.Leader == "" {
			healthy = "unknown" // who does not lead hears from nobody
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", visible(n.Name), visible(n.Address), role(n),
			applied, lag, heard, known(uint64(n.MaxLevel)), orDash(visible(n.Version)), healthy)
	}
}

func role(n cluster.NodeStatus) string {
	switch {
	case n.Leader:
		return "leader"
	case n.Voter:
		return "voter"
	case n.Replica:
		return "replica"
	case n.Heard == nil:
		return "nonvoter" // a replica, or joining: it has not said
	}
	return "joining"
}

// known is a number that is 0 while nobody has reported it.
func known(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
