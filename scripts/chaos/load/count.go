package load

import (
	"maps"
	"sync"
	"time"

	"github.com/dcann/dcann/registry/wire"
	"github.com/dcann/dcann/scripts/chaos/check"
)

// Counts is what happened. The maps are the caller's own.
type Counts struct {
	// Calls counts by what was asked ("write", "linearizable", "bounded", "stale") and how it ended.
	Calls map[string]map[string]int
	// Acknowledged is how many calls were told that their operation is stored.
	Acknowledged int
	NotSent      int // nobody was there to answer
	// LongestGap is the longest time in which no write was acknowledged, and GapAt when it ended.
	LongestGap, GapAt time.Duration
	LastAck           time.Duration
}

// counts is safe for concurrent use.
type counts struct {
	mu      sync.Mutex
	calls   map[string]map[string]int
	acks    int
	notSent int
	gap     time.Duration
	gapAt   time.Duration
	last    time.Duration
}

func (c *counts) add(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *counts) event(e *check.Event) {
	what := string(e.Level)
	if e.Action == check.Submit {
		what = "write"
	} else if e.MinIndex > 0 {
		what += " min_index"
	}
	how := e.Outcome.String()
	if e.Outcome == check.Refused {
		how = string(e.Refusal)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]map[string]int{}
	}
	if c.calls[what] == nil {
		c.calls[what] = map[string]int{}
	}
	c.calls[what][how]++
	if e.Action == check.Submit && e.Outcome == check.OK {
		c.acks++
		if gap := e.Return - c.last; c.acks > 1 && gap > c.gap {
			c.gap, c.gapAt = gap, e.Return
		}
		c.last = max(c.last, e.Return)
	}
}

func (c *counts) snapshot() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Counts{Calls: map[string]map[string]int{}, Acknowledged: c.acks, NotSent: c.notSent, LongestGap: c.gap, GapAt: c.gapAt, LastAck: c.last}
	for what, how := range c.calls {
		s.Calls[what] = maps.Clone(how)
	}
	return s
}

// Kinds are the rows of Counts.Calls in their order.
func Kinds() []string {
	b, s := string(wire.Bounded), string(wire.Stale)
	return []string{"write", string(wire.Linearizable), b, b + " min_index", s, s + " min_index"}
}
