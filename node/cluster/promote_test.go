package cluster

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestRemovedIsNotPromoted: the autopilot promoted a node from a list that was older than its removal, and
// so made it a member again.
func TestRemovedIsNotPromoted(t *testing.T) {
	t.Parallel()
	config := raft.DefaultConfig()
	config.LocalID, config.LogOutput = "n1", io.Discard
	config.HeartbeatTimeout, config.ElectionTimeout = 50*time.Millisecond, 50*time.Millisecond
	config.LeaderLeaseTimeout = 50 * time.Millisecond
	store := raft.NewInmemStore()
	address, transport := raft.NewInmemTransport("n1")
	first := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: address}}}
	if err := raft.BootstrapCluster(config, store, store, raft.NewInmemSnapshotStore(), transport, first); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(config, &raft.MockFSM{}, store, store, raft.NewInmemSnapshotStore(), transport)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Shutdown().Error() })
	for r.State() != raft.Leader {
		time.Sleep(time.Millisecond)
	}
	if err := r.AddNonvoter("n2", "n2", 0, time.Minute).Error(); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveServer("n2", 0, time.Minute).Error(); err != nil {
		t.Fatal(err)
	}
	if err := (promoter{r, func() ([]raft.Server, uint64) { return r.GetConfiguration().Configuration().Servers, 0 }}).AddVoter("n2", "n2", 0, time.Minute).Error(); err == nil {
		t.Error("a node that was removed was promoted")
	}
	future := r.GetConfiguration()
	if err := future.Error(); err != nil {
		t.Fatal(err)
	}
	if servers := future.Configuration().Servers; len(servers) != 1 {
		t.Errorf("members %v: expected n1 alone", servers)
	}
	// Whoever is there is promoted, where it is. Alone with one that does not answer, it cannot be committed.
	if err := r.AddNonvoter("n3", "n3", 0, time.Minute).Error(); err != nil {
		t.Fatal(err)
	}
	_ = (promoter{r, func() ([]raft.Server, uint64) { return r.GetConfiguration().Configuration().Servers, 0 }}).AddVoter("n3", "where n3 was before", 0, time.Minute)
	for {
		future := r.GetConfiguration()
		if err := future.Error(); err != nil {
			t.Fatal(err)
		}
		servers := future.Configuration().Servers
		if len(servers) == 2 && servers[1].Suffrage == raft.Voter {
			if servers[1].Address != "n3" {
				t.Errorf("n3 is looked for at %q: expected where it is", servers[1].Address)
			}
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := (promoter{r, func() ([]raft.Server, uint64) { return r.GetConfiguration().Configuration().Servers, 0 }}).AddVoter("n3", "where n3 was before", 0, time.Minute).Error(); err == nil || !strings.Contains(err.Error(), "votes already") {
		t.Errorf("a node that votes is promoted again, by a decision that was made before: %v", err)
	}
}
