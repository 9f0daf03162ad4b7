// Package state is the replicated state machine of a registry on Pebble (DESIGN 5, 8, 9): it applies
// committed entries, answers reads, and judges for the leader what may be proposed. What may be done is
// package registry's to say; this package remembers, and it is the only one that knows the rows on disk.
//
// The way of a write through it:
//
//	p, known, err := store.CheckOperation(op, now)      // the leader, against its state
//	batch.Commands = append(batch.Commands, p.Command()) // into one Raft entry with others
//	results, err := store.ApplyBatch(entries)            // every node, once it is committed
//
// and of a read: Store.Record, whose View carries a Stamp, so that what is rendered from it can be kept
// for as long as Store.Current says.
//
// Two stores that applied the same entries have the same rows, byte for byte, and the same StateHash:
// ApplyBatch reads no clock, no randomness, no order of a map, and no setting of the node. A store is
// durable up to its last flush (DurableIndex); after a crash the Raft log gives it the rest.
//
// DESIGN.md, beside this file, has the rows and the invariants. Start reading at Store (store.go) and
// ApplyBatch (apply.go); judge.go is what the leader's check and Apply share, writer.go where rows are
// written and hashed, kept.go how long disclosures are held, sweep.go and scrub.go how they leave,
// diskfull.go what happens without space.
package state
