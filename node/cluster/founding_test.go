package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

// A registry that n1 began alone and that grew: n1's disk is replaced, and its settings name no other. It could found
// a second registry, and answer, acknowledge and vote with that.
func TestAWipedFounderFoundsNoSecondRegistry(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 1, func(_ string, c *Config) { c.guards.atOnce = off })
		for _, name := range []string{"n2", "n3"} {
			f.add(name, false).start()
			if err := f.leader().Join(inTime(t), Peer{name, addressOf(name)}, false); err != nil {
				t.Fatal(err)
			}
		}
		all := f.fill("n1", 10)
		f.settled()
		n1 := f.seat("n1")
		n1.halt()
		all = append(all, f.fill("n2", 5)...)
		n1.wipe()
		n1.start()
		for round := 0; off; round++ {
			for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(time.Millisecond) {
				if n := n1.node(); n != nil && n.inOffice() != nil && !n.votes("n2") {
					return // until it hears of the others
				}
			}
			if round == 20 {
				t.Fatal("n1 has founded nothing without the guard: the test shows nothing")
			}
			n1.halt()
			n1.wipe()
			n1.start()
		}
		f.mustHold("n1", all...)
		f.mustAgree()
		eventually(t, "n1 votes again", func() bool { return f.leader().votes("n1") })
	})
}

// replacedFounders is a registry of n4, n5 and n1, of whose founders n2 and n3 were replaced, and what it holds. Then
// begin takes all founders' disks at once: none has data, each answers the others so, and nodes that no settings name
// have the registry.
func replacedFounders(t *testing.T, network *memNet, change func(name string, c *Config)) (f *fleet, held []*passport, begin func()) {
	t.Helper()
	f = startClusterOn(t, 3, network, nil, change)
	for _, name := range []string{"n4", "n5"} {
		f.add(name, false).start()
		if err := f.leader().Join(inTime(t), Peer{name, addressOf(name)}, false); err != nil {
			t.Fatal(err)
		}
	}
	held = f.fill("n1", 10)
	f.leads("n4")
	for _, name := range []string{"n2", "n3"} {
		if err := f.leader().Remove(inTime(t), name); err != nil {
			t.Fatal(err)
		}
	}
	f.mustHold("n4", held...)
	f.mustHold("n5", held...)
	return f, held, func() {
		for _, s := range f.seats[:3] {
			s.halt()
			s.wipe()
		}
		for _, s := range f.seats[:3] {
			s.start()
		}
	}
}

// founds reports whether the node named, which is no member of the registry that there is, takes part in one soon.
func (f *fleet) founds(name string) bool {
	for began := time.Now(); time.Since(began) < 4*time.Second; time.Sleep(time.Millisecond) {
		if f.seat(name).node() != nil {
			return true
		}
	}
	return false
}

func TestReplacedFoundersFoundNoSecondRegistry(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, held, begin := replacedFounders(t, newNet(), func(_ string, c *Config) { c.guards.atOnce = off })
		begin()
		for round := 0; off; round++ {
			if f.founds("n2") {
				return
			}
			if round == 20 {
				t.Fatal("n2 has founded nothing without the guard: the test shows nothing")
			}
			begin()
		}
		f.mustHold("n1", held...)
		if voters := f.leader().voters(); !slices.Contains(voters, "n4") || slices.Contains(voters, "n2") {
			t.Errorf("%v vote: expected those of the registry that there was", voters)
		}
		if f.founds("n2") {
			t.Error("n2, which is no member, takes part in a registry")
		}
	})
}

// The founder was taken out, as it was lost for long, and comes back empty to be joined anew. It counts for nobody, and is
// told of the registry all the same.
func TestARemovedFounderFoundsNoSecondRegistry(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 1, func(_ string, c *Config) { c.guards.atOnce = false })
	for _, name := range []string{"n2", "n3", "n4"} {
		f.add(name, false).start()
		if err := f.leader().Join(inTime(t), Peer{name, addressOf(name)}, false); err != nil {
			t.Fatal(err)
		}
	}
	held := f.fill("n1", 10)
	f.leads("n2")
	n1 := f.seat("n1")
	n1.halt()
	if err := f.leader("n1").Remove(inTime(t), "n1"); err != nil {
		t.Fatal(err)
	}
	n1.wipe()
	n1.start()
	if f.founds("n1") {
		t.Fatal("n1, which is no member any more, has founded a registry of its own")
	}
	if err := f.leader().Join(inTime(t), Peer{"n1", addressOf("n1")}, false); err != nil {
		t.Fatal(err)
	}
	f.mustHold("n1", held...)
	f.mustAgree()
}

// The one founder that the registry counts on hears its leader and is not heard. It tells the others of it.
func TestAFounderThatIsCountedOnTellsTheOthers(t *testing.T) {
	t.Parallel()
	network := newNet()
	f, held, begin := replacedFounders(t, network, func(_ string, c *Config) { c.guards.atOnce = false })
	network.cutOneWay("n1", "n4")
	network.cutOneWay("n1", "n5")
	begin()
	if f.founds("n2") {
		t.Error("n2, which is no member, takes part in a registry")
	}
	network.calm()
	f.mustHold("n1", held...)
}

// A founder that was missing meanwhile may have been knocked at, and have lost its data since: what was before does not
// count.
func TestTheWaitBeforeAFoundingBeginsAnew(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var s silence
	for i, tt := range []struct {
		could  bool
		lasted time.Duration // in seconds, one more at each step
	}{{false, 0}, {true, 0}, {true, 1}, {true, 2}, {false, 0}, {false, 0}, {true, 0}, {true, 1}} {
		if got := s.noted(tt.could, began.Add(time.Duration(i)*time.Second)); got != tt.lasted*time.Second {
			t.Errorf("after %d s: %v, expected %d s", i, got, tt.lasted)
		}
	}
}

// Should two registries be begun by the same node all the same, no entry of one is taken for one of the other.
func TestNoTwoFoundingsShareATerm(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for i := range 3 {
		f := startCluster(t, 1, nil)
		leader := f.leader()
		_, term := leader.st.Applied()
		if other := seen[term]; other != "" || term < 1<<30 {
			t.Errorf("registry %d goes on in term %d, and %s too", i, term, other)
		}
		seen[term] = fmt.Sprintf("registry %d", i)
	}
}

// What is restored from a backup goes on beside what the registry did since: no entry of one is taken for one of the
// other, so a replica that kept its data ends, and does not show a mixture of both.
func TestAReplicaOfBeforeARestoreEnds(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	r1 := f.add("r1", true)
	r1.start()
	if err := f.leader().Join(inTime(t), Peer{"r1", addressOf("r1")}, true); err != nil {
		t.Fatal(err)
	}
	f.fill("n1", 5)
	f.mustHold("r1")
	data := f.backup()
	before := f.settled()
	eventually(t, "another leads", func() bool {
		_ = before.handOver("")
		return f.leader().cfg.Name != before.cfg.Name
	})
	lost := f.fill("n1", 10)
	f.mustHold("r1", lost...)
	for _, s := range f.seats {
		s.halt()
	}
	for _, s := range f.seats[:3] {
		s.onDisk()
		if err := s.restore(inTime(t), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		s.start()
	}
	f.fill("n1", 40)
	r1.start()
	_ = f.leader().Join(inTime(t), Peer{"r1", addressOf("r1")}, true) // or it has ended before it follows
	eventually(t, "r1 ends", func() bool { return r1.err() != nil })
	if n := r1.node(); n != nil {
		t.Error("r1 runs")
	}
}
