package main

import (
	"crypto/rand"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry/wire"
)

func newBenchWriteCommand(a *app) *cobra.Command {
	var f benchLoadFlags
	var p benchPeopleFlags
	var presign int
	var again bool
	var sample string
	c := &cobra.Command{
		Use:   "write",
		Short: "create passports, one a request",
		Long: `Signs operations before the clock starts, then sends each in a request of its own.
When they run out before --duration is over, the run ends early: its figures are of
the time that it took.`,
		Example: `  dcann bench write --duration 10s --conns 64`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			target, err := f.target(a)
			if err != nil {
				return err
			}
			if !c.Flags().Changed("seed") {
				p.seed = rand.Text() // else a second run would find everything known already
			}
			people, err := p.people(c.Context(), a, target)
			if err != nil {
				return err
			}
			queue := &writeQueue{again: again, requests: signRequests(people, target, presign, a.now().Unix())}
			a.say("signed %d operations", presign)
			if sample != "" {
				return queue.keepSample(c, target, sample)
			}
			load := benchLoad{target: target, conns: f.conns, duration: f.duration, rate: f.rate,
				worker: func(int) benchWorker { return writeWorker{queue} }}
			return a.showBench(load.run(c.Context()))
		},
	}
	f.add(c)
	p.add(c)
	c.Flags().IntVar(&presign, "presign", 100_000, "how many operations to sign before the clock starts; 2.5 KB each")
	c.Flags().BoolVar(&again, "again", false, "send them again and again: for a reference that looks at nothing")
	c.Flags().StringVar(&sample, "sample", "", "send one operation only and write the answer, headers and body, to this file")
	return c
}

// signRequests makes n whole requests on all processors.
func signRequests(p *benchPeople, t benchTarget, n int, iat int64) [][]byte {
	requests := make([][]byte, n)
	var done sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		done.Go(func() {
			var op []byte
			for i := w; i < n; i += workers {
				op, _ = p.appendCreate(op[:0], uint64(i), iat)
				requests[i] = t.appendPost(make([]byte, 0, len(op)+160), wire.PathOperations, wire.TypeOperation, op)
			}
		})
	}
	done.Wait()
	return requests
}

// writeQueue hands out requests, each once. Safe for concurrent use.
type writeQueue struct {
	requests [][]byte
	again    bool
	taken    atomic.Int64
}

type writeWorker struct{ queue *writeQueue }

func (w writeWorker) next() ([]byte, bool) {
	n := int(w.queue.taken.Add(1) - 1)
	if w.queue.again {
		n %= len(w.queue.requests)
	}
	if n >= len(w.queue.requests) {
		return nil, false
	}
	return w.queue.requests[n], true
}

func (writeWorker) count([]byte) (int, int) { return 1, 0 }

func (q *writeQueue) keepSample(c *cobra.Command, target benchTarget, path string) error {
	conn := newBenchConn(target)
	defer conn.close()
	status, err := conn.do(c.Context(), q.requests[0])
	if err != nil {
		return err
	}
	if status != 201 {
		return usagef("the node answered %s: expected 201", benchProblem(status, conn.body))
	}
	return os.WriteFile(path, append(conn.head, conn.body...), 0o644)
}

// benchLoadFlags are those of every measurement.
type benchLoadFlags struct {
	conns    int
	duration time.Duration
	rate     float64
}

func (f *benchLoadFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&f.conns, "conns", 64, "connections")
	c.Flags().DurationVar(&f.duration, "duration", 10*time.Second, "how long")
	c.Flags().Float64Var(&f.rate, "rate", 0, "requests a second over all connections; 0: as fast as answers come")
}

func (f *benchLoadFlags) target(a *app) (benchTarget, error) {
	if f.conns < 1 || f.duration <= 0 || f.rate < 0 {
		return benchTarget{}, usagef("expected --conns of at least 1, a --duration above 0 and a --rate of 0 or more")
	}
	return parseBenchTarget(a.registry)
}
