package cluster

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// BenchmarkSubmit has 256 wallets create passports that were signed before, one operation at a time each.
// BenchmarkBareRaft is what to compare it with.
func BenchmarkSubmit(b *testing.B) {
	const wallets = 256
	for _, pipeline := range []int{2, DefaultPipeline, 16} {
		b.Run(fmt.Sprintf("pipeline-%d", pipeline), func(b *testing.B) {
			ops := make([]*registry.Operation, b.N)
			sign(ops)
			n := startWith(b, b.TempDir(), state.Options{}, func(c *Config) { c.Pipeline = pipeline })
			before := n.Status()
			b.ReportAllocs()
			done := measure(b)
			inParallel(wallets, b.N, func(i int) {
				if _, err := n.SubmitOperation(b.Context(), ops[i]); err != nil {
					b.Error(err)
				}
			})
			done()
			s := n.Status()
			b.ReportMetric(float64(s.Commands-before.Commands)/float64(s.Batches-before.Batches), "ops/batch")
		})
	}
}

// sign makes creates on all cores.
func sign(ops []*registry.Operation) {
	inParallel(8, len(ops), func(i int) { _, ops[i] = create() })
}

func inParallel(workers, n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}

// BenchmarkBareRaft is what Raft alone does with the same bytes: each of 256 callers waits for an entry
// with one operation, or batches of 64 go out with four under way.
func BenchmarkBareRaft(b *testing.B) {
	for _, tt := range []struct {
		name             string
		callers, inEntry int
	}{{"256callers-1op", 256, 1}, {"4callers-64ops", 4, 64}, {"1caller-64ops", 1, 64}} {
		b.Run(tt.name, func(b *testing.B) {
			_, op := create()
			entry := make([]byte, len(op.Bytes())*tt.inEntry)
			r := bareRaft(b)
			done := measure(b)
			inParallel(tt.callers, (b.N+tt.inEntry-1)/tt.inEntry, func(int) {
				if err := r.Apply(entry, 0).Error(); err != nil {
					b.Error(err)
				}
			})
			done()
		})
	}
}

// BenchmarkApply is the state alone: entries of 64 creates, no Raft.
func BenchmarkApply(b *testing.B) {
	n := startWith(b, b.TempDir(), state.Options{}, nil)
	ops := make([]*registry.Operation, b.N)
	sign(ops)
	index := n.AppliedIndex()
	if err := n.Close(); err != nil {
		b.Fatal(err)
	}
	var entries []state.Entry
	for i := 0; i < len(ops); i += 64 {
		batch := state.Batch{Time: n.now()}
		for _, op := range ops[i:min(i+64, len(ops))] {
			batch.Commands = append(batch.Commands, state.Command{Type: state.OperationCommand, Bytes: op.Bytes()})
		}
		data, err := batch.Encode()
		if err != nil {
			b.Fatal(err)
		}
		index++
		entries = append(entries, state.Entry{Index: index, Term: 1 << 20, Data: data})
	}
	b.ReportAllocs()
	done := measure(b)
	for i := range entries {
		results, err := n.st.ApplyBatch(entries[i : i+1])
		if err != nil || results[0][0].Err != nil {
			b.Fatal(err, results[0][0].Err)
		}
	}
	done()
}

// measure starts the clock. The returned function stops it and reports the rate, and the processor time of
// an operation, which other work on the machine does not change.
func measure(b *testing.B) func() {
	before := processorTime(b)
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	}
}

func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
