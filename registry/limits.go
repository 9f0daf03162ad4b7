package registry

import "time"

// MaxStaleness is how long ago a node may have heard from the leader and still answer a bounded read
// (DESIGN 9). It stands here because both the contract (wire) and Raft (node/cluster) are held to it.
const MaxStaleness = 5 * time.Second
