package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dcann/dcann/registry/wire"
)

// benchWorker is what makes the requests of one connection and judges their answers. Use by one goroutine.
type benchWorker interface {
	// next returns the next whole request, which is used until the next call; ok is false when there are no
	// more.
	next() (request []byte, ok bool)
	// count says how many things an answer with a status of 2xx delivered, and how many of those that it was
	// asked for it refused. The body is the connection's.
	count(body []byte) (delivered, refused int)
}

// benchLoad is one run of load on one node.
type benchLoad struct {
	target   benchTarget
	conns    int
	duration time.Duration // 0: until the workers have nothing more
	rate     float64       // requests a second over all connections; 0: as fast as answers come
	worker   func(i int) benchWorker
}

// benchReport is what a run prints. Only answers with a status of 2xx are counted in Requests and
// Latency; everything else is in Errors, by kind of problem.
type benchReport struct {
	Seconds    float64          `json:"seconds"`
	Requests   int              `json:"requests"`
	PerSecond  float64          `json:"perSecond"`
	Items      int              `json:"items"` // things delivered: as Requests, but in a batch
	ItemsPerS  float64          `json:"itemsPerSecond"`
	Bytes      int              `json:"bytes"` // of bodies
	P50Micros  float64          `json:"p50Micros"`
	P90Micros  float64          `json:"p90Micros"`
	P99Micros  float64          `json:"p99Micros"`
	P999Micros float64          `json:"p999Micros"`
	MaxMicros  float64          `json:"maxMicros"`
	Errors     map[string]int   `json:"errors"`
	latency    latencyHistogram // in nanoseconds
}

func (r *benchReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d answered in %.2f s: %.0f a second", r.Requests, r.Seconds, r.PerSecond)
	if r.Items != r.Requests {
		fmt.Fprintf(w, ", %.0f items a second", r.ItemsPerS)
	}
	fmt.Fprintf(w, "\nlatency p50 %.0f µs, p90 %.0f µs, p99 %.0f µs, p99.9 %.0f µs, most %.0f µs\n",
		r.P50Micros, r.P90Micros, r.P99Micros, r.P999Micros, r.MaxMicros)
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "%8d errors: %s\n", r.Errors[kind], kind)
	}
}

// run puts the load on the node and returns when the time is over or the workers have nothing more.
func (l benchLoad) run(ctx context.Context) *benchReport {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := make([]benchReport, l.conns)
	start := time.Now()
	var deadline time.Time
	if l.duration > 0 {
		deadline = start.Add(l.duration)
	}
	var all sync.WaitGroup
	for i := range l.conns {
		worker := l.worker(i)
		all.Go(func() { parts[i] = l.drive(ctx, worker, i, start, deadline) })
	}
	all.Wait()
	total := &benchReport{Seconds: time.Since(start).Seconds(), Errors: map[string]int{}}
	for i := range parts {
		p := &parts[i]
		total.Requests, total.Items, total.Bytes = total.Requests+p.Requests, total.Items+p.Items, total.Bytes+p.Bytes
		total.latency.merge(&p.latency)
		for kind, n := range p.Errors {
			total.Errors[kind] += n
		}
	}
	total.PerSecond, total.ItemsPerS = float64(total.Requests)/total.Seconds, float64(total.Items)/total.Seconds
	for q, to := range map[float64]*float64{0.5: &total.P50Micros, 0.9: &total.P90Micros, 0.99: &total.P99Micros, 0.999: &total.P999Micros, 1: &total.MaxMicros} {
		*to = float64(total.latency.quantile(q)) / 1e3
	}
	return total
}

func (l benchLoad) drive(ctx context.Context, worker benchWorker, i int, start, deadline time.Time) benchReport {
	report := benchReport{Errors: map[string]int{}}
	conn := newBenchConn(l.target)
	defer conn.close()
	for k := 0; ctx.Err() == nil; k++ {
		request, ok := worker.next()
		if !ok {
			break
		}
		begin := time.Now()
		if l.rate > 0 {
			begin = l.waitTurn(begin, start, i+k*l.conns)
		}
		if !deadline.IsZero() && begin.After(deadline) {
			break
		}
		status, err := conn.do(ctx, request)
		switch {
		case err != nil:
			report.Errors["network: "+err.Error()]++
			time.Sleep(time.Millisecond) // a node that is not there must not make this loop hot
		case status/100 != 2:
			report.Errors[benchProblem(status, conn.body)]++
		default:
			delivered, refused := worker.count(conn.body)
			report.Requests++
			report.Items += delivered
			report.Bytes += len(conn.body)
			report.latency.add(time.Since(begin))
			if refused > 0 {
				report.Errors["refused in a batch"] += refused
			}
		}
	}
	return report
}

// waitTurn sleeps until the n-th request of the schedule is due and returns the moment from which its
// latency counts: when it was due, if this connection was still busy then, so that a slow answer counts
// for those that queued behind it; when it woke, otherwise, for a late timer is no fault of the node.
func (l benchLoad) waitTurn(now, start time.Time, n int) time.Time {
	due := start.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	if !now.Before(due) {
		return due
	}
	time.Sleep(due.Sub(now))
	return time.Now()
}

// benchProblem names an answer that is no success: its status, and the kind of problem if it says (DESIGN 10).
func benchProblem(status int, body []byte) string {
	var problem wire.Problem
	if json.Unmarshal(body, &problem) != nil {
		return strconv.Itoa(status)
	}
	return fmt.Sprintf("%d %s", status, strings.TrimPrefix(problem.Type, wire.ProblemBase))
}

// latencyHistogram counts nanoseconds in buckets that are 1/64 of their power of two wide, so that what
// it says is within 1.6 %, in 11 KB however many it counted.
type latencyHistogram struct {
	buckets [64 * 42]uint32
	n       uint64
}

func (h *latencyHistogram) add(d time.Duration) {
	v := uint64(max(d, 0))
	h.n++
	h.buckets[min(bucketOf(v), len(h.buckets)-1)]++
}

func bucketOf(v uint64) int {
	if v < 64 {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return 64*shift + int(v>>shift)
}

func bucketTop(i int) uint64 {
	if i < 128 {
		return uint64(i)
	}
	shift := i/64 - 1
	return (uint64(i-64*shift)+1)<<shift - 1
}

func (h *latencyHistogram) merge(o *latencyHistogram) {
	h.n += o.n
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
}

// quantile is the upper end of the bucket that holds the q-th of all values, 0 if there are none.
func (h *latencyHistogram) quantile(q float64) uint64 {
	rank := uint64(q * float64(h.n))
	var seen uint64
	top := 0
	for i, n := range h.buckets {
		if n == 0 {
			continue
		}
		seen, top = seen+uint64(n), i
		if seen > rank {
			break
		}
	}
	return bucketTop(top)
}
