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

	// MaxContactAge is how long ago a node may have heard from the leader and still answer bounded reads.
	MaxContactAge = registry.MaxStaleness
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
	// it is at most HeartbeatTimeout. A node that is the only voter waits for neither when it starts.
	HeartbeatTimeout, LeaseTimeout time.Duration

	// FlushInterval and FlushBytes (of applied log) bound what is replayed after a crash: the state keeps no
	// log of its own, so what it had not flushed is applied again.
	FlushInterval time.Duration
	FlushBytes    int64

	// TrailingBytes bounds the log that is kept behind the durable state for followers that fall behind.
	TrailingBytes int64

	// MinFree is how many bytes must be free on Dir's file system for anything to be proposed. It leaves room
	// to flush what was accepted, so that a disk never fills up to the last byte by our own writing.
	MinFree uint64

	// LogStall is how long one write to the log may take. A leader whose disk hangs keeps sending heartbeats
	// and would be leader of nothing for ever, so with other voters the node gives up (see Done).
	LogStall time.Duration

	// Clock is the wall clock of registry time, time.Now if nil.
	Clock func() time.Time
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

// Validate says which field is wrong, or which two disagree. Defaults are applied first.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Dir == "":
		return fmt.Errorf("cluster: Dir is empty: expected the directory of the Raft log")
	case !namePattern.MatchString(c.Name):
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
	case c.FlushBytes < 0 || c.TrailingBytes < 0 || c.FlushInterval < 0 || c.ProposeTimeout < 0 || c.LogStall < 0:
		return fmt.Errorf("cluster: a negative duration or size")
	}
	return nil
}
