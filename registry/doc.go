// Package registry is what a DCANN registry is about: identifiers, operations, records, statements, and
// the rules of who may do what (DESIGN 3 to 6). It is pure: no I/O, clock, goroutine or log line, so that
// the node that proposes, the nodes that apply, the company that verifies a bundle and the wallet that
// predicts an answer all run the same code.
//
// The way of a write through it:
//
//	op, err := registry.ParseOperation(bytes)   // size, form, signature; no state, no lock
//	v, err := lineage.Check(op, env)            // the rules, against what is remembered of the record
//	lineage = v.Next()                          // what is remembered afterwards
//
// Start reading at Operation (operation.go), Record (record.go) and Lineage.Check (lineage.go). Strands
// are in strand.go, statuses and acceptances in statement.go and organisation.go, what all nodes agree on
// in policy.go. History (history.go) is a whole registry in memory, for wallets, verifiers and tests. The
// signature format is registry/jws, the vocabulary registry/dpv. testdata/histories proves every rule
// with signed texts that other implementations can play.
package registry
