package main

import (
	"errors"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node/cluster"
)

func newClusterCheckCommand(a *app) *cobra.Command {
	var node operatorFlags
	var full bool
	c := &cobra.Command{
		Use:   "check --config FILE",
		Short: "compare the state of all nodes",
		Long: `Compares the running hash over everything that the nodes have applied, at one index. Nodes
that applied the same have the same hash; the exit code is 1 if one differs or does not
answer. --full also reads every row of every node and compares it with the hash, which takes
as long as reading the disk does and finds rows that were damaged on disk.`,
		Example: `  dcann cluster check --config D/n1/node.yaml
  dcann cluster check --config D/n1/node.yaml --full -o json`,
		Args: exactly(),
	}
	node.add(c)
	c.Flags().BoolVar(&full, "full", false, "read every row of every node, too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		address, err := node.address(a, c)
		if err != nil {
			return err
		}
		question := struct {
			Full bool `json:"full"`
		}{full}
		var r cluster.CheckReport
		if err := a.operator(address, a.long(c)).json(c.Context(), http.MethodPost, "/cluster/check", question, &r); err != nil {
			return err
		}
		if err := a.show(r, func(w io.Writer) { writeCheck(w, r) }); err != nil {
			return err
		}
		if !r.Equal {
			return errors.New("the nodes are not all shown to be equal: one that differs must be stopped, wiped and joined again, one that did not answer be started")
		}
		return nil
	}
	return c
}

func writeCheck(w io.Writer, r cluster.CheckReport) {
	for _, n := range r.Nodes {
		text := n.Hash
		if n.Hash == "" {
			text = "no answer"
		}
		if n.Problem != "" {
			text += "  " + n.Problem
		}
		_ = printLine(w, "%-12s %s", n.Name, text)
	}
	what := "hashes"
	if r.Full {
		what = "hashes and all rows"
	}
	if r.Equal {
		_ = printLine(w, "equal: %s of %d nodes at index %d", what, len(r.Nodes), r.Index)
	} else {
		_ = printLine(w, "NOT EQUAL at index %d", r.Index)
	}
}
