// Package nemesis does to a fleet what happens to machines, by a plan that a seed repeats.
//
// Faults come in lanes that run beside each other (lane.go): processes, wires, disks, members. Each lane takes
// its kinds in a shuffled order, all of them before any a second time, so that every kind is as frequent as
// the others of its lane. Before a fault makes a voter useless it claims it (claims.go): at most one voter is
// claimed at a time, by however many lanes, so that a majority lives, unless the fault is the restart of all.
// What a lane breaks it repairs before it goes on, and it waits until writes are acknowledged again: if they
// are not, that is a violation.
//
// The plan is what the seed decides: kinds, durations, variants, which follower. Who leads, it does not.
package nemesis
