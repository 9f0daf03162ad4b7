package cluster

import (
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
}

// Status describes the node now.
func (c *Cluster) Status() Status {
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

// Ready is nil when this node may be sent requests: it answers bounded reads, and its log is written in
// time. Otherwise it says what is wrong. A disk that is nearly full is no reason: reads are answered, writes
// are told, and who sends nobody here any more takes the reads away too. Status.Free tells.
func (c *Cluster) Ready() error {
	if err := c.Err(); err != nil {
		return err
	}
	if err := c.Bounded(); err != nil {
		return err
	}
	return c.stalled()
}
