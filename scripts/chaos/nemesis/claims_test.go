package nemesis

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/dcann/dcann/scripts/chaos/fleet"
)

// TestClaims: however many lanes there are, at most one voter is claimed at a time, replicas aside.
func TestClaims(t *testing.T) {
	t.Parallel()
	nodes := []*fleet.Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}, {Name: "n4", Replica: true}}
	c := newClaims()
	var mu sync.Mutex
	down := map[*fleet.Node]int{}
	mark := func(by int, struck ...*fleet.Node) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range struck {
			down[n] += by
		}
		voters := 0
		for _, n := range nodes[:3] {
			if down[n] > 0 {
				voters++
			}
		}
		if voters > 1 && len(struck) == 1 {
			t.Errorf("%d voters are struck at a time", voters)
		}
	}
	var lanes sync.WaitGroup
	for seed := range uint64(6) {
		lanes.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for range 300 {
				if random.IntN(10) == 0 {
					if !c.everyone(t.Context()) {
						t.Error("everyone was not claimed")
						return
					}
					mark(1, nodes...)
					mark(-1, nodes...)
					c.free(nil)
					continue
				}
				n := nodes[random.IntN(len(nodes))]
				if !c.one(t.Context(), n) {
					t.Error("no claim")
					return
				}
				mark(1, n)
				mark(-1, n)
				c.free(n)
			}
		})
	}
	lanes.Wait()
	if c.voter() != nil || len(c.holds) != 0 {
		t.Errorf("claims are left: %v", c.holds)
	}

	if !c.one(t.Context(), nodes[0]) {
		t.Fatal("no claim")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if c.one(over, nodes[1]) || c.everyone(over) {
		t.Error("a second voter was claimed")
	}
	if !c.one(t.Context(), nodes[0]) || !c.one(t.Context(), nodes[3]) {
		t.Error("the same voter, or a replica, may be claimed beside it")
	}
}
