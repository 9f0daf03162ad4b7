package state

import (
	"github.com/dcann/dcann/registry"
)

// Caps on one Raft entry (DESIGN 8). A single command that alone is larger than a batch cannot exist:
// an operation has at most registry.MaxOperation bytes.
const (
	MaxCommands   = 1024
	MaxBatchBytes = 512 << 10 // of Bytes and pins of all commands together; Command.Size tells
	MaxPins       = 8         // of one command
)

// CommandType says what a command does.
type CommandType uint8

// The commands of level 1.
const (
	OperationCommand  CommandType = 1 // Bytes: the SD-JWT
	StatusCommand     CommandType = 2 // Bytes: the compact JWS
	AcceptanceCommand CommandType = 3 // Bytes: the compact JWS
	PolicyCommand     CommandType = 4 // Bytes: the compact JWS
	LevelCommand      CommandType = 5 // Bytes: the level, 4 bytes big-endian
	TickCommand       CommandType = 6 // Bytes: none; only what is due at the batch's time is done
)

// Pin is a record that the proposer's checks relied on: when its head is another at Apply, the command is
// refused as Moved and the proposer checks again.
type Pin struct {
	ID   registry.ID
	Head registry.OpID
}

// Command is one write of a batch. Proposals make them.
type Command struct {
	Type  CommandType
	Bytes []byte
	Pins  []Pin
}

// Batch is what one Raft entry says: the leader's time, a random seed for salts, and commands.
type Batch struct {
	Time     registry.Millis
	Seed     [32]byte
	Commands []Command
}

// Result is what a command did, by value. Err is nil or has a registry kind. Known says that the same
// object was accepted before, and the rest describes that first time. Moved says that a pinned record had
// another head: nothing was done, check and propose again.
type Result struct {
	Err      error
	Known    bool
	Moved    bool
	ID       registry.ID   // of the record; empty for a policy, a level, a tick
	Op       registry.OpID // name of the signed object; empty for a level or a tick
	Seq      uint64        // of the operation, status or acceptance in its subject; version of a policy; level
	Position uint64        // in the journal; 0 for a policy, a level, a tick, which have no entry there
}

// Entry is a committed Raft entry. Configuration says that Data is an encoded Raft configuration, which
// is stored together with the applied index; otherwise Data is an encoded Batch.
type Entry struct {
	Index, Term   uint64
	Configuration bool
	Data          []byte
}
