package cluster

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Member is a node of the cluster as the Raft configuration names it.
type Member struct {
	Name    string
	Address string
	Voter   bool
}

// Status is what an operator looks at. Its parts are read one after another, not at one moment.
type Status struct {
	Name    string
	Role    string // leader, candidate or follower
	Leader  string // name; empty if none is known
	Term    uint64
	Members []Member

	Commit  uint64 // index
	Applied uint64 // index that the state shows
	Durable uint64 // index that survives a crash without the log

	LogFirst, LogLast uint64
	LogBytes          int64 // of the entries held; estimated for those written before the start
	LogStalled        time.Duration
	LogFull           bool // the last write found the disk full
	Scrubbed          uint64
	Free              uint64 // bytes on the file system, at most a second old

	Batches, Commands uint64 // proposed since the start: commands per batch is their ratio
	UnderWay          int    // batches
	Queued            int    // commands waiting for a batch

	// Staleness is how long ago everything that was acknowledged is certain to be in what this node shows. While
	// Fresh is false that is not known, and Staleness 0.
	Staleness time.Duration
	Fresh     bool

	// ClockOffset is how far this node's clock is ahead of the median of the voters'. Only a node that leads
	// knows; ClockKnown says so.
	ClockOffset time.Duration
	ClockKnown  bool

	// Since the start of this Cluster.
	LeaderChanges            uint64    // other leaders, or other terms of the same, than the one known before
	Forwarded, ForwardErrors uint64    // writes sent to the leader; those whose outcome is not known, or that it could not take
	Pauses                   uint64    // times that this process stood still while it led, for so long that somebody else might
	StatesSent               uint64    // checkpoints made for nodes that the log does not reach
	LogWrites                Histogram // how long writes to the Raft log took, fsync included
}

// Status describes the node now.
func (c *Cluster) Status() Status {
	done, err := c.use()
	if err != nil {
		return Status{Name: c.cfg.Name}
	}
	defer done()
	_ = c.space.check()
	durable, _ := c.st.DurableIndex()
	first, _ := c.log.FirstIndex()
	_, leader := c.raft.LeaderWithID()
	s := Status{
		Name: c.cfg.Name, Role: role(c.raft.State()), Leader: string(leader), Term: c.raft.CurrentTerm(),
		Commit: c.raft.CommitIndex(), Applied: c.applied.load(), Durable: durable,
		LogFirst: first, LogLast: c.raft.LastIndex(), LogBytes: c.log.size.retained(),
		LogStalled: c.log.stalled(), LogFull: c.log.full.Load(), Scrubbed: c.scrubbed.Load(), Free: c.space.free.Load(),
		Batches: c.proposer.batches.Load(), Commands: c.proposer.commands.Load(),
		UnderWay: len(c.proposer.slots), Queued: len(c.proposer.queue),
	}
	s.Staleness, s.Fresh = c.Staleness()
	if !s.Fresh {
		s.Staleness = 0
	}
	if s.Role == "leader" {
		s.ClockOffset, s.ClockKnown = c.clockOffset(c.instant())
	}
	s.LeaderChanges, s.Pauses = c.leaderChanges.Load(), c.paused.Load()
	s.Forwarded, s.ForwardErrors = c.forwarded.Load(), c.forwardErrors.Load()
	s.StatesSent, s.LogWrites = c.machine.snaps.sent.Load(), c.log.times.read()
	for _, m := range c.raft.GetConfiguration().Configuration().Servers {
		s.Members = append(s.Members, Member{Name: string(m.ID), Address: string(m.Address), Voter: m.Suffrage == raft.Voter})
	}
	return s
}

func role(s raft.RaftState) string {
	switch s {
	case raft.Leader:
		return "leader"
	case raft.Candidate:
		return "candidate"
	}
	return "follower"
}

// Known is what this node knows of all members: as leader what they report, else only of itself.
func (c *Cluster) Known() Overview {
	o, _ := c.onOverview() // it has no error of its own
	return o
}

// readyStall is the part of Config.LogStall after which a log write that hangs makes a node unready: before
// it is given up.
const readyStall = 2

// Ready is nil when this node may be sent requests. Then it has caught up: within MaxContactAge it has applied
// all that the leader had committed (so a node that has just started, was cut off, applies too slowly or is no
// member any more is not ready), and its log is written in time. Otherwise it says what is wrong. A disk that
// is nearly full is no reason: reads are answered, writes are told, and who sends nobody here any more takes
// the reads away too. Status.Free tells.
func (c *Cluster) Ready() error {
	if err := c.Err(); err != nil {
		return err
	}
	if c.gone.Load() {
		return c.removal()
	}
	if err := c.Bounded(); err != nil {
		return err
	}
	if d := c.log.stalled(); d > c.cfg.LogStall/readyStall {
		return fmt.Errorf("a write to the Raft log has taken %s so far: expected less than %s", d.Round(time.Millisecond), c.cfg.LogStall/readyStall)
	}
	return nil
}
