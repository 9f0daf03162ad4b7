// Package cluster makes the state machine of registry/state replicated and durable (DESIGN 9): it owns the
// Raft log, proposes what callers submit, has the leader do what reaches another node, and answers when a read
// may be trusted. It works alone, and with others over a Network.
//
// The way of a write through it, each step in its file:
//
//	SubmitOperation   submit.go     here, or by the leader (forward.go); checked against the state; a refusal is confirmed
//	proposer          proposer.go   many commands become one Raft entry, several entries are under way
//	logStore          logstore.go   the entry is on disk; what the state still needs is never cut away
//	machine           machine.go    the committed entry is applied, then the applied index moves
//
// The way of a read: ReadIndex (read.go, confirm.go), WaitIndex, or Bounded (follow.go), then the state directly.
//
// How a node gets into a cluster is in begin.go, meet.go, membership.go, probe.go and pilot.go; how it gets another's state in
// snapshot.go, place.go and installed.go; what an operator looks at in overview.go and check.go; the ways back
// from a disaster in recover.go.
//
// The rules that keep a crash from losing anything, and the known hazards of the Raft library with their
// guards, are in DESIGN.md beside this file. Start reading at Cluster (cluster.go).
package cluster
