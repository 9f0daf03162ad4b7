package cluster

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// A copy of a node's directory, started without data while the node runs, takes nothing away from it.
func TestAMemberThatRunsDoesNotLoseItsVoteToItsTwin(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	f.fill("n1", 3)
	leader := f.settled()
	name := f.followers(leader)[0]
	if _, err := leader.admit(inTime(t), name); !errors.Is(err, registry.Forbidden) {
		t.Errorf("a twin of %s was let in: %v", name, err)
	}
	for _, s := range leader.members().Servers {
		if s.Suffrage != raft.Voter {
			t.Errorf("%s has lost its vote", s.ID)
		}
	}
	// The node itself, when it has lost its data, is let in.
	f.seat(name).halt()
	f.seat(name).wipe()
	f.seat(name).start()
	eventually(t, name+" has its vote back", func() bool { return len(leader.voters()) == 3 && f.seat(name).node() != nil })
	f.mustAgree()
}
