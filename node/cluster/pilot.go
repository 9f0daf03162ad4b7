package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
)

// When a member is fit to vote, and how often that is looked at.
const (
	pilotEvery       = 250 * time.Millisecond
	maxTrailing      = 256             // entries behind the leader
	maxSilence       = 2 * time.Second // since it was heard from
	stabilization    = time.Second     // for which all of this held
	minVotersToPrune = 3
)

// pilot tells raft-autopilot what this package knows: it promotes members that have caught up, and removes
// those that have been silent for Config.RemoveDeadAfter (DESIGN 9).
type pilot struct {
	autopilot.StablePromoter
	c     *Cluster
	since time.Time // when this node took office: silence counts from then at the earliest
}

// runPilot has the autopilot run while this node leads.
func (c *Cluster) runPilot() {
	tick := time.NewTicker(pilotEvery)
	defer tick.Stop()
	var running *autopilot.Autopilot
	stop := func() {
		if running != nil {
			<-running.Stop()
			running = nil
		}
	}
	defer stop()
	ctx, cancel := c.untilQuit()
	defer cancel()
	for {
		select {
		case <-tick.C:
		case <-c.quit:
			return
		}
		switch leads := c.inOffice() != nil; {
		case leads && running == nil:
			p := &pilot{c: c, since: time.Now()}
			running = autopilot.New(promoter{c.raft, c.committedMembers}, p, autopilot.WithPromoter(p), autopilot.WithLogger(c.hclog.Named("autopilot")),
				autopilot.WithUpdateInterval(pilotEvery), autopilot.WithReconcileInterval(pilotEvery))
			running.Start(ctx)
		case !leads:
			stop()
		}
	}
}

// AutopilotConfig implements autopilot.ApplicationIntegration.
func (p *pilot) AutopilotConfig() *autopilot.Config {
	return &autopilot.Config{
		CleanupDeadServers: p.c.cfg.RemoveDeadAfter > 0, LastContactThreshold: maxSilence, MaxTrailingLogs: maxTrailing,
		MinQuorum: minVotersToPrune, ServerStabilizationTime: stabilization,
	}
}

// NotifyState implements autopilot.ApplicationIntegration.
func (p *pilot) NotifyState(*autopilot.State) {}

// FetchServerStats implements autopilot.ApplicationIntegration: every member reports by itself.
func (p *pilot) FetchServerStats(context.Context, map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	stats := make(map[raft.ServerID]*autopilot.ServerStats)
	for name, h := range p.c.heard.all() {
		stats[raft.ServerID(name)] = &autopilot.ServerStats{LastContact: time.Since(h.at), LastTerm: h.LastTerm, LastIndex: h.Last}
	}
	last, term := p.c.logEnd()
	stats[raft.ServerID(p.c.cfg.Name)] = &autopilot.ServerStats{LastTerm: term, LastIndex: last}
	return stats
}

// KnownServers implements autopilot.ApplicationIntegration. All members are known; one that is silent for too
// long has failed.
func (p *pilot) KnownServers() map[raft.ServerID]*autopilot.Server {
	servers := make(map[raft.ServerID]*autopilot.Server)
	heard := p.c.heard.all()
	for _, s := range p.c.members().Servers {
		server := &autopilot.Server{
			ID: s.ID, Name: string(s.ID), Address: s.Address, NodeStatus: autopilot.NodeAlive, RaftVersion: int(raft.ProtocolVersionMax),
			IsLeader: s.ID == raft.ServerID(p.c.cfg.Name),
		}
		if s.Suffrage == raft.Voter {
			server.NodeType = autopilot.NodeVoter // who counts when it is reckoned how many may go
		}
		at := p.since
		if h, ok := heard[server.Name]; ok && h.at.After(at) {
			at = h.at
		}
		if !server.IsLeader && p.c.cfg.RemoveDeadAfter > 0 && time.Since(at) > p.c.cfg.RemoveDeadAfter {
			server.NodeStatus = autopilot.NodeFailed
		}
		servers[s.ID] = server
	}
	return servers
}

// RemoveFailedServer implements autopilot.ApplicationIntegration.
func (p *pilot) RemoveFailedServer(s *autopilot.Server) {
	p.c.cfg.OnChange(fmt.Sprintf("node %s was silent for more than %s: it is taken out of the cluster", s.Name, p.c.cfg.RemoveDeadAfter))
	p.c.raft.RemoveServer(s.ID, 0, p.c.cfg.ProposeTimeout)
}

// FilterFailedServerRemovals implements autopilot.Promoter: only a dead voter is worth removing, since it
// counts for the majority. A replica comes back.
func (p *pilot) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	failed.FailedNonVoters, failed.StaleNonVoters = nil, nil
	return failed
}

// CalculatePromotionsAndDemotions implements autopilot.Promoter: all that are fit vote, but replicas, and
// those of which it is not known whether they are, or only since a moment ago.
func (p *pilot) CalculatePromotionsAndDemotions(cfg *autopilot.Config, s *autopilot.State) autopilot.RaftChanges {
	changes := p.StablePromoter.CalculatePromotionsAndDemotions(cfg, s)
	heard := p.c.heard.all()
	var fit []raft.ServerID
	for _, id := range changes.Promotions {
		if h, ok := heard[string(id)]; ok && !h.Replica && p.c.heard.known(string(id)) >= stabilization {
			fit = append(fit, id)
		}
	}
	changes.Promotions = fit
	return changes
}
