// Package state is the replicated state machine of a registry on Pebble (DESIGN 5, 8, 9): it applies
// committed entries, answers reads, and checks for the leader what may be proposed.
package state
