package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

func newBenchFirstCommand(a *app) *cobra.Command {
	var id string
	var since int64
	var patience time.Duration
	c := &cobra.Command{
		Use:   "first",
		Short: "ask until a node answers; print how long it took",
		Long: `Asks for one passport, or without --id whether the node is ready, over and over until
it answers with 200, and prints the milliseconds since the start, or since --since: how
long a node takes to come back.`,
		Example: `  dcann bench first --id did:dcann:xz:b… --since "$(date +%s%N)"`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			target, err := parseBenchTarget(a.registry)
			if err != nil {
				return err
			}
			path := wire.PathReady
			if id != "" {
				if _, err := registry.ParseID(id); err != nil {
					return usagef("--id: %v", err)
				}
				path = wire.PathIdentifiers + id
			}
			start := time.Now()
			if since > 0 {
				start = time.Unix(0, since)
			}
			ctx, cancel := context.WithTimeout(c.Context(), patience)
			defer cancel()
			if err := awaitFirst(ctx, target, path); err != nil {
				return err
			}
			_, err = a.stdout.Write(append(strconv.AppendFloat(nil, float64(time.Since(start).Microseconds())/1e3, 'f', 1, 64), '\n'))
			return err
		},
	}
	c.Flags().StringVar(&id, "id", "", "the passport; empty: ask whether the node is ready")
	c.Flags().Int64Var(&since, "since", 0, "when the clock started, in nanoseconds since 1970")
	c.Flags().DurationVar(&patience, "patience", time.Minute, "when to give up")
	return c
}

// awaitFirst asks every 2 ms. A node that is still starting refuses the connection or says 503.
func awaitFirst(ctx context.Context, target benchTarget, path string) error {
	conn := newBenchConn(target)
	defer conn.close()
	request, last := target.get(path), "never reached"
	for {
		status, err := conn.do(ctx, request)
		switch {
		case err == nil && status == 200:
			return nil
		case err != nil:
			last = err.Error()
		default:
			last = benchProblem(status, conn.body)
		}
		select {
		case <-ctx.Done():
			return &registry.Error{Kind: registry.Unavailable, Detail: "no answer in time; the last: " + last}
		case <-time.After(2 * time.Millisecond):
		}
	}
}
