package main

import (
	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
)

func newBenchCommand(a *app) *cobra.Command {
	return group("bench", "put load on a registry and measure what it does",
		`Makes passports by the million and asks for them, over HTTP, as anybody would: every
passport is made by its own signed operation. Only answers with a status of 2xx are
counted. Point it at a registry that you run to try things on; it writes to it.`,
		newBenchFillCommand(a), newBenchWriteCommand(a), newBenchResolveCommand(a), newBenchBatchCommand(a),
		newBenchFirstCommand(a), newBenchStoreCommand(a),
		newBenchSpreadCommand(a), newBenchGapCommand(a), newBenchVisibleCommand(a))
}

// showBench prints a report; a run without a single success is an error, so that scripts stop.
func (a *app) showBench(r *benchReport) error {
	if err := a.show(r, r.text); err != nil {
		return err
	}
	if r.Requests == 0 {
		return &registry.Error{Kind: registry.Unavailable, Detail: "bench: not one request was answered"}
	}
	return nil
}
