package nemesis

import (
	"context"
	"sync"

	"github.com/dcann/dcann/scripts/chaos/fleet"
)

// claims keeps a majority alive: all lanes together make at most one voter useless at a time. A replica may
// always be claimed. Make it with newClaims.
type claims struct {
	mu     sync.Mutex
	freed  chan struct{} // closed, and made anew, when a claim ends
	holds  map[*fleet.Node]int
	all    bool // one lane has all of them
	queued bool // one lane waits for all of them: no new claims
}

func newClaims() *claims {
	return &claims{freed: make(chan struct{}), holds: map[*fleet.Node]int{}}
}

// one claims n, or waits until that is possible; false when ctx is done.
func (c *claims) one(ctx context.Context, n *fleet.Node) bool {
	return c.wait(ctx, func() bool {
		if c.all || c.queued {
			return false
		}
		for other := range c.holds {
			if other != n && !n.Replica && !other.Replica {
				return false
			}
		}
		c.holds[n]++
		return true
	})
}

// voter is the one that is claimed now, nil if none is.
func (c *claims) voter() *fleet.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.holds {
		if !n.Replica {
			return n
		}
	}
	return nil
}

// everyone claims all nodes at once.
func (c *claims) everyone(ctx context.Context) bool {
	ok := c.wait(ctx, func() bool {
		c.queued = true
		if c.all || len(c.holds) > 0 {
			return false
		}
		c.all, c.queued = true, false
		return true
	})
	if !ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.queued = false
	}
	return ok
}

// free ends a claim of one node, or of all if n is nil.
func (c *claims) free(n *fleet.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == nil {
		c.all = false
	} else if c.holds[n]--; c.holds[n] == 0 {
		delete(c.holds, n)
	}
	close(c.freed)
	c.freed = make(chan struct{})
}

// wait calls try, with mu held, until it reports true.
func (c *claims) wait(ctx context.Context, try func() bool) bool {
	for {
		c.mu.Lock()
		ok, freed := try(), c.freed
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-freed:
		}
	}
}
