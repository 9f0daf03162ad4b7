package cluster

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
)

// submitted remembers the writes that are sent from node to node. What it returns gives those since it was called last.
func (n *memNet) submitted() (since func() []submitRequest) {
	var mu sync.Mutex
	var sent []submitRequest
	n.onCall = func(_, _, method string, request []byte) error {
		if method != MethodSubmit {
			return nil
		}
		var r submitRequest
		err := decode(request, &r)
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r)
		return err
	}
	return func() (got []submitRequest) {
		mu.Lock()
		defer mu.Unlock()
		got, sent = sent, nil
		return got
	}
}

// A write on any node arrives at the leader once, with the bytes that the client sent, and with its deadline.
func TestAWriteIsForwardedOnceAsItCame(t *testing.T) {
	t.Parallel()
	network := newNet()
	forwarded := network.submitted()
	f := startClusterOn(t, 3, network, inMemory, nil)
	leader := f.settled()
	follower := f.seat(f.followers(leader)[0]).node()
	p, op := create()
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
	defer cancel()
	forwarded()
	first, err := follower.SubmitOperation(ctx, op)
	if err != nil || first.ID != p.id || first.Known {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := follower.SubmitOperation(ctx, op)
	if err != nil || !again.Known || again.Position != first.Position || again.Index != first.Index {
		t.Errorf("the same again: %+v, %v: expected the first result, %+v", again, err, first)
	}
	got := forwarded()
	if len(got) != 2 {
		t.Fatalf("two writes were sent on %d times", len(got))
	}
	if r := got[0]; !bytes.Equal(r.Bytes, op.Bytes()) || r.Left <= 0 || r.Left > 7*time.Second {
		t.Errorf("sent on: %+v", r)
	}
	stale := p.sign(registry.Content{Act: registry.Update, ID: p.id, Prev: p.next(registry.Update).Name, Seq: 1, Record: p.record("x")})
	_, err = follower.SubmitOperation(ctx, stale)
	if e, ok := errors.AsType[*registry.Error](err); !ok || e.Kind != registry.Conflict || e.Head != p.head {
		t.Errorf("a refusal by the leader: %v: expected a conflict with head %s", err, p.head)
	}
}

// Without a leader nobody hangs: writes and confirmed reads are told to come again.
func TestWithoutALeaderNobodyHangs(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, func(_ string, c *Config) { c.LeaderWait = 300 * time.Millisecond })
	f.settled()
	f.seat("n1").crash(vfs.CrashCloneCfg{})
	f.seat("n2").crash(vfs.CrashCloneCfg{})
	n3 := f.seat("n3").node()
	eventually(t, "nobody leads", func() bool { return n3.leader() == "" && n3.inOffice() == nil })
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	_, op := create()
	_, err := n3.SubmitOperation(ctx, op)
	for what, err := range map[string]error{"write": err, "read": n3.ReadIndex(ctx)} {
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != registry.Unavailable || e.RetryAfter <= 0 || ctx.Err() != nil {
			t.Errorf("a %s without a leader: %v (%v): expected Unavailable with RetryAfter, in good time", what, err, ctx.Err())
		}
	}
}

// Every node shows what was acknowledged by any, at once if it is asked to.
func TestEveryNodeReadsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	r := f.add("r1", true)
	r.start()
	if err := f.leader().Join(inTime(t), Peer{"r1", addressOf("r1")}, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica runs", func() bool { return r.node() != nil && r.node().Bounded() == nil })
	f.net.delay("*", "*", 3*time.Millisecond)
	for range 5 {
		for _, writer := range f.seats {
			p, op := create()
			f.write(writer.name, op)
			for _, reader := range f.seats {
				var err error
				eventually(t, "a linearizable read", func() bool { err = reader.node().ReadIndex(inTime(t)); return err == nil })
				reader.node().mustHold(t, p)
			}
		}
	}
}

// Who hears nothing from the leader any more says how old it may be, and is right.
func TestACutOffFollowerGrowsStale(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	leader := f.settled()
	name := f.followers(leader)[0]
	follower := f.seat(name).node()
	eventually(t, "it is fresh", func() bool { age, known := follower.Staleness(); return known && age < time.Second })
	f.net.isolate(name)
	p, op := create()
	f.write(leader.cfg.Name, op)
	acknowledged := time.Now()
	eventually(t, "it is stale", func() bool {
		began := time.Now()
		age, known := follower.Staleness()
		if !known || age < began.Sub(acknowledged) {
			t.Fatalf("it says that it is %s old, and does not show what was acknowledged %s ago", age, began.Sub(acknowledged))
		}
		return age > time.Second
	})
	if follower.holds(p) {
		t.Error("it was not cut off: the test shows nothing")
	}
	f.net.calm()
	f.mustHold(name, p)
	eventually(t, "it is fresh again", func() bool { age, _ := follower.Staleness(); return age < time.Second })
}

// While messages are lost and nodes come and go, a client that tries again gets through, and no operation of a
// chain is refused, since each rests on one that was acknowledged.
func TestAChainThroughAllNodesSurvivesTheirFaults(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	f.settled()
	f.net.lose("*", "*", 0.02)
	var writers sync.WaitGroup
	chains := make([]*passport, 3)
	for i := range chains {
		writers.Go(func() {
			p, op := create()
			chains[i] = p
			for k := range 12 {
				f.write(f.seats[(i+k)%3].name, op)
				p.moved(op)
				op = p.next(registry.Update)
			}
		})
	}
	for _, s := range f.seats {
		s.crash(vfs.CrashCloneCfg{})
		s.start()
		eventually(t, s.name+" is back", func() bool { return s.node() != nil && s.node().Bounded() == nil })
	}
	writers.Wait()
	f.net.calm()
	for _, s := range f.seats {
		f.mustHold(s.name, chains...)
	}
	f.mustAgree()
}

// Who wrote at a node that does not lead finds there at once what was written.
func TestAForwardedWriteIsSeenWhereItWasMade(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	follower := f.followers(f.settled())[0]
	n := f.seat(follower).node()
	for range 30 {
		p, op := create()
		if _, err := n.SubmitOperation(inTime(t), op); err != nil {
			t.Fatal(err)
		}
		if !n.holds(p) {
			t.Fatal("a follower answered that a passport was created, and does not know it")
		}
	}
}

// A member whose settings have lost the other nodes says so, instead of standing for election for ever.
func TestAMemberThatIsToldOfNoOthersDoesNotStart(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	f.fill("n1", 3)
	n1 := f.seat("n1")
	n1.halt()
	f.change = func(_ string, c *Config) { c.Net, c.Nodes = nil, nil }
	n1.start()
	eventually(t, "n1 ends", func() bool { return n1.err() != nil })
	if err := n1.err(); !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), "n1, n2, n3") {
		t.Errorf("n1 ended with %v", err)
	}
}
