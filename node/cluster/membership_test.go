package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// A new node votes once it has caught up, a replica never does; both show everything. Any node may be asked.
func TestNodesJoin(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	leader := f.settled()
	all := f.fill("n1", 20)
	ask := f.seat(f.followers(leader)[0]).node()
	for _, s := range []*seat{f.add("r1", true), f.add("n4", false)} {
		s.start()
		if err := ask.Join(inTime(t), Peer{s.name, s.address}, s.replica); err != nil {
			t.Fatalf("join %s: %v", s.name, err)
		}
		if err := ask.Join(inTime(t), Peer{s.name, s.address}, s.replica); err != nil {
			t.Errorf("join %s again: %v", s.name, err)
		}
		f.mustHold(s.name, all...)
	}
	// n4 votes by now: had r1 been promoted, it would have been before.
	eventually(t, "all know", func() bool { return len(ask.members().Servers) == 5 })
	if v := ask.voters(); !slices.Equal(v, []string{"n1", "n2", "n3", "n4"}) {
		t.Errorf("the voters are %v", v)
	}
	p, op := create()
	f.write("r1", op)
	f.mustHold("n4", append(all, p)...)
	f.mustAgree()

	for what, bad := range map[string]func() error{
		"an address that another has": func() error { return ask.Join(inTime(t), Peer{"n5", addressOf("n1")}, false) },
		"a voter as a replica":        func() error { return ask.Join(inTime(t), Peer{"n4", addressOf("n4")}, true) },
		"a bad name":                  func() error { return ask.Join(inTime(t), Peer{"N 5", addressOf("n5")}, false) },
		"leadership of a replica":     func() error { return ask.TransferLeadership(inTime(t), "r1") },
	} {
		if err := bad(); registry.KindOf(err) != registry.Invalid {
			t.Errorf("%s: %v: expected a refusal as invalid", what, err)
		}
	}
}

// Whoever votes is a voter, whatever its settings say: it is shown as one, and does not start with such settings.
func TestAVoterIsNoReplica(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 1, nil)
	s := f.add("n2", false)
	s.start()
	if err := f.leader().Join(inTime(t), Peer{"n2", s.address}, false); err != nil {
		t.Fatal(err)
	}
	f.settled()
	leader := f.leads("n1")
	report := s.node().report()
	report.Replica = true // as a release says that starts with such settings
	leader.heard.note("n2", heardReport{followRequest: report, at: time.Now()})
	o, err := leader.onOverview()
	if i := slices.IndexFunc(o.Nodes, func(n NodeStatus) bool { return n.Name == "n2" }); err != nil || i < 0 || !o.Nodes[i].Voter || o.Nodes[i].Replica {
		t.Errorf("n2 votes, and the overview is %+v, %v", o.Nodes, err)
	}
	s.halt()
	s.replica = true
	s.start()
	eventually(t, "n2 does not start", func() bool { return s.err() != nil })
	if err := s.err(); !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), "node n2 votes") || !strings.Contains(err.Error(), "dcann cluster remove n2") {
		t.Errorf("n2 ended with %v: expected that it is told what to do", err)
	}
	s.replica = false
	s.start()
	f.settled()
}

// A node that was joined moves to another address.
func TestANodeMoves(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 1, nil)
	s := f.add("r1", true)
	s.start()
	if err := f.leader().Join(inTime(t), Peer{"r1", s.address}, true); err != nil {
		t.Fatal(err)
	}
	f.mustHold("r1", f.fill("n1", 3)...)
	s.halt()
	s.address = "elsewhere:1"
	s.start()
	p, op := create()
	f.write("n1", op)
	if err := f.leader().Join(inTime(t), Peer{"r1", s.address}, true); err != nil {
		t.Fatal(err)
	}
	f.mustHold("r1", p)
}

// Where the settings say that a node is, is where it is looked for: a join does not report a move that does not happen.
func TestAFoundingNodeIsNotMovedByAJoin(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	leader := f.settled()
	asked, moved := f.seat(f.followers(leader)[0]).node(), f.seat(f.followers(leader)[1])
	before, _ := leader.committedMembers()
	moved.halt()
	moved.address = "elsewhere:1"
	moved.start()
	for who, join := range map[string]func() error{
		"a member": func() error { return asked.Join(inTime(t), Peer{moved.name, moved.address}, false) },
		"the leader": func() error {
			return asked.askMembership(inTime(t), membershipRequest{Change: changeJoin, Name: moved.name, Address: moved.address})
		},
	} {
		err := join()
		if !errors.Is(err, registry.Invalid) {
			t.Fatalf("%s: %v: expected a refusal as invalid", who, err)
		}
		for _, part := range []string{"nothing was changed", addressOf(moved.name), moved.address, "restart them one by one"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v: expected it to say %q", who, err, part)
			}
		}
	}
	if after, _ := leader.committedMembers(); !slices.Equal(before, after) {
		t.Errorf("the members were %v and are %v", before, after)
	}
}

func TestLeadershipIsHandedOver(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	for _, s := range f.seats {
		if f.leads(s.name); f.leader().cfg.Name != s.name {
			t.Errorf("%s was to lead", s.name)
		}
	}
	leader := f.settled()
	if err := f.seat(f.followers(leader)[0]).node().TransferLeadership(inTime(t), ""); err != nil {
		t.Errorf("to any: %v", err)
	}
	if other := f.leader(leader.cfg.Name); other.cfg.Name == leader.cfg.Name {
		t.Error("nobody else leads")
	}
}

// Nodes are removed while a majority of the rest is alive, the leader too.
func TestNodesAreRemoved(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	leader := f.settled()
	name := leader.cfg.Name
	others := f.followers(leader)
	if err := leader.Remove(inTime(t), "n9"); registry.KindOf(err) != registry.NotFound {
		t.Errorf("remove who is not there: %v", err)
	}
	f.seat(others[1]).crash(vfs.CrashCloneCfg{})
	eventually(t, "the dead one counts as dead", func() bool { return time.Since(leader.heard.all()[others[1]].at) > clockReportAge })
	if err := leader.Remove(inTime(t), others[0]); registry.KindOf(err) != registry.Conflict {
		t.Fatalf("remove one of two that are alive, of three: %v", err)
	}
	eventually(t, "the dead one is removed", func() bool { return leader.Remove(inTime(t), others[1]) == nil })
	eventually(t, "the leader is removed", func() bool { return f.seat(others[0]).node().Remove(inTime(t), name) == nil })
	p, op := create()
	f.write(others[0], op)
	f.mustHold(others[0], p)
	if v := f.leader(name).voters(); !slices.Equal(v, []string{others[0]}) {
		t.Errorf("the voters are %v: expected %s", v, others[0])
	}
	// Who was removed says so instead of answering from the past.
	removed := f.seat(name).node()
	eventually(t, "who was removed grows stale", func() bool { age, known := removed.Staleness(); return !known || age > time.Second })
}

// A dead voter is taken out as long as three remain, and a dead replica is waited for.
func TestTheDeadAreTakenOutWhileThreeRemain(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 4, func(_ string, c *Config) { c.RemoveDeadAfter = 3 * time.Second })
	r := f.add("r1", true)
	r.start()
	if err := f.leader().Join(inTime(t), Peer{"r1", r.address}, true); err != nil {
		t.Fatal(err)
	}
	f.mustHold("r1", f.fill("n1", 1)...)
	r.crash(vfs.CrashCloneCfg{})
	first := f.followers(f.leader())[0]
	f.seat(first).crash(vfs.CrashCloneCfg{})
	eventually(t, "the dead voter is taken out", func() bool { return len(f.leader().voters()) == 3 })
	leader := f.leader()
	if slices.Contains(leader.voters(), first) {
		t.Errorf("another was taken out: %v", leader.voters())
	}
	second := f.followers(leader)[0]
	f.seat(second).crash(vfs.CrashCloneCfg{})
	dead := time.Now()
	for time.Since(dead) < leader.cfg.RemoveDeadAfter+2*time.Second { // nothing is to happen
		if len(leader.voters()) != 3 {
			t.Fatalf("of three voters one was taken out: %v", leader.voters())
		}
		time.Sleep(tickEvery)
	}
	if !member(leader.members(), "r1") {
		t.Error("a dead replica was taken out")
	}
	f.seat(second).start()
	r.start()
	p, op := create()
	f.write(leader.cfg.Name, op)
	f.mustHold(second, p)
	f.mustHold("r1", p)
}

// Whoever is asked tells what the leader knows of all.
func TestTheOverviewIsThatOfTheLeader(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, func(_ string, c *Config) { c.Version = "v9" })
	leader := f.settled()
	for _, s := range f.seats {
		eventually(t, "an overview from "+s.name, func() bool {
			o, err := s.node().Overview(inTime(t))
			if err != nil || o.Node != leader.cfg.Name || o.Leader != leader.cfg.Name || len(o.Nodes) != 3 {
				return false
			}
			return !slices.ContainsFunc(o.Nodes, func(n NodeStatus) bool {
				return !n.Healthy || !n.Voter || n.Version != "v9" || n.Address != addressOf(n.Name) || n.Leader != (n.Name == o.Leader)
			})
		})
	}
	others := f.followers(leader)
	f.seat(others[0]).crash(vfs.CrashCloneCfg{})
	eventually(t, "the dead one is not healthy", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o, err := f.seat(others[1]).node().Overview(ctx)
		i := slices.IndexFunc(o.Nodes, func(n NodeStatus) bool { return n.Name == others[0] })
		return err == nil && i >= 0 && !o.Nodes[i].Healthy
	})
	if leader.raft.State() != raft.Leader {
		t.Error("the leader was deposed by the death of a follower")
	}
}

// A level is raised when every member is known to know it: one that does not would stop at the first command of it.
func TestALevelThatSomeMemberMayNotKnowIsRefused(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, patient)
	leader := f.leads("n1")
	refused := func(what string, level uint32, parts ...string) {
		t.Helper()
		var err error
		eventually(t, fmt.Sprintf("%s: a refusal that says %q", what, parts), func() bool {
			err = leader.allKnow(level)
			return err != nil && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(err.Error(), part) })
		})
		if !errors.Is(err, registry.Conflict) {
			t.Errorf("%s: %v: expected a conflict", what, err)
		}
	}
	eventually(t, "all know the present level", func() bool { return leader.allKnow(state.MaxLevel) == nil })
	refused("a level to come", state.MaxLevel+1, " runs version ", fmt.Sprintf("levels up to %d:", state.MaxLevel))

	f.seat("n3").halt()
	refused("n3 is silent", state.MaxLevel, "node n3 has not been heard from lately")
	leader.heard.forget("n3")
	refused("n3 was never heard", state.MaxLevel, "node n3 has not been heard from lately")
	leader.heard.note("n3", heardReport{followRequest: followRequest{Version: "of old"}, at: time.Now().Add(time.Hour)}) // for as long as the test takes
	refused("n3 is of old", state.MaxLevel, "node n3 runs version of old, which knows levels up to 0:")
}
