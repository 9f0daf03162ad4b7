package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry/wire"
)

// gapReport is what a cluster did while something happened to it.
type gapReport struct {
	Seconds     float64        `json:"seconds"`
	Writes      int            `json:"writes"`     // acknowledged
	WriteTries  map[string]int `json:"writeTries"` // answers that were no acknowledgement, by kind; each was tried again
	Unfinished  int            `json:"unfinished"` // operations that were not acknowledged when the time was over
	GapMillis   float64        `json:"gapMillis"`  // the longest time without an acknowledged write
	GapAtMillis float64        `json:"gapAtMillis"`
	Reads       int            `json:"reads"`      // answered
	ReadErrors  map[string]int `json:"readErrors"` // by node and kind
	ReadFailed  int            `json:"readFailed"` // sum of readErrors
	ReadP50     float64        `json:"readP50Micros"`
	ReadP99     float64        `json:"readP99Micros"`
	ReadMax     float64        `json:"readMaxMicros"`
}

func (r *gapReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d writes acknowledged in %.1f s, the longest time without one %.0f ms, from %.0f ms on; %d unfinished\n",
		r.Writes, r.Seconds, r.GapMillis, r.GapAtMillis, r.Unfinished)
	for _, kind := range slices.Sorted(maps.Keys(r.WriteTries)) {
		fmt.Fprintf(w, "%8d tried again: %s\n", r.WriteTries[kind], kind)
	}
	fmt.Fprintf(w, "%d reads answered, %d failed; p50 %.0f µs, p99 %.0f µs, most %.0f µs\n", r.Reads, r.ReadFailed, r.ReadP50, r.ReadP99, r.ReadMax)
	for _, kind := range slices.Sorted(maps.Keys(r.ReadErrors)) {
		fmt.Fprintf(w, "%8d failed: %s\n", r.ReadErrors[kind], kind)
	}
}

// gap is one run of dcann bench gap.
type gap struct {
	writeTo, readFrom   []benchTarget
	writers             int
	writeRate, readRate float64 // a second; of all writers, and of each node
	duration            time.Duration
	people              *benchPeople
	iat                 int64
	ids                 benchIDs

	passports atomic.Uint64 // the next one's number
	mu        sync.Mutex
	acked     []time.Duration // since the start, in the order in which the answers came
}

func newBenchGapCommand(a *app) *cobra.Command {
	var g gap
	var p benchPeopleFlags
	var nodes, read []string
	var ids string
	c := &cobra.Command{
		Use:   "gap --node URL,URL,… --read URL,… --ids FILE",
		Short: "measure for how long a cluster acknowledges no write, and which reads fail",
		Long: `Writes to the nodes of --node: who gets no answer, or one that is no success, sends the
same operation to the next node, as a client would. Reads without a retry, bounded,
from the nodes of --read. What happens to the cluster meanwhile is somebody else's to do:
kill its leader, which --read should not name, and the report says how long the longest
time without an acknowledged write was. An interrupt ends it early, with its report.`,
		Example: `  dcann bench gap --node $N1,$N2,$N3 --read $N2,$N3 --ids ids.txt --duration 10s & sleep 3; kill -9 $LEADER; wait`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if g.writers < 1 || g.duration <= 0 || g.readRate <= 0 || g.writeRate < 0 {
				return usagef("expected --conns of at least 1, --duration and --read-rate above 0, --rate of 0 or more")
			}
			if g.writeTo, err = parseBenchTargets(nodes); err != nil {
				return err
			}
			if g.readFrom, err = parseBenchTargets(read); err != nil {
				return err
			}
			if g.ids, err = readBenchIDs(ids); err != nil {
				return err
			}
			p.seed, a.registry = rand.Text(), nodes[0]
			if g.people, err = p.people(c.Context(), a, g.writeTo[0]); err != nil {
				return err
			}
			g.iat = a.now().Unix()
			r := g.run(c.Context())
			return a.show(r, r.text)
		},
	}
	c.Flags().StringSliceVar(&nodes, "node", nil, "base URLs of the nodes to write to")
	c.Flags().StringSliceVar(&read, "read", nil, "base URLs of the nodes to read from")
	c.Flags().StringVar(&ids, "ids", "", "file of identifiers that dcann bench fill wrote")
	c.Flags().IntVar(&g.writers, "conns", 16, "connections that write")
	c.Flags().Float64Var(&g.writeRate, "rate", 0, "writes a second over all connections; 0: as fast as answers come")
	c.Flags().Float64Var(&g.readRate, "read-rate", 200, "reads a second from each node")
	c.Flags().DurationVar(&g.duration, "duration", 10*time.Second, "how long")
	p.add(c)
	required(c, "node", "read", "ids")
	return c
}

// run ends after the duration, or when ctx is done, and reports what was until then.
func (g *gap) run(whole context.Context) *gapReport {
	start := time.Now()
	ctx, cancel := context.WithDeadline(whole, start.Add(g.duration))
	defer cancel()
	tries := make([]map[string]int, g.writers)
	reads := make([]*benchReport, len(g.readFrom))
	var unfinished atomic.Int64
	var all sync.WaitGroup
	for i := range tries {
		tries[i] = map[string]int{}
		all.Go(func() {
			if !g.write(ctx, i, start, tries[i]) {
				unfinished.Add(1)
			}
		})
	}
	for i, target := range g.readFrom {
		load := benchLoad{target: target, conns: 4, rate: g.readRate, duration: g.duration,
			worker: func(n int) benchWorker { return newGapReader(target, g.ids, n) }}
		all.Go(func() { reads[i] = load.run(whole) })
	}
	all.Wait()
	return g.report(time.Since(start), tries, int(unfinished.Load()), reads)
}

// write creates one passport after the other until ctx is done; it reports whether the last one it sent was
// acknowledged.
func (g *gap) write(ctx context.Context, writer int, start time.Time, tries map[string]int) bool {
	conns := make([]*benchConn, len(g.writeTo))
	for i, target := range g.writeTo {
		conns[i] = newBenchConn(target)
		defer conns[i].close()
	}
	at := writer % len(conns)
	schedule := benchLoad{rate: g.writeRate}
	var op, request []byte
	for k := 0; ; k++ {
		if g.writeRate > 0 {
			schedule.waitTurn(time.Now(), start, writer+k*g.writers)
		}
		if ctx.Err() != nil {
			return true
		}
		op, _ = g.people.appendCreate(op[:0], g.passports.Add(1)-1, g.iat)
		for {
			request = g.writeTo[at].appendPost(request[:0], wire.PathOperations, wire.TypeOperation, op)
			status, err := conns[at].do(ctx, request)
			if err == nil && status/100 == 2 {
				break
			}
			kind := "network"
			if err == nil {
				kind = benchProblem(status, conns[at].body)
			}
			if ctx.Err() != nil {
				return false
			}
			tries[kind]++
			at = (at + 1) % len(conns)
			time.Sleep(5 * time.Millisecond)
		}
		g.acknowledged(time.Since(start))
	}
}

func (g *gap) acknowledged(at time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acked = append(g.acked, at)
}

// longest is the longest time without an acknowledged write from the first one on, and when it began. What
// was still without one at the end counts.
func longest(acked []time.Duration, end time.Duration) (gap, from time.Duration) {
	if len(acked) == 0 {
		return end, 0
	}
	slices.Sort(acked)
	for i, at := range acked {
		next := end
		if i+1 < len(acked) {
			next = acked[i+1]
		}
		if next-at > gap {
			gap, from = next-at, at
		}
	}
	return gap, from
}

func (g *gap) report(took time.Duration, tries []map[string]int, unfinished int, reads []*benchReport) *gapReport {
	r := &gapReport{Seconds: took.Seconds(), Writes: len(g.acked), WriteTries: map[string]int{}, Unfinished: unfinished, ReadErrors: map[string]int{}}
	for _, part := range tries {
		for kind, n := range part {
			r.WriteTries[kind] += n
		}
	}
	// Until when writes were sent: an answer that came later counts, the silence after it does not.
	gap, from := longest(g.acked, min(g.duration, took))
	r.GapMillis, r.GapAtMillis = float64(gap.Microseconds())/1e3, float64(from.Microseconds())/1e3
	for i, part := range reads {
		for kind, n := range part.Errors {
			r.ReadErrors[g.readFrom[i].address+" "+kind] += n
			r.ReadFailed += n
		}
	}
	sum := sumReports(reads)
	r.Reads, r.ReadP50, r.ReadP99, r.ReadMax = sum.Requests, sum.P50Micros, sum.P99Micros, sum.MaxMicros
	return r
}

// newGapReader reads records, each as likely, as bounded as a read is that says nothing.
func newGapReader(target benchTarget, ids benchIDs, n int) benchWorker {
	pick, err := newBenchPick(benchUniform, ids.len(), n)
	if err != nil {
		panic(err) // uniform is known
	}
	return &recordReader{target: target, ids: ids, pick: pick}
}

type recordReader struct {
	target benchTarget
	ids    benchIDs
	pick   *benchPick
}

func (w *recordReader) next() ([]byte, bool) {
	return w.target.get(wire.PathRecords + string(w.ids.at(w.pick.next()))), true
}

func (*recordReader) count([]byte) (int, int) { return 1, 0 }
