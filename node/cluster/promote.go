package cluster

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// promoter is Raft as the autopilot sees it. The autopilot decides by what it saw up to an update interval
// ago, and Raft's AddVoter adds whoever is not there, at the address that it is given: without this, a node
// that was removed meanwhile would come back by its promotion, and count for the majority for ever; and one
// that has moved would be looked for at its old address for ever.
type promoter struct {
	*raft.Raft
	committed func() (servers []raft.Server, index uint64) // the newest configuration that is certain to last
}

// AddVoter gives a member that has none the vote, where it is, unless the configuration changes meanwhile: then
// the autopilot will look again.
func (p promoter) AddVoter(id raft.ServerID, _ raft.ServerAddress, _ uint64, timeout time.Duration) raft.IndexFuture {
	servers, index := p.committed() // Raft does not tell the index of its own
	for _, s := range servers {
		switch {
		case s.ID != id:
		case s.Suffrage == raft.Voter:
			return refused{fmt.Errorf("node %s votes already: it is not promoted again", id)}
		default:
			return p.Raft.AddVoter(id, s.Address, index, timeout)
		}
	}
	return refused{fmt.Errorf("node %s is not a member any more: it is not promoted", id)}
}

// refused is the future of what was not begun.
type refused struct{ err error }

func (r refused) Error() error { return r.err }
func (refused) Index() uint64  { return 0 }
