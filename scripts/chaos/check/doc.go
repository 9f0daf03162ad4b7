// Package check judges what clients of a registry saw: whether the answers to many concurrent calls can be
// explained by one registry that does one thing at a time, and keeps what it said it did (DESIGN 9).
//
// The unit is a Subject: one passport and all Events about it, kept short by whoever records them, so that
// each is decided in milliseconds. What is looked for:
//
//   - Judge replays the writes and linearizable reads of a subject against the model in model.go with
//     porcupine: a lost write, a stale read and a refusal that no state of the passport explains are no
//     linearization. A write whose outcome is unknown stays open: it may take effect at any time, or never.
//   - fresh.go looks at bounded and stale reads: none shows less than its own Dcann-Staleness promises, nor
//     less than the min_index that was asked for covers, so that no client ever sees its own write vanish.
//   - Ledger compares what all subjects say of journal positions: one operation has one position and one
//     position one operation, or the registry has told two stories.
//
// Everything here is pure. The tests hold up histories that must fail, and ones that must not.
package check
