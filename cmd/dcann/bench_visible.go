package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// visibleReport is how long changes took to be seen everywhere. The clock starts when the statement is sent.
type visibleReport struct {
	Changes       int          `json:"changes"`
	AckMillis     benchSpan    `json:"ack"`        // until the node that took it acknowledged
	Everywhere    benchSpan    `json:"everywhere"` // until the last node showed it
	Nodes         []visibleRow `json:"nodes"`
	Reads         int          `json:"reads"`
	ReadsRefused  int          `json:"readsRefused"` // polls that were no success; they count as not seen
	FirstRefusal  string       `json:"firstRefusal,omitempty"`
	PollingMillis float64      `json:"pollingMillis"`
}

// benchSpan is the median and the most of some durations, in milliseconds.
type benchSpan struct {
	P50 float64 `json:"p50Millis"`
	Max float64 `json:"maxMillis"`
}

type visibleRow struct {
	Node string    `json:"node"`
	Seen benchSpan `json:"seen"`
}

func spanOf(all []time.Duration) benchSpan {
	if len(all) == 0 {
		return benchSpan{}
	}
	s := slices.Sorted(slices.Values(all))
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return benchSpan{millis(s[len(s)/2]), millis(s[len(s)-1])}
}

func (r *visibleReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d changes: acknowledged after %.1f ms, at most %.1f ms; seen everywhere after %.1f ms, at most %.1f ms\n",
		r.Changes, r.AckMillis.P50, r.AckMillis.Max, r.Everywhere.P50, r.Everywhere.Max)
	for _, n := range r.Nodes {
		fmt.Fprintf(w, "%s: %.1f ms, at most %.1f ms\n", n.Node, n.Seen.P50, n.Seen.Max)
	}
}

// pollEvery is how often each node is asked: what a figure is short of or beyond is at most that.
const pollEvery = time.Millisecond

// visibility is one run of dcann bench visible.
type visibility struct {
	nodes    []benchTarget
	sender   *client.Client
	key      jws.PrivateKey
	provider registry.ID
	head     registry.OpID
	passport registry.ID
	now      func() time.Time
	patience time.Duration

	ack        []time.Duration
	everywhere []time.Duration
	seen       [][]time.Duration // by node
	report     visibleReport
	mu         sync.Mutex // guards Reads, ReadsRefused and FirstRefusal of report
}

func newBenchVisibleCommand(a *app) *cobra.Command {
	var v visibility
	var nodes []string
	var ids, key string
	var count int
	c := &cobra.Command{
		Use:   "visible --node URL,URL,… --ids FILE --accreditation-key KEY",
		Short: "measure how long a revocation takes to be seen on every node",
		Long: `Suspends the provider that dcann bench fill made, and lets it go on, in turn. After each
statement every node is asked over and over, bounded, for a passport whose strand the
provider accepted, until it shows the endpoint no more, or again.`,
		Example: `  dcann --registry $N1 bench visible --node $N1,$N2,$N3 --ids ids.txt --accreditation-key d/accreditation.pem`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if count < 1 || v.patience <= 0 {
				return usagef("expected --count of at least 1 and --patience above 0")
			}
			if v.nodes, err = parseBenchTargets(nodes); err != nil {
				return err
			}
			if v.key, err = readKey(key); err != nil {
				return err
			}
			known, err := readBenchIDs(ids)
			if err != nil {
				return err
			}
			v.passport, v.now = registry.ID(known.at(0)), a.now
			if err := v.find(c.Context(), a, key); err != nil {
				return err
			}
			if err := v.run(c.Context(), count); err != nil {
				return err
			}
			return a.show(&v.report, v.report.text)
		},
	}
	c.Flags().StringSliceVar(&nodes, "node", nil, "base URLs of the nodes that shall see it")
	c.Flags().StringVar(&ids, "ids", "", "file that dcann bench fill --accept 1 or more wrote")
	c.Flags().StringVar(&key, "accreditation-key", "", "key file of the registry")
	c.Flags().IntVar(&count, "count", 20, "how many changes")
	c.Flags().DurationVar(&v.patience, "patience", 30*time.Second, "when to give a node up")
	required(c, "node", "ids", "accreditation-key")
	return c
}

// find looks up the provider and its head.
func (v *visibility) find(ctx context.Context, a *app, key string) error {
	target, err := parseBenchTarget(a.registry)
	if err != nil {
		return err
	}
	flags := benchPeopleFlags{accreditation: key}
	people, err := flags.people(ctx, a, target)
	if err != nil {
		return err
	}
	if v.sender, err = client.New(a.registry, client.Options{}); err != nil {
		return err
	}
	record, err := v.sender.Record(ctx, people.provider)
	if err != nil {
		return err
	}
	v.provider, v.head = people.provider, record.Head
	return nil
}

// run changes the provider's status count times and leaves it active.
func (v *visibility) run(ctx context.Context, count int) error {
	v.seen = make([][]time.Duration, len(v.nodes))
	status := registry.OrgActive
	for i := 0; i < count || status != registry.OrgActive; i++ {
		if status == registry.OrgActive {
			status = registry.OrgSuspended
		} else {
			status = registry.OrgActive
		}
		if err := v.change(ctx, status); err != nil {
			return err
		}
	}
	r := &v.report
	r.Changes, r.AckMillis, r.Everywhere = len(v.ack), spanOf(v.ack), spanOf(v.everywhere)
	r.PollingMillis = float64(pollEvery.Microseconds()) / 1e3
	for i, n := range v.nodes {
		r.Nodes = append(r.Nodes, visibleRow{n.address, spanOf(v.seen[i])})
	}
	return nil
}

// change makes one statement while all nodes are being asked already, and waits until all show it.
func (v *visibility) change(ctx context.Context, status registry.OrgStatus) error {
	// What it says beside the status makes it one that was not made before.
	content := registry.StatusContent{Sub: v.provider, Head: v.head, Status: status, Epoch: 1, Reason: rand.Text(), Iat: v.now().Unix()}
	statement, err := content.Sign(v.key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, v.patience)
	defer cancel()
	took := make([]time.Duration, len(v.nodes))
	errs := make([]error, len(v.nodes)+1)
	start := time.Now()
	var all sync.WaitGroup
	for i, node := range v.nodes {
		all.Go(func() {
			errs[i] = v.await(ctx, node, status == registry.OrgActive)
			took[i] = time.Since(start)
		})
	}
	_, errs[len(v.nodes)] = v.sender.PostStatus(ctx, statement.Compact())
	v.ack = append(v.ack, time.Since(start))
	if errs[len(v.nodes)] != nil {
		cancel() // there is nothing to wait for
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, d := range took {
		v.seen[i] = append(v.seen[i], d)
	}
	v.everywhere = append(v.everywhere, slices.Max(took))
	return nil
}

var benchEndpoint = []byte(`"endpoint":`)

// await asks one node until the passport's strand is shown with its endpoint, or without.
func (v *visibility) await(ctx context.Context, node benchTarget, shown bool) error {
	conn := newBenchConn(node)
	defer conn.close()
	request := node.get(wire.PathRecords + string(v.passport))
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		status, err := conn.do(ctx, request)
		switch {
		case err != nil:
			v.polled(err.Error())
		case status != 200:
			v.polled(benchProblem(status, conn.body))
		default:
			v.polled("")
			if bytes.Contains(conn.body, benchEndpoint) == shown {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &registry.Error{Kind: registry.Unavailable, Detail: fmt.Sprintf("%s does not show what was stated (last answer: %d %.200s)", node.address, status, conn.body)}
		}
	}
}

func (v *visibility) polled(refusal string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Reads++
	if refusal != "" {
		v.report.ReadsRefused++
		if v.report.FirstRefusal == "" {
			v.report.FirstRefusal = refusal
		}
	}
}
