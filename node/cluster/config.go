package cluster

import (
	"fmt"
	"regexp"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// The defaults of Config.
const (
	DefaultPipeline         = 4
	DefaultProposeTimeout   = 10 * time.Second
	DefaultHeartbeatTimeout = 500 * time.Millisecond
	DefaultLeaseTimeout     = 400 * time.Millisecond
	DefaultFlushInterval    = 10 * time.Second
	DefaultFlushBytes       = 16 << 20
	DefaultTrailingBytes    = 256 << 20
	DefaultMinFree          = 256 << 20
	DefaultLogStall         = 10 * time.Second
	DefaultLeaderWait       = 2 * time.Second
	DefaultRemoveDeadAfter  = 10 * time.Minute

	// MaxContactAge is how old what a node shows may be for it to answer bounded reads.
	MaxContactAge = registry.MaxStaleness

	// MaxLeaseTimeout is the longest LeaseTimeout with which nodes answer bounded reads: a state is never taken for
	// younger than two of them, since a leader may believe that long in an office that is over. A follower learns
	// every followEvery where its leader is, and the rest is for an answer that is late.
	MaxLeaseTimeout = (MaxContactAge - followEvery - 800*time.Millisecond) / 2
)

// Config says where a node keeps its Raft log and how it takes part. A zero field means its default.
type Config struct {
	// Dir holds the Raft log and two small files. It is created if missing. It must not be shared, and it
	// belongs to the state it was used with: after losing either, both are wiped.
	Dir string

	// Name is the node's name in the Raft configuration, for life. Names and not addresses are stored, so
	// that a node may move.
	Name string

	// Pipeline is how many batches may be on their way at once. One more is always being filled meanwhile.
	Pipeline int

	// BatchCommands and BatchBytes cap one batch, and so one Raft entry; at most state.MaxCommands and
	// state.MaxBatchBytes.
	BatchCommands, BatchBytes int

	// ProposeTimeout is after how long a submission whose fate is not known answers Unavailable, if its
	// context has no earlier deadline. It bounds ReadIndex too.
	ProposeTimeout time.Duration

	// HeartbeatTimeout is how long a follower waits for its leader before it stands for election, and how
	// long an election may take. LeaseTimeout is how long a leader leads without hearing from a majority;
	// it is at most HeartbeatTimeout, and above MaxLeaseTimeout no bounded read is ever answered. A node that is
	// the only voter waits for neither when it starts.
	HeartbeatTimeout, LeaseTimeout time.Duration

	// FlushInterval and FlushBytes (of applied log) bound what is replayed after a crash: the state keeps no
	// log of its own, so what it had not flushed is applied again.
	FlushInterval time.Duration
	FlushBytes    int64

	// TrailingBytes bounds the log that is kept behind the durable state for followers that fall behind; while one
	// is sent the state, and shortly after, eight times as much does.
	TrailingBytes int64

	// MinFree is how many bytes must be free on Dir's file system for anything to be proposed. It leaves room
	// to flush what was accepted, so that a disk never fills up to the last byte by our own writing.
	MinFree uint64

	// LogStall is how long one write to the log may take. A leader whose disk hangs keeps sending heartbeats
	// and would be leader of nothing for ever, so with other voters the node gives up (see Done).
	LogStall time.Duration

	// LeaderWait is how long a write, and a read that wants to be confirmed, waits for somebody to lead before
	// it is told Unavailable.
	LeaderWait time.Duration

	// Net is how the others are reached. nil: this node is alone, and the only voter for as long as it is.
	Net Network

	// Address is where the others reach this node, host:port. Needed with Net.
	Address string

	// Nodes are the founding members of the cluster, this node among them, the same on all of them and at every
	// start: a node without data begins a cluster with them when all are there and none of them has data. To a
	// node that is not among them they are whom it asks whether it was joined meanwhile. An address here wins over
	// the one in the Raft configuration.
	Nodes []Peer

	// Replica says that this node never votes: it answers reads.
	Replica bool

	// RemoveDeadAfter is how long a member may be silent before it is taken out of the cluster, provided that at
	// least three voters remain. Negative: never.
	RemoveDeadAfter time.Duration

	// Version is that of this node's software, for others to see.
	Version string

	// OnWait is told, in words, what a start is waiting for, and OnChange what happened to the cluster that an
	// operator wants to know. Either may be nil.
	OnWait, OnChange func(what string)

	// Clock is the wall clock of registry time, time.Now if nil.
	Clock func() time.Time

	guards guards
}

func (c Config) withDefaults() Config {
	fill(&c.Pipeline, DefaultPipeline)
	fill(&c.BatchCommands, state.MaxCommands)
	fill(&c.BatchBytes, state.MaxBatchBytes)
	fill(&c.ProposeTimeout, DefaultProposeTimeout)
	fill(&c.HeartbeatTimeout, DefaultHeartbeatTimeout)
	fill(&c.LeaseTimeout, min(DefaultLeaseTimeout, c.HeartbeatTimeout))
	fill(&c.FlushInterval, DefaultFlushInterval)
	fill(&c.FlushBytes, DefaultFlushBytes)
	fill(&c.TrailingBytes, DefaultTrailingBytes)
	fill(&c.MinFree, DefaultMinFree)
	fill(&c.LogStall, DefaultLogStall)
	fill(&c.LeaderWait, DefaultLeaderWait)
	fill(&c.RemoveDeadAfter, DefaultRemoveDeadAfter)
	if c.OnWait == nil {
		c.OnWait = func(string) {}
	}
	if c.OnChange == nil {
		c.OnChange = func(string) {}
	}
	if c.guards == (guards{}) {
		c.guards = guardsOff()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// IsName reports whether name may be that of a node: 1 to 63 of a-z, 0-9, . and -, first and last neither . nor -.
func IsName(name string) bool { return namePattern.MatchString(name) }

// Validate says which field is wrong, or which two disagree. Defaults are applied first.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Dir == "":
		return fmt.Errorf("cluster: Dir is empty: expected the directory of the Raft log")
	case !IsName(c.Name):
		return fmt.Errorf("cluster: Name %q: expected 1 to 63 of a-z, 0-9, . and -", c.Name)
	case c.Pipeline < 1 || c.Pipeline > maxAppendEntries:
		return fmt.Errorf("cluster: Pipeline is %d: expected 1 to %d", c.Pipeline, maxAppendEntries)
	case c.BatchCommands < 1 || c.BatchCommands > state.MaxCommands:
		return fmt.Errorf("cluster: BatchCommands is %d: expected 1 to %d", c.BatchCommands, state.MaxCommands)
	case c.BatchBytes < minBatchBytes || c.BatchBytes > state.MaxBatchBytes:
		return fmt.Errorf("cluster: BatchBytes is %d: expected %d to %d", c.BatchBytes, minBatchBytes, state.MaxBatchBytes)
	case c.LeaseTimeout > c.HeartbeatTimeout:
		return fmt.Errorf("cluster: LeaseTimeout %s is longer than HeartbeatTimeout %s", c.LeaseTimeout, c.HeartbeatTimeout)
	case c.LeaseTimeout < 5*time.Millisecond:
		return fmt.Errorf("cluster: LeaseTimeout %s: expected at least 5ms", c.LeaseTimeout)
	case c.Net == nil && len(c.Nodes) > 0:
		return fmt.Errorf("cluster: Nodes without Net: expected a way to reach them")
	case c.Net == nil && c.Replica:
		return fmt.Errorf("cluster: a replica without Net: expected a way to reach the voters")
	case c.FlushBytes < 0 || c.TrailingBytes < 0 || c.FlushInterval < 0 || c.ProposeTimeout < 0 || c.LogStall < 0:
		return fmt.Errorf("cluster: a negative duration or size")
	}
	return c.validateNodes()
}

// validateNodes checks what has to do with the others.
func (c Config) validateNodes() error {
	if c.Net == nil {
		return nil
	}
	if err := (Peer{c.Name, c.Address}).validate(); err != nil {
		return fmt.Errorf("cluster: Address: %w", err)
	}
	names, addresses := map[string]bool{}, map[string]string{}
	for _, p := range c.Nodes {
		if err := p.validate(); err != nil {
			return fmt.Errorf("cluster: Nodes: %w", err)
		}
		if names[p.Name] {
			return fmt.Errorf("cluster: Nodes: %s is named twice", p.Name)
		}
		if other := addresses[p.Address]; other != "" {
			return fmt.Errorf("cluster: Nodes: %s and %s are both at %s", other, p.Name, p.Address)
		}
		names[p.Name], addresses[p.Address] = true, p.Name
	}
	if c.Replica && names[c.Name] {
		return fmt.Errorf("cluster: %s is a replica and among the founding Nodes: expected it to be joined later", c.Name)
	}
	if len(c.Nodes) == 0 {
		return fmt.Errorf("cluster: Nodes is empty: expected the founding members, or whom to ask")
	}
	return nil
}
