// Package cluster makes the state machine of registry/state replicated and durable (DESIGN 9): it owns the
// Raft log, proposes what callers submit, and answers when a read may be trusted. One voter works today;
// nothing here assumes that there is only one.
//
// The way of a write through it, each step in its file:
//
//	SubmitOperation   submit.go     checked against the state; a refusal is confirmed before it is given
//	proposer          proposer.go   many commands become one Raft entry, several entries are under way
//	logStore          logstore.go   the entry is on disk; what the state still needs is never cut away
//	machine           machine.go    the committed entry is applied, then the applied index moves
//
// The way of a read: ReadIndex, WaitIndex or Bounded (read.go), then the state directly.
//
// The rules that keep a crash from losing anything, the known hazards of the Raft library, and which of
// them are guarded today are in DESIGN.md beside this file. Start reading at Cluster (cluster.go).
package cluster
