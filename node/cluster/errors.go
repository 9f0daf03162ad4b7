package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// retryAfter is what a caller is told to wait when nothing better is known: an election takes less.
const retryAfter = time.Second

func unavailable(format string, args ...any) error {
	return &registry.Error{Kind: registry.Unavailable, Detail: fmt.Sprintf(format, args...), RetryAfter: retryAfter}
}

var (
	errStranger = &registry.Error{Kind: registry.Unavailable, Detail: "the node that was asked is not a member of the registry any more: ask another", RetryAfter: retryAfter}
	errClosing  = &registry.Error{Kind: registry.Unavailable, Detail: "the node is shutting down: ask another", RetryAfter: retryAfter}
	errNoLeader = &registry.Error{Kind: registry.Unavailable, Detail: "this node does not lead, or not yet: nothing was written, try again", RetryAfter: retryAfter}
	errUnknown  = &registry.Error{Kind: registry.Unavailable, Detail: "outcome unknown, safe to retry: the same signed object is never applied twice", RetryAfter: retryAfter}
	errDisk     = &registry.Error{Kind: registry.Unavailable, Detail: "the registry's disk is full or fails: outcome unknown, safe to retry", RetryAfter: fullRetryAfter}
	errStopped  = &registry.Error{Kind: registry.Unavailable, Detail: "the node has stopped after a fault of its own: outcome unknown, safe to retry elsewhere", RetryAfter: 10 * retryAfter}
)

// proposalError says what an error of a Raft future means to the one who submitted. Only four errors mean
// that the entry is not in the log and never will be; every other outcome is unknown.
func proposalError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrAbortedByRestore):
		return errNoLeader
	}
	return errUnknown
}
