package main

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/spf13/cobra"
)

func newBenchSpreadCommand(a *app) *cobra.Command {
	var f benchLoadFlags
	var p benchPeopleFlags
	var presign int
	var nodes []string
	c := &cobra.Command{
		Use:   "spread --node URL,URL,…",
		Short: "create passports at several nodes at once, one a request",
		Long: `As dcann bench write, with the connections shared out among the nodes of a cluster
and the operations in one queue for all. The figures are of all nodes together.`,
		Example: `  dcann bench spread --node http://127.0.0.1:7401,http://127.0.0.1:7402,http://127.0.0.1:7403`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := f.target(a); err != nil {
				return err
			}
			targets, err := parseBenchTargets(nodes)
			if err != nil {
				return err
			}
			if f.conns < len(targets) {
				return usagef("--conns %d: expected one for each of %d nodes at least", f.conns, len(targets))
			}
			if !c.Flags().Changed("seed") {
				p.seed = rand.Text()
			}
			a.registry = nodes[0]
			people, err := p.people(c.Context(), a, targets[0])
			if err != nil {
				return err
			}
			// The first node's name stands in the Host header of all: a node does not look at it.
			queue := &writeQueue{requests: signRequests(people, targets[0], presign, a.now().Unix())}
			a.say("signed %d operations", presign)
			return a.showBench(f.spread(c.Context(), targets, queue))
		},
	}
	f.add(c)
	p.add(c)
	c.Flags().IntVar(&presign, "presign", 100_000, "how many operations to sign before the clock starts; 2.5 KB each")
	c.Flags().StringSliceVar(&nodes, "node", nil, "base URLs of the nodes")
	required(c, "node")
	return c
}

// parseBenchTargets takes the base URLs of one node or more.
func parseBenchTargets(urls []string) ([]benchTarget, error) {
	if len(urls) == 0 {
		return nil, usagef("expected the base URL of one node at least")
	}
	targets := make([]benchTarget, len(urls))
	for i, url := range urls {
		var err error
		if targets[i], err = parseBenchTarget(url); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// spread puts the load on all targets at the same time and sums up.
func (f *benchLoadFlags) spread(ctx context.Context, targets []benchTarget, queue *writeQueue) *benchReport {
	parts := make([]*benchReport, len(targets))
	var all sync.WaitGroup
	for i, target := range targets {
		conns := f.conns / len(targets)
		if i < f.conns%len(targets) {
			conns++
		}
		load := benchLoad{target: target, conns: conns, duration: f.duration, rate: f.rate / float64(len(targets)),
			worker: func(int) benchWorker { return writeWorker{queue} }}
		all.Go(func() { parts[i] = load.run(ctx) })
	}
	all.Wait()
	return sumReports(parts)
}

// sumReports is what loads that ran side by side did together; it lasted as long as the longest of them.
func sumReports(parts []*benchReport) *benchReport {
	total := &benchReport{Errors: map[string]int{}}
	for _, p := range parts {
		total.Seconds = max(total.Seconds, p.Seconds)
		total.Requests, total.Items, total.Bytes = total.Requests+p.Requests, total.Items+p.Items, total.Bytes+p.Bytes
		total.latency.merge(&p.latency)
		for kind, n := range p.Errors {
			total.Errors[kind] += n
		}
	}
	total.PerSecond, total.ItemsPerS = float64(total.Requests)/total.Seconds, float64(total.Items)/total.Seconds
	micros := func(q float64) float64 { return float64(total.latency.quantile(q)) / 1e3 }
	total.P50Micros, total.P90Micros, total.P99Micros, total.P999Micros, total.MaxMicros = micros(0.5), micros(0.9), micros(0.99), micros(0.999), micros(1)
	return total
}
