package cluster

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// recover has a node that is stopped go on alone, and starts it.
func (s *seat) recover() {
	s.f.t.Helper()
	place, err := s.place(s.dir, s.fs)
	if err != nil {
		s.f.t.Fatal(err)
	}
	if _, err := Recover(s.f.t.Context(), s.config(s.dir), place, false); err != nil {
		s.f.t.Fatal(err)
	}
	s.start()
}

// recoveredTooSoon is a registry of three that was believed lost but for n1, which went on and acknowledged p; the
// other two are back with their old data, a majority of what was.
func recoveredTooSoon(t *testing.T, g guards) (f *fleet, p *passport) {
	t.Helper()
	return recoveredTooSoonOn(t, newNet(), g)
}

func recoveredTooSoonOn(t *testing.T, network *memNet, g guards) (f *fleet, p *passport) {
	t.Helper()
	f = startClusterOn(t, 3, network, inMemory, func(_ string, c *Config) { c.guards = g })
	f.fill("n2", 5)
	f.settled()
	f.leads("n2")
	for _, s := range f.seats {
		s.halt()
	}
	f.seat("n1").recover()
	p, op := create()
	f.write("n1", op)
	f.seat("n2").start()
	f.seat("n3").start()
	f.leader("n1")
	return f, p
}

// A majority that is there is not lost: nobody goes on beside it, unless told twice.
func TestALivingMajorityIsNotGoneOnWithout(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	f.fill("n1", 3)
	f.settled()
	f.leads("n2")
	n1, n2, n3 := f.seat("n1"), f.seat("n2"), f.seat("n3")
	n1.halt()
	place, err := n1.place(n1.dir, n1.fs)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(parts ...string) {
		t.Helper()
		_, err := Recover(t.Context(), n1.config(n1.dir), place, false)
		if !errors.Is(err, registry.Conflict) {
			t.Fatalf("recover beside a majority: %v, expected a refusal as conflict", err)
		}
		for _, part := range append(parts, "Nothing was changed", "Start node n1", "dcann cluster remove n1") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("recover beside a majority: %v, expected it to say %q", err, part)
			}
		}
	}
	refused("n2, n3 answered", "n3 says that n2 leads")

	// One that leads is enough; one that is left over is not.
	n3.halt()
	n2.halt()
	f.seat("n3").recover()
	f.leader("n1", "n2")
	refused("n3 answered", "n3 goes on without n1")
	if _, err := Recover(t.Context(), n1.config(n1.dir), place, true); err != nil {
		t.Errorf("by force: %v", err)
	}
}

// With one of the others this node is a majority; who is left of one may be gone on without.
func TestAMinorityIsGoneOnWithout(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 5, nil)
	f.fill("n1", 3)
	f.settled()
	n1 := f.seat("n1")
	for _, name := range []string{"n1", "n2", "n3"} {
		f.seat(name).halt()
	}
	for _, name := range []string{"n4", "n5"} {
		eventually(t, name+" finds that nobody leads", func() bool {
			n := f.seat(name).node()
			return n != nil && n.leader() == ""
		})
	}
	place, err := n1.place(n1.dir, n1.fs)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Recover(t.Context(), n1.config(n1.dir), place, false)
	if !errors.Is(err, registry.Conflict) || !strings.Contains(err.Error(), "with node n1, 3 of the 5 that vote are there") {
		t.Errorf("recover beside two of five: %v", err)
	}
	f.seat("n4").halt()
	n1.recover()
	_, op := create()
	f.write("n1", op)
}

// A leader of another history has a node take back what it had applied. The state cannot do so: the node stops, rather
// than to go on with what no other has.
func TestANodeWhoseAppliedEntriesAreOverruledStops(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, p := recoveredTooSoon(t, guards{noHistory: off, noRecovered: true})
		n1 := f.seat("n1")
		if !off {
			eventually(t, "n1 stops", func() bool { return n1.err() != nil && n1.node() == nil })
			if err := n1.err(); errors.Is(err, ErrReplaced) || !strings.Contains(err.Error(), "overrules entry") {
				t.Errorf("n1 ended with %v, expected that it was overruled", err)
			}
			return
		}
		var n *node
		eventually(t, "n1 follows", func() bool {
			_, op := create()
			_ = f.tryWrite("n2", op, time.Second)
			n = n1.node()
			return n != nil && n.leader() != "" && n.leader() != "n1" && n.ReadIndex(inTime(t)) == nil
		})
		if !n.holds(p) || f.leader("n1").holds(p) {
			t.Error("n1 shows what the others do: the test shows nothing")
		}
	})
}

// Those without which a node was recovered come back with their old data, and are a majority of what was: they take
// back nothing that it acknowledged since.
func TestARecoveredNodeIsNotTakenOver(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, p := recoveredTooSoon(t, guards{noRecovered: off})
		n1 := f.seat("n1")
		if off {
			eventually(t, "n1 stops", func() bool { return n1.err() != nil })
			return
		}
		for range 5 { // several elections, of which n1 hears
			_ = f.leader("n1").handOver("")
			_, op := create()
			f.write("n1", op)
		}
		n := n1.node()
		if n == nil || n.inOffice() == nil || !n.holds(p) {
			t.Fatalf("n1 is %v: expected that it leads, and shows what it acknowledged", n1.err())
		}
		for _, name := range []string{"n2", "n3"} {
			s := f.seat(name)
			s.halt()
			s.wipe()
			s.start()
			if err := n1.node().Join(inTime(t), Peer{name, addressOf(name)}, false); err != nil {
				t.Fatalf("join %s: %v", name, err)
			}
			f.mustHold(name, p)
		}
		f.leads("n3") // whom n1 hears again
		_, op := create()
		f.write("n1", op)
		f.mustAgree()
	})
}

// The operator is told once of two sides, and not which one to wipe: the node cannot know that.
func TestWhoWasRecoveredDoesNotJudge(t *testing.T) {
	t.Parallel()
	var said []string
	w := &wary{c: &Cluster{cfg: Config{Name: "n1", OnChange: func(what string) { said = append(said, what) }}}, said: map[string]bool{}}
	w.say("n2")
	w.say("n2")
	if len(said) != 1 {
		t.Fatalf("said %q: expected one line", said)
	}
	for _, part := range []string{"n1", "n2", "one must be stopped", "dcann cluster status on both"} {
		if !strings.Contains(said[0], part) {
			t.Errorf("%q: expected it to say %q", said[0], part)
		}
	}
}

// What a leader without which a node was recovered must send to be heard, when that node does not know that the other is
// a member again.
func TestWhoIsOfTheSameHistoryIsHeard(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	for range 5 {
		_, op := create()
		n.mustSubmit(t, op)
	}
	last := n.raft.LastIndex()
	termOf := func(index uint64) uint64 {
		var l raft.Log
		if err := n.log.GetLog(index, &l); err != nil {
			t.Fatal(err)
		}
		return l.Term
	}
	r := &recovered{Without: []string{"n2"}, Index: last - 2, Term: termOf(last - 2)}
	w := &wary{c: n.Cluster, from: r, said: make(map[string]bool)}
	for _, tt := range []struct {
		name       string
		prev, term uint64
		entries    []*raft.Log
		ours       bool
		back       uint64
	}{
		{name: "a heartbeat"},
		{name: "follows upon the entry", prev: r.Index, term: r.Term, ours: true},
		{name: "has another entry there", prev: r.Index, term: r.Term - 1},
		{name: "follows upon a later one", prev: last, term: termOf(last), ours: true},
		{name: "follows upon one that was overruled", prev: last, term: r.Term + 1, back: last - 1},
		{name: "follows upon what this node has not", prev: last + 7, term: r.Term, back: last},
		{name: "brings the entry", prev: r.Index - 1, entries: []*raft.Log{{Index: r.Index, Term: r.Term}}, ours: true},
		{name: "overrules the entry", prev: r.Index - 1, entries: []*raft.Log{{Index: r.Index, Term: r.Term + 1}}},
	} {
		q := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ID: []byte("n2")}, Term: r.Term + 9, PrevLogEntry: tt.prev, PrevLogTerm: tt.term, Entries: tt.entries}
		if ours, back := w.shared(q); ours != tt.ours || back != tt.back {
			t.Errorf("%s: %t, back to %d: expected %t, %d", tt.name, ours, back, tt.ours, tt.back)
		}
		answer := make(chan raft.RPCResponse, 1)
		if refused := w.refused(raft.RPC{Command: q, RespChan: answer}); refused == tt.ours || refused != (len(answer) == 1) {
			t.Errorf("%s: refused is %t, with %d answers", tt.name, refused, len(answer))
		}
	}
	for _, q := range []any{&raft.RequestVoteRequest{}, &raft.RequestPreVoteRequest{}, &raft.TimeoutNowRequest{}, &raft.InstallSnapshotRequest{}} {
		for _, name := range []string{"n2", "n3"} {
			header := raft.RPCHeader{ID: []byte(name)}
			switch q := q.(type) {
			case *raft.RequestVoteRequest:
				q.RPCHeader, q.Term = header, 1<<40
			case *raft.RequestPreVoteRequest:
				q.RPCHeader, q.Term = header, 1<<40
			case *raft.TimeoutNowRequest:
				q.RPCHeader = header
			case *raft.InstallSnapshotRequest:
				q.RPCHeader = header
			}
			stream := strings.NewReader("a state")
			answer := make(chan raft.RPCResponse, 1)
			if refused := w.refused(raft.RPC{Command: q, Reader: stream, RespChan: answer}); refused != (name == "n2") {
				t.Errorf("%T of %s: refused is %t", q, name, refused)
				continue
			} else if !refused {
				continue
			}
			switch a := (<-answer).Response.(type) {
			case *raft.RequestVoteResponse:
				if a.Granted || a.Term != 1<<40 {
					t.Errorf("%+v: expected no vote, and no other term", a)
				}
			case *raft.RequestPreVoteResponse:
				if a.Granted || a.Term != 1<<40 {
					t.Errorf("%+v: expected no vote, and no other term", a)
				}
			case *raft.InstallSnapshotResponse:
				if stream.Len() != 0 {
					t.Errorf("%d bytes of the state are left to be taken for a message", stream.Len())
				}
			}
		}
	}
}

// probed says of itself what a test wants.
type probed struct {
	Links
	hello helloReply
}

func (p probed) Probe(context.Context, string, string, string, []byte) ([]byte, error) {
	return reply(p.hello, nil)
}

// Joined again with its old data, a node would be listened to again.
func TestWhoHasTheDataOfBeforeIsNotJoined(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	for _, begun := range []bool{true, false} {
		c := &Cluster{cfg: n.cfg, st: n.st, log: n.log, links: probed{hello: helloReply{Begun: begun}}}
		c.cfg.Nodes = []Peer{{"n2", addressOf("n2")}}
		if err := c.noteRecovered(1, 1); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"n2", "n4"} {
			err := c.probe(t.Context(), membershipRequest{Change: changeJoin, Name: name, Address: addressOf(name)})
			if refused := errors.Is(err, registry.Invalid); refused != (begun && name == "n2") {
				t.Errorf("%s, begun %t: %v", name, begun, err)
			}
		}
	}
}

// A node that is wiped and joined to one that was recovered is still counted on by those that run with the data of
// before. It does not take their entries, should they reach it first: it would have to take them back, and could not.
func TestAWipedNodeIsNotTakenByThoseOfBefore(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	network := newNet()
	network.onRPC = func(from, to, rpc string) error {
		if from == "n3" && to == "n2" && rpc == "RequestPreVote" {
			asked.Add(1)
		}
		return nil
	}
	f, p := recoveredTooSoonOn(t, network, guards{})
	n1, n2, n3 := f.seat("n1"), f.seat("n2"), f.seat("n3")
	n2.halt()
	n2.wipe()
	f.net.holdRaft("n1", "n2")
	n2.start()
	joined := make(chan error, 1)
	go func() { joined <- n1.node().Join(inTime(t), Peer{"n2", addressOf("n2")}, false) }()
	eventually(t, "n2 is let in", func() bool { return n2.node() != nil })
	entered, before := n2.node().raft.CurrentTerm(), asked.Load()
	taken := func() bool { return n2.node() == nil || n2.node().raft.LastIndex() > 0 }
	// The first answer would tell n3 in which term to ask again, and the second that n2 votes for it.
	eventually(t, "n3 has asked n2 for its vote several times", func() bool { return taken() || asked.Load() > before+5 })
	if taken() {
		t.Fatalf("n2 took what those have that it is not joined to: %v", n2.err())
	}
	if term := n3.node().raft.CurrentTerm(); term >= entered {
		t.Errorf("n3 is in term %d: expected that it does not come to that of n2, %d", term, entered)
	}
	f.net.calm()
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	f.mustHold("n2", p)
}
