package cluster

import (
	"bytes"
	"os"
	"slices"
	"testing"
)

// offNet is a network on which a machine that has no power is not refused by anybody: it just does not answer, for
// longer than a node that is starting asks.
func offNet() *memNet {
	n := newNet()
	n.timeout = 2 * meetTime
	return n
}

// A machine that was off, and stood first among those whom a newcomer asks, took all the time that there was for
// asking: nobody was let in for as long as it was off.
func TestAMachineThatIsOffKeepsNoNewcomerOut(t *testing.T) {
	t.Parallel()
	f := startClusterOn(t, 3, offNet(), inMemory, nil)
	leader := f.leads("n2")
	f.net.isolate("n1")
	f.net.cut("n1", "n4")
	f.add("n4", false).start()
	if err := leader.Join(inTime(t), Peer{"n4", addressOf("n4")}, false); err != nil {
		t.Fatal(err)
	}
}

// ... nor a member that had lost its disk.
func TestAMachineThatIsOffKeepsNoMemberOut(t *testing.T) {
	t.Parallel()
	f := startClusterOn(t, 5, offNet(), inMemory, nil)
	all := f.fill("n2", 10)
	f.leads("n2")
	n5 := f.seat("n5")
	n5.halt()
	n5.wipe()
	f.net.isolate("n1")
	n5.start()
	f.mustHold("n5", all...)
}

// ... nor one that was restored together with others which have begun already.
func TestAMachineThatIsOffKeepsNobodyWhoWasRestoredOut(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	all := f.fill("n1", 10)
	data := f.backup()
	g := newFleet(t, 3, offNet(), nil)
	n3 := g.seat("n3")
	for _, s := range g.seats {
		s.onDisk()
		if err := s.restore(inTime(t), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	restored := t.TempDir() // as n3 was before it ran Raft
	if err := os.CopyFS(restored, os.DirFS(n3.dir)); err != nil {
		t.Fatal(err)
	}
	for _, s := range g.seats {
		s.start()
	}
	for _, s := range g.seats {
		g.mustHold(s.name, all...)
	}
	g.leads("n2")
	n3.halt()
	n3.mu.Lock()
	n3.dir = restored
	n3.mu.Unlock()
	g.net.isolate("n1")
	n3.start()
	eventually(t, "n3 begins by n2", func() bool { return n3.node() != nil })
}

// Nobody was let in while a node led that the newcomer's settings do not name: whom it asked did not lead, and
// nobody told it who does.
func TestANewcomerFindsALeaderThatItsSettingsDoNotName(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	all := f.fill("n1", 10)
	leader := f.settled()
	f.add("n4", false).start()
	if err := leader.Join(inTime(t), Peer{"n4", addressOf("n4")}, false); err != nil {
		t.Fatal(err)
	}
	leader = f.leads("n4")
	n5 := f.add("n5", false)
	f.net.setAdmits(f.admits)
	n5.start()
	if err := leader.Join(inTime(t), Peer{"n5", addressOf("n5")}, false); err != nil {
		t.Fatal(err)
	}
	f.mustHold("n5", all...)
	eventually(t, "n5 goes by the configuration", func() bool {
		_, ok := n5.node().told.where("n4")
		return !ok && n5.node().Knows("n4")
	})
}

// A node that was down while another was joined did not know that one when it came back, and let it not in: as long
// as it led, there was nobody else to tell of it either.
func TestALeaderIsLetInByWhoWasDownWhenItJoined(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	f.settled()
	n3 := f.seat("n3")
	n3.halt()
	f.add("n4", false).start()
	if err := f.leader().Join(inTime(t), Peer{"n4", addressOf("n4")}, false); err != nil {
		t.Fatal(err)
	}
	f.leads("n4")
	all := f.fill("n4", 10)
	for _, name := range []string{"n1", "n2"} { // who led before tries for a while to tell of n4
		f.net.holdRaft(name, "n3")
	}
	f.net.setAdmits(f.admits)
	n3.start()
	f.mustHold("n3", all...)
}

// admits is what package node asks before a connection is taken; but who is starting lets in the founding
// members only, so that nobody slips in before there is somebody to ask.
func (f *fleet) admits(at, from string) bool {
	if n := f.seat(at).node(); n != nil {
		return n.Knows(from)
	}
	return slices.ContainsFunc(f.founders, func(p Peer) bool { return p.Name == from })
}
