package cluster

import (
	"slices"
	"sync"
	"time"
)

// lookAgain bounds how long a node without a leader waits before it asks the others anew who votes.
const lookAgain = 10 * time.Second

// lookForLeader asks all whom this node knows who votes, as long as it follows nobody. A member that was down
// while another was joined knows nothing of that one, and would not let it in when it leads.
func (c *Cluster) lookForLeader() {
	ctx, cancel := c.untilQuit()
	defer cancel()
	every := c.cfg.HeartbeatTimeout
	wait := every
	for {
		select {
		case <-time.After(wait):
		case <-c.quit:
			return
		}
		switch leader := c.leader(); {
		case leader == "":
			c.meet(ctx, c.known(), c.inquire)
			c.askWhetherRemoved(ctx)
			wait = min(2*wait, lookAgain)
		case member(c.members(), leader):
			c.told.forget()
			wait = every
		}
	}
}

// known are the members that this node knows of, and whom its settings name.
func (c *Cluster) known() []Peer {
	peers := slices.Clone(c.cfg.Nodes)
	for _, s := range c.members().Servers {
		peers = append(peers, Peer{string(s.ID), string(s.Address)})
	}
	return peers
}

// hearsay is where nodes are of which this one was told by others that they vote, and by nothing else. It lasts
// until this node follows a leader of whom its configuration tells.
type hearsay struct {
	mu sync.Mutex
	at map[string]string
}

func (h *hearsay) note(peers []Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = make(map[string]string)
	}
	for _, p := range peers {
		if p.validate() == nil && len(h.at) < maxMet {
			h.at[p.Name] = p.Address
		}
	}
}

func (h *hearsay) where(name string) (address string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	address, ok = h.at[name]
	return address, ok
}

func (h *hearsay) all() (peers []Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, address := range h.at {
		peers = append(peers, Peer{name, address})
	}
	return peers
}

func (h *hearsay) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = nil
}
