package main

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry/wire"
)

// benchReadFlags are those of resolve and batch.
type benchReadFlags struct {
	benchLoadFlags
	ids  string
	dist string
}

func (f *benchReadFlags) add(c *cobra.Command) {
	f.benchLoadFlags.add(c)
	c.Flags().StringVar(&f.ids, "ids", "", "file of identifiers that dcann bench fill wrote")
	c.Flags().StringVar(&f.dist, "dist", benchUniform, "zipf: 10,000 identifiers by Zipf's law; uniform: all alike")
	required(c, "ids")
}

func newBenchResolveCommand(a *app) *cobra.Command {
	var f benchReadFlags
	c := &cobra.Command{
		Use:     "resolve --ids FILE",
		Short:   "resolve passports, one a request",
		Example: `  dcann bench resolve --ids ids.txt --dist zipf --duration 10s --conns 64`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return f.measure(c.Context(), a, func(t benchTarget, ids benchIDs, pick *benchPick) benchWorker {
				request := t.get(wire.PathIdentifiers + string(ids.at(0)))
				at := bytes.Index(request, ids.at(0))
				return &resolveWorker{ids: ids, pick: pick, request: request, id: request[at : at+benchIDLine-1]}
			})
		},
	}
	f.add(c)
	return c
}

func newBenchBatchCommand(a *app) *cobra.Command {
	var f benchReadFlags
	var size int
	c := &cobra.Command{
		Use:     "batch --ids FILE",
		Short:   "resolve passports, many a request",
		Example: `  dcann bench batch --ids ids.txt --size 1000 --conns 8`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if size < 1 {
				return usagef("--size %d: expected at least 1", size)
			}
			return f.measure(c.Context(), a, func(t benchTarget, ids benchIDs, pick *benchPick) benchWorker {
				return &batchWorker{target: t, ids: ids, pick: pick, size: size}
			})
		},
	}
	f.add(c)
	c.Flags().IntVar(&size, "size", 1000, "identifiers a request")
	return c
}

func (f *benchReadFlags) measure(ctx context.Context, a *app, worker func(benchTarget, benchIDs, *benchPick) benchWorker) error {
	target, err := f.target(a)
	if err != nil {
		return err
	}
	ids, err := readBenchIDs(f.ids)
	if err != nil {
		return err
	}
	picks := make([]*benchPick, f.conns)
	for i := range picks {
		if picks[i], err = newBenchPick(f.dist, ids.len(), i); err != nil {
			return err
		}
	}
	load := benchLoad{target: target, conns: f.conns, duration: f.duration, rate: f.rate,
		worker: func(i int) benchWorker { return worker(target, ids, picks[i]) }}
	return a.showBench(load.run(ctx))
}

type resolveWorker struct {
	ids     benchIDs
	pick    *benchPick
	request []byte
	id      []byte // where in request the identifier stands
}

func (w *resolveWorker) next() ([]byte, bool) {
	copy(w.id, w.ids.at(w.pick.next()))
	return w.request, true
}

func (*resolveWorker) count([]byte) (int, int) { return 1, 0 }

type batchWorker struct {
	target        benchTarget
	ids           benchIDs
	pick          *benchPick
	size          int
	body, request []byte
}

func (w *batchWorker) next() ([]byte, bool) {
	w.body = append(w.body[:0], '[')
	for i := range w.size {
		if i > 0 {
			w.body = append(w.body, ',')
		}
		w.body = append(append(append(w.body, '"'), w.ids.at(w.pick.next())...), '"')
	}
	w.body = append(w.body, ']')
	w.request = w.target.appendPost(w.request[:0], wire.PathResolve, wire.TypeJSON, w.body)
	return w.request, true
}

var benchFound = []byte(`,"status":200,`)

// count looks for the status of each line. It does not parse: that would cost the generator more than the
// answer costs the node, and a line that a test of the API parses has this form.
func (w *batchWorker) count(body []byte) (delivered, refused int) {
	delivered = bytes.Count(body, benchFound)
	return delivered, w.size - delivered
}
