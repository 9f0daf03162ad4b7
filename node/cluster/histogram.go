package cluster

import (
	"sync/atomic"
	"time"
)

// histogramBounds are the upper bounds of Histogram.Counts, the last of which has none.
var histogramBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// Histogram counts how long something took.
type Histogram struct {
	Count  uint64
	Sum    time.Duration
	Counts map[float64]uint64 // cumulative, by upper bound in seconds
}

// histogram is safe for concurrent use.
type histogram struct {
	count, sum atomic.Uint64
	counts     [len(histogramBounds)]atomic.Uint64
}

func (h *histogram) observe(d time.Duration) {
	h.count.Add(1)
	h.sum.Add(uint64(d))
	for i, bound := range histogramBounds {
		if d <= bound {
			h.counts[i].Add(1)
			return
		}
	}
}

func (h *histogram) read() Histogram {
	r := Histogram{Count: h.count.Load(), Sum: time.Duration(h.sum.Load()), Counts: make(map[float64]uint64, len(histogramBounds))}
	var sum uint64
	for i, bound := range histogramBounds {
		sum += h.counts[i].Load()
		r.Counts[bound.Seconds()] = sum
	}
	return r
}
