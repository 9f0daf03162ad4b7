package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// removed reports whether this node was a member and, as its own state says, is none any more. Of a node that follows
// somebody it says nothing: one that is catching up comes by the members of before it was joined.
func (c *Cluster) removed() bool {
	servers, _ := c.committedMembers()
	return len(servers) > 0 && !member(raft.Configuration{Servers: servers}, c.cfg.Name)
}

// removal is what everybody is told who asks a node that was removed. Its kind is Unavailable.
func (c *Cluster) removal() error { return unavailable("%s", Removal(c.cfg.Name)) }

// Removal says of a node that it was removed, and what to do.
func Removal(name string) string {
	return fmt.Sprintf("node %s was removed from this registry: stop it; to have it back, join it again (dcann cluster join)", name)
}

// disown notes whether others say that this node is no member, and tells the operator when they begin to.
func (c *Cluster) disown(by bool) {
	if before := c.disowned.Swap(by); by && !before {
		c.cfg.OnChange(Removal(c.cfg.Name))
	}
}

// askWhetherRemoved asks the others, while nobody leads: who was removed while it was down, or was not told, hears
// nothing from them, and waits for ever. One alone that does not know this node may have been down itself when it was
// joined; of a majority that is not so.
func (c *Cluster) askWhetherRemoved(ctx context.Context) {
	voters := votersAmong(c.members())
	strangers, friends := 0, 0
	for _, w := range c.witnesses(ctx, c.known()) {
		switch {
		case !w.begun || !slices.Contains(voters, w.name):
		case w.stranger:
			strangers++
		case w.friend:
			friends++
		}
	}
	if strangers >= len(voters)/2+1 {
		c.disown(true)
	} else if friends > 0 {
		c.disown(false)
	}
}
