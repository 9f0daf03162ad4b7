package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry/state"
)

// askedBy has node name call this one, as if by the network.
func (n *node) askedBy(ctx context.Context, name, method string, request any) error {
	data, err := encode(request)
	if err != nil {
		return err
	}
	answer, err := n.answer(ctx, name, method, data)
	if err != nil {
		return err
	}
	return openAnswer(answer, nil)
}

// admits asks for the admission of a node without data, as that node does, and waits no longer than d.
func (n *node) admits(t testing.TB, name string, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return n.askedBy(ctx, name, methodAdmit, none{})
}

// votes reports whether node name votes, as far as Raft here believes.
func (n *node) votes(name string) bool { return slices.Contains(n.voters(), name) }

// hold keeps the log of a node that follows from being written, until the end of the test or a call of what is
// returned. Heartbeats are answered meanwhile, and nothing is committed that needs this node.
func (n *node) hold(t testing.TB) (release func()) {
	n.log.size.mu.Lock() // the last step of a log write
	release = sync.OnceFunc(n.log.size.mu.Unlock)
	t.Cleanup(release)
	return release
}

// allUp waits until all nodes run, and have caught up with the leader.
func (f *fleet) allUp() *node {
	f.t.Helper()
	eventually(f.t, "all nodes run", func() bool {
		return !slices.ContainsFunc(f.seats, func(s *seat) bool { return s.node() == nil })
	})
	return f.settled()
}

// patient is a node whose log may hang for long, and that leads on meanwhile, on a busy machine too.
func patient(_ string, c *Config) {
	c.LogStall, c.HeartbeatTimeout, c.LeaseTimeout = 10*time.Minute, time.Second, time.Second
}

// A member without data was let in as soon as the leader alone knew that it does not vote. The next leader might
// not, and count votes of one that has forgotten what it acknowledged.
func TestAWipedMemberWaitsForItsDemotion(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, patient)
	leader := f.allUp()
	wiped, other := f.followers(leader)[0], f.seat(f.followers(leader)[1]).node()
	f.seat(wiped).crash(vfs.CrashCloneCfg{})
	release := other.hold(t)
	again := false
	eventually(t, "the leader alone knows that the node does not vote", func() bool {
		if err := leader.admits(t, wiped, 500*time.Millisecond); err == nil {
			t.Fatal("a member without data was let in before its demotion was committed")
		}
		known := again
		again = !leader.votes(wiped) // and asks once more
		return known
	})
	release()
	eventually(t, "the node is let in", func() bool { return leader.admits(t, wiped, time.Second) == nil })
	data, _ := leader.st.Configuration()
	for _, s := range raft.DecodeConfiguration(data).Servers {
		if s.ID == raft.ServerID(wiped) && s.Suffrage == raft.Voter {
			t.Error("a member without data was let in before its demotion was committed")
		}
	}
}

// What a member had reported before it lost its data gave it the vote back at once.
func TestAWipedMemberIsNotPromotedForItsFormerLife(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, patient)
	leader := f.allUp()
	wiped := f.followers(leader)[0]
	eventually(t, "the leader has heard from it", func() bool { return leader.heard.all()[wiped].Last > 0 })
	f.seat(wiped).crash(vfs.CrashCloneCfg{})
	gone := time.Now()
	eventually(t, "the node is let in", func() bool { return leader.admits(t, wiped, time.Second) == nil })
	eventually(t, "its last report is too old to count", func() bool {
		if leader.votes(wiped) {
			t.Fatal("a member that has lost its data votes, and nothing was heard from it since")
		}
		return time.Since(gone) > maxSilence+2*pilotEvery
	})
}

// Nobody was ever removed, since nobody was reckoned to be a voter that could go.
func TestDeadVotersAreRemovedDownToThree(t *testing.T) {
	t.Parallel()
	const dead = time.Second
	f := startCluster(t, 5, func(_ string, c *Config) { c.RemoveDeadAfter = dead })
	leader := f.allUp()
	replica := f.add("r1", true)
	replica.start()
	if err := leader.Join(inTime(t), Peer{replica.name, addressOf(replica.name)}, true); err != nil {
		t.Fatal(err)
	}
	gone := f.followers(f.allUp())
	gone = slices.DeleteFunc(gone, func(name string) bool { return name == replica.name })
	kept := func() bool {
		now := f.leader()
		if len(now.voters()) < minVotersToPrune {
			t.Fatalf("%v vote: a dead voter was removed though fewer than %d remain", now.voters(), minVotersToPrune)
		}
		if !member(now.members(), replica.name) {
			t.Fatal("a replica that is silent was removed")
		}
		return true
	}
	for _, name := range []string{replica.name, gone[0], gone[1]} {
		f.seat(name).crash(vfs.CrashCloneCfg{})
	}
	eventually(t, "two dead voters of five are removed", func() bool {
		return kept() && !f.leader().votes(gone[0]) && !f.leader().votes(gone[1])
	})
	f.seat(gone[2]).crash(vfs.CrashCloneCfg{})
	last := time.Now()
	eventually(t, "the third has been silent for long", func() bool { return kept() && time.Since(last) > dead+3*pilotEvery })
}

// A member that is removed while its promotion waits for its turn was made a member again: Raft was not told
// upon which members the promotion was decided.
func TestAPromotionThatComesTooLateUndoesNoRemoval(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, patient)
	leader := f.allUp()
	const name, wait = "n4", time.Minute
	if err := leader.raft.AddNonvoter(name, raft.ServerAddress(addressOf(name)), 0, wait).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the state knows the members", func() bool {
		data, _ := leader.st.Configuration()
		return member(raft.DecodeConfiguration(data), name)
	})
	var releases []func()
	for _, other := range f.followers(leader) {
		releases = append(releases, f.seat(other).node().hold(t))
	}
	// Every other change waits for this one.
	first := leader.raft.AddNonvoter("n5", raft.ServerAddress(addressOf("n5")), 0, wait)
	var removal, promotion raft.IndexFuture
	var both sync.WaitGroup
	both.Go(func() { removal = leader.raft.RemoveServer(name, 0, wait) })
	time.Sleep(50 * time.Millisecond) // for it to wait before the promotion does, which Raft does not tell; not needed to pass
	both.Go(func() { promotion = promoterOf(leader).AddVoter(name, "", 0, wait) })
	time.Sleep(50 * time.Millisecond)
	for _, release := range releases {
		release()
	}
	both.Wait()
	if err := first.Error(); err != nil {
		t.Fatal(err)
	}
	if err := removal.Error(); err != nil {
		t.Fatal(err)
	}
	if err := promotion.Error(); err == nil {
		t.Errorf("%s was promoted by a decision upon members that are not these any more", name)
	}
	if member(leader.members(), name) {
		t.Errorf("%s was removed and is a member", name)
	}
}

func promoterOf(n *node) promoter { return promoter{n.raft, n.committedMembers} }

// A node that was removed kept its connection, and with it could write, and make itself a member again.
func TestARemovedNodeIsToldNothing(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	leader := f.allUp()
	gone := f.followers(leader)[0]
	if err := leader.Remove(inTime(t), gone); err != nil {
		t.Fatal(err)
	}
	f.seat(gone).halt()
	p, op := create()
	for _, tt := range []struct {
		method  string
		request any
	}{
		{methodFollow, followRequest{Term: leader.raft.CurrentTerm(), Last: leader.AppliedIndex(), Clock: leader.now()}},
		{methodReadIndex, none{}},
		{MethodSubmit, submitRequest{Kind: state.OperationCommand, Bytes: op.Bytes(), Left: time.Minute}},
		{methodMembership, membershipRequest{Change: changeJoin, Name: gone, Address: addressOf(gone), Replica: true}},
		{methodMembership, membershipRequest{Change: changeTransfer}},
		{methodOverview, none{}},
		{methodCheck, checkRequest{}},
		{methodHash, hashRequest{Index: leader.AppliedIndex()}},
		{methodAdmit, none{}},
	} {
		if err := leader.askedBy(inTime(t), gone, tt.method, tt.request); err == nil || !strings.Contains(err.Error(), "is not a member") {
			t.Errorf("%s by a node that was removed: %v: expected to be told that it is no member", tt.method, err)
		}
	}
	for _, method := range []string{methodHello, methodConfirm} {
		if err := leader.askedBy(inTime(t), gone, method, none{}); err != nil {
			t.Errorf("%s by a node that was removed: %v", method, err)
		}
	}
	if member(leader.members(), gone) {
		t.Error("a node that was removed has joined by itself")
	}
	if leader.holds(p) {
		t.Error("a node that was removed has written")
	}
	if leader.inOffice() == nil {
		t.Error("a node that was removed has deposed the leader")
	}
}

// A change of the members that had waited for another was made although whoever wanted it had given up.
func TestAChangeOfMembersThatIsGivenUpIsNotMade(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	leader := f.allUp()
	others := f.followers(leader)
	for _, tt := range []struct {
		method  string
		request any
	}{
		{methodMembership, membershipRequest{Change: changeJoin, Name: "n9", Address: addressOf("n9"), Replica: true}},
		{methodMembership, membershipRequest{Change: changeRemove, Name: others[1]}},
		{methodMembership, membershipRequest{Change: changeTransfer, Name: others[1]}},
		{methodAdmit, none{}},
	} {
		if err := leader.changing.take(t.Context()); err != nil { // another change is under way
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		answered := make(chan error, 1)
		go func() { answered <- leader.askedBy(ctx, others[0], tt.method, tt.request) }()
		<-ctx.Done()
		leader.changing.leave()
		if err := <-answered; err == nil {
			t.Errorf("%s %+v: no error when its time was over", tt.method, tt.request)
		}
		cancel()
	}
	if err := leader.raft.Barrier(time.Minute).Error(); err != nil { // whatever was begun is done
		t.Fatal(err)
	}
	if voters := leader.voters(); len(voters) != 3 || len(leader.members().Servers) != 3 {
		t.Errorf("members %v: expected the three that there were", leader.members().Servers)
	}
	if leader.inOffice() == nil {
		t.Error("leadership was handed over")
	}
}

// asked is a context that says when somebody is about to wait for its end.
type asked struct {
	context.Context
	tell func()
}

func (a asked) Done() <-chan struct{} {
	a.tell()
	return a.Context.Done()
}

// Whoever was deposed, and leads again, while it was about to let a node in told it the term of before: those that led
// in between could have it follow them.
func TestALeaderThatWasDeposedMeanwhileLetsNobodyIn(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	n1 := f.leads("n1")
	n3 := f.seat("n3")
	n3.halt()
	n3.wipe()
	if err := n1.changing.take(t.Context()); err != nil { // another change is under way
		t.Fatal(err)
	}
	type outcome struct {
		in  admitReply
		err error
	}
	waits, answered := make(chan struct{}), make(chan outcome, 1)
	ctx := asked{inTime(t), sync.OnceFunc(func() { close(waits) })}
	go func() {
		in, err := n1.admit(ctx, "n3")
		answered <- outcome{in, err}
	}()
	<-waits
	before := n1.inOffice()
	eventually(t, "n2 leads", func() bool { _ = n1.handOver("n2"); return f.seat("n2").node().inOffice() != nil })
	eventually(t, "n1 leads again", func() bool {
		if n1.inOffice() != nil {
			return true
		}
		_ = f.seat("n2").node().handOver("n1")
		return false
	})
	n1.changing.leave()
	if o := <-answered; !errors.Is(o.err, errNoLeader) {
		t.Errorf("%+v, %v: expected that who led in term %d, and leads in %d, lets nobody in", o.in, o.err, before.term, n1.inOffice().term)
	}
	n3.start()
	f.settled()
}
