package cluster

import (
	"context"
	"sync"
	"testing"
)

func TestAppliedIndexWakesWhoItReaches(t *testing.T) {
	t.Parallel()
	var a appliedIndex
	var wg sync.WaitGroup
	for want := range uint64(200) {
		wg.Go(func() {
			if err := a.wait(t.Context(), nil, want); err != nil || a.load() < want {
				t.Errorf("wait(%d) returned %v at index %d", want, err, a.load())
			}
		})
	}
	for i := range uint64(200) {
		a.advance(i)
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.wait(ctx, nil, 1000); err == nil {
		t.Error("wait for an index that never comes returned nil")
	}
	if len(a.waiters) != 0 || a.waiting.Load() != 0 {
		t.Errorf("%d waiters left behind", len(a.waiters))
	}
}
