package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// unheardFor is how long an elected leader waits for the reports of a majority: ten elections, and many reports.
func (c *Cluster) unheardFor() time.Duration {
	return max(10*c.cfg.HeartbeatTimeout, 10*followEvery)
}

// letGo has another lead in place of a node that was elected and that the others cannot call: they are told another
// address of it, or something between lets only one direction pass. Its heartbeats arrive, so nobody else would stand
// for election; but no report reaches it, and no write that is sent on. When it cannot hand over either, the node
// is given up, which has the others elect.
//
// Whom to hand over to is not left to Raft: it always names the same, which may be in the same state.
func (c *Cluster) letGo() {
	silent, others := c.unheard()
	what := fmt.Sprintf("node %s was elected %s ago and hears nothing from %s, of whom a majority must report: expected them to reach it at %s",
		c.cfg.Name, c.unheardFor(), strings.Join(silent, ", "), c.cfg.Address)
	if len(others) == 0 || c.inVain > len(others) {
		c.fail(fmt.Errorf("%s; and leadership could not be handed over", what))
		return
	}
	c.cfg.OnChange(what + "; it hands leadership over")
	if c.inVain == 0 {
		c.firstHeir = rand.IntN(len(others))
	}
	if c.handOver(others[(c.firstHeir+c.inVain)%len(others)]) != nil {
		c.inVain++
	}
}

// unheard are the other voters that have not reported lately, and all of them.
func (c *Cluster) unheard() (silent, others []string) {
	reports := c.heard.all()
	for _, s := range c.members().Servers {
		name := string(s.ID)
		if s.Suffrage != raft.Voter || name == c.cfg.Name {
			continue
		}
		others = append(others, name)
		if time.Since(reports[name].at) > clockReportAge {
			silent = append(silent, name)
		}
	}
	slices.Sort(silent)
	return silent, others
}
