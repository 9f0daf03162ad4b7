package state

import (
	"encoding/binary"
	"fmt"

	"github.com/dcann/dcann/registry"
)

// Caps on one Raft entry (DESIGN 8).
const (
	MaxCommands   = 1024
	MaxBatchBytes = 512 << 10 // of all commands together, as Command.Size counts
	MaxPins       = 8         // of one command
	maxEncoded    = MaxBatchBytes + 64*MaxCommands
)

// batchVersion is the first byte of an encoded batch.
const batchVersion = 1

// CommandType says what a command does.
type CommandType uint8

// The commands of level 1.
const (
	OperationCommand  CommandType = 1 // Bytes: the SD-JWT
	StatusCommand     CommandType = 2 // Bytes: the compact JWS
	AcceptanceCommand CommandType = 3 // Bytes: the compact JWS
	PolicyCommand     CommandType = 4 // Bytes: the compact JWS
	LevelCommand      CommandType = 5 // Bytes: the level, 4 bytes big-endian
	TickCommand       CommandType = 6 // Bytes: none; what is due at the batch's time is done, as in every batch
)

// commandLevels is from which level on a command may be proposed, and is known to a node.
var commandLevels = map[CommandType]uint32{
	OperationCommand: 1, StatusCommand: 1, AcceptanceCommand: 1, PolicyCommand: 1, LevelCommand: 1, TickCommand: 1,
}

// Pin is a record that the proposer's checks relied on: when its head is another at Apply, the command is
// refused as Moved and the proposer checks again.
type Pin struct {
	_    struct{} `cbor:",toarray"`
	ID   registry.ID
	Head registry.OpID
}

// Command is one write of a batch. Proposals make them.
type Command struct {
	_     struct{} `cbor:",toarray"`
	Type  CommandType
	Bytes []byte
	Pins  []Pin
}

// Size is what the command counts of MaxBatchBytes.
func (c *Command) Size() int {
	n := len(c.Bytes)
	for _, p := range c.Pins {
		n += len(p.ID) + len(p.Head)
	}
	return n
}

// Batch is what one Raft entry says: the leader's time, a random seed for salts, and 1 to MaxCommands
// commands of together at most MaxBatchBytes.
type Batch struct {
	Time     registry.Millis
	Seed     [32]byte
	Commands []Command
}

type batchBody struct {
	_        struct{} `cbor:",toarray"`
	Time     registry.Millis
	Seed     []byte
	Commands []Command
}

// Result is what a command did, by value. Err is nil or has a registry kind. Known says that the same
// object was accepted before, and the rest describes that first time. Moved says that a pinned record has
// another head: nothing was done and Err says so; check and propose again.
//
// Index is the applied index as of which this is so: that of the entry, or of the state in which a Check
// found a Known object. Whoever waits for it, on any node, sees what the result speaks of.
type Result struct {
	Err      error
	Index    uint64
	Known    bool
	Moved    bool
	ID       registry.ID   // of the record; empty for a policy, a level, a tick
	Op       registry.OpID // name of the signed object; empty for a level or a tick
	Seq      uint64        // JournalEntry.Seq; the version of a policy; the level
	Position uint64        // in the journal; 0 for a policy, a level, a tick, which have no entry there
}

// Entry is a committed Raft entry. Configuration says that Data is an encoded Raft configuration, which
// is stored together with the applied index; otherwise Data is an encoded Batch.
type Entry struct {
	Index, Term   uint64
	Configuration bool
	Data          []byte
}

// Encode writes the batch: one byte of version, then deterministic CBOR. The error tells of a cap that
// was not kept; it is the caller's defect.
func (b *Batch) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	body, err := modes.enc.Marshal(batchBody{Time: b.Time, Seed: b.Seed[:], Commands: b.Commands})
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	return append([]byte{batchVersion}, body...), nil
}

// UnknownVersionError is why a node stops at an entry that a newer release has written. Skipping it would
// fork the state.
type UnknownVersionError struct {
	What      string
	Got, Want uint64
}

// Error implements error.
func (e *UnknownVersionError) Error() string {
	return fmt.Sprintf("%s %d is not known to this release, which knows up to %d: upgrade this node", e.What, e.Got, e.Want)
}

// DecodeBatch reads what Encode wrote. Sizes are capped before anything is allocated for them. The error
// is an *UnknownVersionError, or tells that the entry is damaged; both stop a node.
func DecodeBatch(data []byte) (*Batch, error) {
	switch {
	case len(data) == 0:
		return nil, fmt.Errorf("decode batch: it is empty")
	case data[0] != batchVersion:
		return nil, fmt.Errorf("decode batch: %w", &UnknownVersionError{"entry version", uint64(data[0]), batchVersion})
	case len(data) > maxEncoded:
		return nil, fmt.Errorf("decode batch: it has %d bytes: expected at most %d", len(data), maxEncoded)
	}
	var body batchBody
	if err := modes.dec.Unmarshal(data[1:], &body); err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	if len(body.Seed) != 32 {
		return nil, fmt.Errorf("decode batch: the seed has %d bytes: expected 32", len(body.Seed))
	}
	b := &Batch{Time: body.Time, Seed: [32]byte(body.Seed), Commands: body.Commands}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	return b, nil
}

// maxTime keeps sums of times and windows far from overflow: the year 10889.
const maxTime registry.Millis = 1 << 48

func (b *Batch) check() error {
	if n := len(b.Commands); n < 1 || n > MaxCommands {
		return fmt.Errorf("%d commands: expected 1 to %d", n, MaxCommands)
	}
	if b.Time < 0 || b.Time > maxTime {
		return fmt.Errorf("time %d: expected milliseconds since 1970, up to %d", b.Time, maxTime)
	}
	size := 0
	for i := range b.Commands {
		c := &b.Commands[i]
		if len(c.Pins) > MaxPins {
			return fmt.Errorf("command %d has %d pins: expected at most %d", i, len(c.Pins), MaxPins)
		}
		size += c.Size()
	}
	if size > MaxBatchBytes {
		return fmt.Errorf("commands of %d bytes: expected at most %d", size, MaxBatchBytes)
	}
	return nil
}

func levelBytes(level uint32) []byte { return binary.BigEndian.AppendUint32(nil, level) }
