// Package peer links the nodes of one registry with each other: one port per node, mutual TLS 1.3, and on
// it both Raft's streams and the calls of one node to another (DESIGN 9). It knows neither: it says who is
// at the other end, and hands the connection on. It imports nothing else of this module.
//
// A node is known by its name, never by its address: the name is the first DNS name of its certificate,
// which the registry's own certificate authority signed. The dialler checks that it reached the node that
// it wanted; the acceptor asks Config.Admit whether the node that the certificate names may talk to it.
//
// What is said on a connection:
//
//	both      TLS 1.3, both with a certificate; no session is resumed, so every connection is checked in full
//	dialler   one byte: 'R' for Raft, 'C' for calls
//	acceptor  '+', or '-' and one byte of length and a text: why not. Only a node of this registry gets to read it
//	both      from here on what Raft, or HTTP/1.1, wants to say
//
// The answer makes a refusal an error of the dial, which names the node and the reason, and not of whatever
// is sent first. The connection's own goroutine does all of this, under one deadline, so that a silent
// stranger holds up nobody; how many strangers and how many nodes may be connected is capped.
//
// A certificate that changes on disk serves the connections made after Mesh.Reload. Those that exist live on
// until somebody closes them, even if the certificate they began with has expired since or Admit would no
// longer let their node in.
//
// Start reading at Mesh (mesh.go); accept.go and dial.go are the two ends of a connection. Authority
// (issue.go) makes the certificates.
package peer
