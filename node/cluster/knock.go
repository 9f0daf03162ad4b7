package cluster

import (
	"slices"
	"sync"
	"time"
)

// helloRequest is what a node says of itself when it says hello.
type helloRequest struct {
	// Begun says that it is a member of a cluster that has begun, and counts on who it greets.
	Begun bool `cbor:"1,keyasint,omitempty"`
	// Address is where it is reached.
	Address string `cbor:"2,keyasint,omitempty"`
}

// knock says hello, again and again, to the members that are not heard, and to whom the settings name besides, whether
// or not they were removed: to all if nobody leads, and if this node leads to those that do not report. One that has
// lost its data, and by its settings could found a cluster by itself or with others that know of none, learns from it
// that there is one.
func (c *Cluster) knock() {
	ctx, cancel := c.untilQuit()
	defer cancel()
	var knocking sync.WaitGroup
	defer knocking.Wait()
	var mu sync.Mutex
	busy := make(map[string]bool) // a machine that is off delays nobody else
	c.every(c.cfg.HeartbeatTimeout, func() {
		for _, name := range c.silent() {
			mu.Lock()
			before := busy[name]
			busy[name] = true
			mu.Unlock()
			if before {
				continue
			}
			knocking.Go(func() {
				c.greet(ctx, Peer{Name: name})
				mu.Lock()
				defer mu.Unlock()
				delete(busy, name)
			})
		}
	})
}

// silent are the others of whom this node should hear and does not.
func (c *Cluster) silent() (names []string) {
	if begun, err := c.begun(); err != nil || !begun {
		return nil // it has nothing to tell
	}
	leader := c.leader()
	if leader != "" && leader != c.cfg.Name {
		return nil // that one knocks
	}
	reports := c.heard.all()
	for _, p := range c.known() {
		if p.Name != c.cfg.Name && (leader == "" || time.Since(reports[p.Name].at) > max(c.cfg.HeartbeatTimeout, 3*followEvery)) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// begun reports whether this node has data beyond what founds a cluster.
func (c *Cluster) begun() (bool, error) {
	index, _ := c.st.Applied()
	last, err := c.log.LastIndex()
	return max(index, last) > foundingIndex, err
}

// knocked notes who counts on this node, as long as it has not begun: it is asked for a leader like those whom
// the settings name.
func (c *Cluster) knocked(name string, r helloRequest) {
	if r.Begun && c.running.Load() == nil {
		c.told.note([]Peer{{name, r.Address}})
	}
}

// foundingWait is how long a node that could found a cluster waits for somebody to knock: several rounds of it, and
// long enough for a connection to be tried again.
func (c *Cluster) foundingWait() time.Duration {
	return max(5*c.cfg.HeartbeatTimeout, 5*DefaultHeartbeatTimeout)
}

// silence is how long a cluster could have been founded with nobody knocking.
type silence struct{ since time.Time }

// noted is told whether it could be founded now, and returns for how long that has held: it begins anew when a founding
// member was missing meanwhile, at which others may have knocked.
func (s *silence) noted(could bool, now time.Time) time.Duration {
	switch {
	case !could:
		s.since = time.Time{}
		return 0
	case s.since.IsZero():
		s.since = now
	}
	return now.Sub(s.since)
}

// lookedAt are whom a node without data asks: those whom its settings name, and who has knocked.
func (c *Cluster) lookedAt() []Peer { return slices.Concat(c.cfg.Nodes, c.told.all()) }
