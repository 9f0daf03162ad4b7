package cluster

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A node that was joined since another went on alone is in the configuration of those of before as well. It listens to
// them as little as the recovered one does: else they learn its term, lead with it, and take from it what it has.
func TestWhoIsJoinedToARecoveredNodeIsNotTakenByThoseOfBefore(t *testing.T) {
	t.Parallel()
	var refused atomic.Bool
	f := startCluster(t, 5, func(name string, c *Config) {
		if name == "n2" {
			c.OnChange = func(what string) {
				if strings.Contains(what, "runs with its data of before") {
					refused.Store(true)
				}
			}
		}
	})
	f.fill("n2", 5)
	f.settled()
	for _, s := range f.seats {
		s.halt()
	}
	n1, n2, n3 := f.seat("n1"), f.seat("n2"), f.seat("n3")
	n1.recover()
	p, op := create()
	f.write("n1", op)
	n2.wipe()
	n2.start()
	if err := n1.node().Join(inTime(t), Peer{"n2", addressOf("n2")}, false); err != nil {
		t.Fatal(err)
	}
	f.mustHold("n2", p)
	for _, name := range []string{"n3", "n4", "n5"} {
		f.seat(name).start()
	}
	eventually(t, "n2 hears of those of before", func() bool { return refused.Load() || n2.err() != nil })
	for range 3 { // several elections, of which n2 hears
		old := f.leader("n1", "n2")
		_ = old.handOver("")
		q, op := create()
		if err := f.tryWrite("n1", op, 10*time.Second); err != nil || n2.err() != nil { // with n2's help
			t.Fatalf("write through n1: %v; n1 ended: %v; n2 ended: %v", err, n1.err(), n2.err())
		}
		f.mustHold("n2", p, q)
	}

	// Whom that one lets in, now that it leads, is as wary; and so is the first, should it come back with nothing.
	eventually(t, "n2 leads", func() bool {
		_ = n1.node().TransferLeadership(inTime(t), "n2")
		return n2.node().inOffice() != nil
	})
	first, err := n1.node().recovered()
	if err != nil {
		t.Fatal(err)
	}
	n3.halt()
	n3.wipe()
	n3.start()
	if err := n2.node().Join(inTime(t), Peer{"n3", addressOf("n3")}, false); err != nil {
		t.Fatal(err)
	}
	f.mustHold("n3", p)
	n1.halt()
	n1.wipe()
	n1.start()
	f.mustHold("n1", p)
	for _, s := range []*seat{n1, n3} {
		r, err := s.node().recovered()
		if err != nil || r == nil || r.Index != first.Index || r.Term != first.Term || !slices.Equal(r.Without, []string{"n4", "n5"}) {
			t.Errorf("%s keeps %+v, %v: expected to be wary of n4 and n5, as of entry %d of term %d", s.name, r, err, first.Index, first.Term)
		}
	}
}

// What a node knows of a recovery when it is let in, and what it was told when it was let in before and got no further.
func TestTheNewestRecoveryOfWhichANewcomerIsToldIsKept(t *testing.T) {
	t.Parallel()
	early, late := &recovered{Without: []string{"n3"}, Index: 7, Term: 1 << 30}, &recovered{Without: []string{"n1", "n4"}, Index: 9, Term: 1 << 31}
	for _, tt := range []struct {
		name               string
		before, told, kept *recovered
	}{
		{name: "none"},
		{name: "the first", told: early, kept: early},
		{name: "a leader that was not told", before: early, kept: early},
		{name: "members were joined since", before: early, told: &recovered{Index: 7, Term: 1 << 30}, kept: &recovered{Index: 7, Term: 1 << 30}},
		{name: "a second recovery", before: early, told: late, kept: late},
		{name: "a leader of before the second", before: late, told: early, kept: late},
	} {
		c := &Cluster{log: newLog(t, 0, 0)}
		for i, told := range []*recovered{tt.before, tt.told} {
			if err := c.enter(admitReply{Term: uint64(i + 5), Recovered: told}); err != nil {
				t.Fatal(err)
			}
		}
		r, err := c.recovered()
		if err != nil || (r == nil) != (tt.kept == nil) || r != nil && (r.Index != tt.kept.Index || r.Term != tt.kept.Term || !slices.Equal(r.Without, tt.kept.Without)) {
			t.Errorf("%s: %+v, %v: expected %+v", tt.name, r, err, tt.kept)
		}
		if term, err := c.log.getUint64(keyCurrentTerm); term != 6 {
			t.Errorf("%s: term %d, %v: expected 6", tt.name, term, err)
		}
	}
}

// A newcomer to a recovered registry first takes what was before: the members of that time, some of whom run still with
// what they had, are none of those that it was joined to. And who leads it by then may be a member since it was let in.
func TestANewcomerHearsOnlyWhoLeadsSinceTheRecovery(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	last := n.raft.LastIndex()
	far := &recovered{Without: []string{"a", "n2"}, Index: last + 5, Term: 1 << 40} // this node is called a, and a member
	since := &recovered{Without: far.Without, Index: last, Term: far.Term}
	for _, tt := range []struct {
		name    string
		from    *recovered
		by      string
		q       raft.WithRPCHeader
		refused bool
	}{
		{"a vote for a member of before", far, "a", &raft.RequestVoteRequest{Term: 5}, true},
		{"a pre-vote for a member of before", far, "a", &raft.RequestPreVoteRequest{Term: 5}, true},
		{"a leader of before", far, "a", &raft.AppendEntriesRequest{Term: 5}, true},
		{"a state of before", far, "a", &raft.InstallSnapshotRequest{Term: 5}, true},
		{"a leader since then", far, "n2", &raft.AppendEntriesRequest{Term: far.Term + 1, PrevLogEntry: last + 70}, false},
		{"its heartbeat", far, "n2", &raft.AppendEntriesRequest{Term: far.Term + 1}, false},
		{"its state", far, "n2", &raft.InstallSnapshotRequest{Term: far.Term + 1}, false},
		{"a vote for a member", since, "a", &raft.RequestVoteRequest{Term: 5}, false},
		{"a vote for who is none", since, "n2", &raft.RequestVoteRequest{Term: far.Term + 1}, true},
		{"the state of who is none", since, "n2", &raft.InstallSnapshotRequest{Term: far.Term + 1}, true},
	} {
		header := raft.RPCHeader{ID: []byte(tt.by)}
		switch q := tt.q.(type) {
		case *raft.RequestVoteRequest:
			q.RPCHeader = header
		case *raft.RequestPreVoteRequest:
			q.RPCHeader = header
		case *raft.AppendEntriesRequest:
			q.RPCHeader = header
		case *raft.InstallSnapshotRequest:
			q.RPCHeader = header
		}
		w := &wary{c: n.Cluster, from: tt.from, said: make(map[string]bool)}
		if refused := w.refused(raft.RPC{Command: tt.q, Reader: strings.NewReader(""), RespChan: make(chan raft.RPCResponse, 1)}); refused != tt.refused {
			t.Errorf("%s: refused is %t", tt.name, refused)
		}
	}
}
