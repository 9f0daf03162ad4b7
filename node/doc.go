// Package node wires one node of a registry together: the state on disk, Raft, the HTTP server, the
// listeners, and the keeping of the house around them (DESIGN 2). It decides nothing about passports.
//
// Start at Config, which is the manual, and Open. The files beside them each hold one duty: lock.go (one
// process a directory), policy.go (the first policy, and that a restart agrees with it), listen.go and
// certificate.go (sockets and TLS), disk.go (free space), admin.go (the operator's calls).
//
// Errors are returned up to here. Below this package only two log, by the logger that they are given: api what
// a caller is not told of a failure, and cluster what Raft has to say.
package node
