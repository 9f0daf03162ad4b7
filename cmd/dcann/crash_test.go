package main

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
)

// TestKilledUnderLoad kills a node while many write, again and again on the same data: each time it must
// come back with every operation that it had acknowledged, and go on.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	const writers = 16
	data := t.TempDir()
	var mu sync.Mutex
	var acks []acknowledged
	for round := range rounds {
		node := start(t, data)
		node.verify(acks)
		// The kill comes at an acknowledgement somewhere in the load, while others are on their way.
		before, limit := len(acks), 40+rand.IntN(200)
		var work sync.WaitGroup
		for range writers {
			work.Go(func() {
				for {
					err := write(t.Context(), node.client, 3, func(a acknowledged) {
						mu.Lock()
						defer mu.Unlock()
						if acks = append(acks, a); len(acks) == before+limit {
							_ = node.cmd.Process.Kill()
						}
					})
					if err != nil {
						return // the node is gone
					}
				}
			})
		}
		work.Wait()
		node.stop(syscall.SIGKILL)
		if n := len(acks) - before; n < limit {
			t.Fatalf("round %d: %d operations acknowledged before the writers gave up: expected %d\n%s", round, n, limit, &node.stderr)
		}
	}
	last := start(t, data)
	last.verify(acks)
	t.Logf("%d operations acknowledged in %d lives", len(acks), rounds)
	// A stop that is asked for is clean, and loses nothing either.
	if code := last.stop(syscall.SIGTERM); code != exitOK {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, &last.stderr)
	}
	start(t, data).verify(acks)
}
