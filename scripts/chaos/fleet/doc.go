// Package fleet runs the nodes of a registry as real processes on one machine and does to them what happens
// to machines: it kills, freezes and restarts them, cuts their cables, fills, slows and cuts the power of
// their disks. It is told what to do by package nemesis, and knows nothing of clients.
//
// Three founding members and a read replica are laid out by dcann cluster init and started by dcann serve,
// as an operator would. A node that ends by itself is started again, as systemd would.
//
// Two things need root, and not root in any container (Possible). They are told apart by Config so that nobody takes a
// run without them for one with:
//
//   - Wires: every node is in a network namespace of its own (wires.go), all on one bridge. A cable is cut in
//     one direction by giving the sender a wrong Ethernet address for the receiver: what it sends is lost
//     without a word, and clients still reach both.
//   - Disks: every node has an ext4 file system in a file of its own (disk.go), which can be filled, frozen,
//     and shut down in the middle like a disk that loses power: what was not synced is gone.
//
// Whatever is made has a name unique to the run, and Close removes it. Start at New in fleet.go.
package fleet
