package cluster

import (
	"context"
	"sync"
	"sync/atomic"
)

// appliedIndex is the index of the last entry whose effects the state shows, and those who wait for a
// later one. It is ours, not Raft's: Raft's own applied index moves when an entry is handed over, before
// it is applied (DESIGN 9, rule 6).
type appliedIndex struct {
	index   atomic.Uint64
	waiting atomic.Int64 // how many are in waiters or about to be: spares advance the lock

	mu      sync.Mutex
	waiters map[chan struct{}]uint64 // closed when the index reaches the value
}

func (a *appliedIndex) load() uint64 { return a.index.Load() }

// advance is called by the one goroutine that applies, after the batch is visible to readers.
func (a *appliedIndex) advance(index uint64) {
	a.index.Store(index)
	if a.waiting.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for ch, want := range a.waiters {
		if want <= index {
			close(ch)
			delete(a.waiters, ch)
		}
	}
}

// wait returns when index is applied, with the error of ctx, or with errClosing when quit is closed: whoever
// closes the state waits for its readers, and what they wait for would not come any more.
func (a *appliedIndex) wait(ctx context.Context, quit <-chan struct{}, index uint64) error {
	if a.load() >= index {
		return nil
	}
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	ch := make(chan struct{})
	a.mu.Lock()
	if a.load() >= index { // advance may have run before waiting was counted
		a.mu.Unlock()
		return nil
	}
	if a.waiters == nil {
		a.waiters = make(map[chan struct{}]uint64)
	}
	a.waiters[ch] = index
	a.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		a.forget(ch)
		return ctx.Err()
	case <-quit:
		a.forget(ch)
		return errClosing
	}
}

func (a *appliedIndex) forget(ch chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiters, ch)
}
