package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// followEvery is how often a node tells its leader how far it is, and learns how far the leader is; and
// tickEvery how often all of this is looked at.
const (
	followEvery = 200 * time.Millisecond
	tickEvery   = 25 * time.Millisecond
)

// followRequest is what a node says of itself.
type followRequest struct {
	Term     uint64          `cbor:"1,keyasint"`
	Applied  uint64          `cbor:"2,keyasint"`
	Durable  uint64          `cbor:"3,keyasint"`
	Last     uint64          `cbor:"4,keyasint"` // index of the log's end, or of the state if that is later
	LastTerm uint64          `cbor:"5,keyasint"` // of the entry there
	Clock    registry.Millis `cbor:"6,keyasint"`
	MaxLevel uint32          `cbor:"7,keyasint"`
	Version  string          `cbor:"8,keyasint"`
	Replica  bool            `cbor:"9,keyasint"`
}

type followReply struct {
	Term   uint64 `cbor:"1,keyasint"`
	Commit uint64 `cbor:"2,keyasint"` // everything that was acknowledged is at most here
}

// freshness is how old the state may be that this node shows: everything acknowledged up to asOf is in it.
type freshness struct {
	epoch time.Time
	asOf  atomic.Pointer[instant] // nil: not known

	mu sync.Mutex
	// When at, everything acknowledged was at most at index commit, which is not applied yet. nil: none.
	at     *instant
	commit uint64
}

// known notes that everything acknowledged at t is applied.
func (f *freshness) known(t instant) {
	for {
		old := f.asOf.Load()
		if old != nil && t.steady <= old.steady || f.asOf.CompareAndSwap(old, &t) {
			return
		}
	}
}

// heard notes that at t everything acknowledged was at most at index commit. A note that is not reached yet
// stays: were it replaced by each later one, a busy node would never reach any.
func (f *freshness) heard(t instant, commit, applied uint64) {
	f.reached(applied)
	if commit <= applied {
		f.known(t)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at, f.commit = &t, commit
	}
}

// reached is called from time to time with the applied index.
func (f *freshness) reached(applied uint64) {
	f.mu.Lock()
	at, reached := f.at, f.at != nil && f.commit <= applied
	if reached {
		f.at, f.commit = nil, 0
	}
	f.mu.Unlock()
	if reached {
		f.known(*at)
	}
}

// Staleness is how long ago everything that was acknowledged is certain to be in what this node shows; not
// known before a leader was heard from. It costs about a hundred nanoseconds.
func (c *Cluster) Staleness() (age time.Duration, known bool) {
	if c.sole.Load() {
		return 0, true // nobody else can have acknowledged anything
	}
	if c.cfg.guards.noPause && c.inOffice() != nil {
		return 0, true
	}
	asOf := c.fresh.asOf.Load()
	if asOf == nil {
		return 0, false
	}
	return c.instant().since(*asOf), true
}

// follow keeps this node's freshness, as a leader by its office and else by asking the leader.
func (c *Cluster) follow() {
	ctx, cancel := c.untilQuit()
	defer cancel()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	var p pauses
	var questions sync.WaitGroup
	defer questions.Wait()
	var asking atomic.Bool // one question at a time, beside this loop, which must not wait: its ticks notice pauses
	var led reign
	asked, of := instant{}, ""
	for {
		select {
		case <-tick.C:
		case <-c.quit:
			return
		}
		now := c.instant()
		paused := p.tick(now, c.maxPause())
		if paused {
			c.doubt.raise() // before anybody may take the look below for a proof that nothing has happened
		}
		c.ticked.Store(&now)
		c.sole.Store(c.settled.Load() && soleVoter(c.members(), c.cfg.Name))
		c.gone.Store(c.disowned.Load() || c.leader() == "" && c.removed())
		c.fresh.reached(c.applied.load())
		if c.machine.snaps.stalled() {
			c.cfg.OnChange("nothing comes any more of the state that is being received: it will be sent anew")
			c.machine.snaps.came.Store(0)
			if links, ok := c.links.(Interrupter); ok {
				links.Interrupt()
			}
		}
		if led.changed(c.leader(), c.raft.CurrentTerm()) {
			c.leaderChanges.Add(1)
		}
		if c.inOffice() != nil {
			c.freshInOffice(ctx, now, paused)
			continue
		}
		c.doubt.settle(c.doubt.raised.Load()) // of an office that has ended
		if leader := c.leader(); leader != "" && leader != c.cfg.Name && (leader != of || now.since(asked) >= followEvery) {
			asked, of = now, leader
			if asking.CompareAndSwap(false, true) {
				questions.Go(func() {
					defer asking.Store(false)
					c.ask(ctx, leader)
				})
			}
		}
	}
}

// freshInOffice: who leads has applied what it acknowledged, and nobody else acknowledged anything within
// the lease, unless the process stood still meanwhile (SIGSTOP, a machine that was suspended): then somebody else may
// lead by now, which only a confirmation can exclude (DESIGN 9).
func (c *Cluster) freshInOffice(ctx context.Context, now instant, paused bool) {
	if paused {
		c.paused.Add(1)
	}
	if !c.doubt.open() {
		c.fresh.known(now.back(c.doubtful()))
		return
	}
	if c.doubting.CompareAndSwap(false, true) {
		go func() {
			defer c.doubting.Store(false)
			asked := c.doubt.raised.Load()
			if t := c.inOffice(); t != nil && c.confirm(ctx, t) == nil && c.inOffice() == t {
				c.doubt.settle(asked)
			}
		}()
	}
}

// reign is who led last, and in which term. It belongs to one goroutine.
type reign struct {
	leader string
	term   uint64
}

// changed reports whether somebody leads now, and it is another, or in another term, than who led before. The
// first is no change.
func (r *reign) changed(leader string, term uint64) bool {
	if leader == "" || leader == r.leader && term == r.term {
		return false
	}
	first := r.leader == ""
	r.leader, r.term = leader, term
	return !first
}

// doubtful is for how long a node may believe that it leads while another does: Raft's lease counts from the
// arrival of the last answer, which was given a message before.
func (c *Cluster) doubtful() time.Duration { return 2 * c.cfg.LeaseTimeout }

// ask tells the leader how far this node is, and learns how far the leader is.
func (c *Cluster) ask(ctx context.Context, leader string) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.HeartbeatTimeout)
	defer cancel()
	before := c.instant()
	var answer followReply
	err := c.call(ctx, leader, methodFollow, c.report(), &answer)
	if _, unreached := errors.AsType[*unreachedError](err); !unreached { // who says nothing does not say otherwise
		c.disown(errors.Is(err, errStranger)) // who is removed is told nothing else any more
	}
	if err != nil {
		return
	}
	if answer.Term >= c.raft.CurrentTerm() {
		// The other may have been deposed without knowing it yet.
		c.fresh.heard(before.back(c.doubtful()), answer.Commit, c.applied.load())
	}
}

func (c *Cluster) report() followRequest {
	durable, _ := c.st.DurableIndex()
	last, lastTerm := c.logEnd()
	return followRequest{
		Term: c.raft.CurrentTerm(), Applied: c.applied.load(), Durable: durable, Last: last, LastTerm: lastTerm,
		Clock: c.now(), MaxLevel: state.MaxLevel, Version: c.cfg.Version, Replica: c.cfg.Replica,
	}
}

// logEnd is the index and term of the last entry that this node holds, in its log or in its state.
func (c *Cluster) logEnd() (index, term uint64) {
	index, term = c.st.Applied()
	last, err := c.log.LastIndex()
	if err != nil || last <= index {
		return index, term
	}
	var l raft.Log
	if err := c.log.GetLog(last, &l); err != nil {
		return index, term
	}
	return last, l.Term
}

// onFollow takes a follower's report. Who does not lead says so; who leads but has not taken office yet
// takes the report, since it needs the clocks of a majority for that.
func (c *Cluster) onFollow(from string, r followRequest) (followReply, error) {
	if c.raft.State() != raft.Leader {
		return followReply{}, errNoLeader
	}
	if c.pausedNow() || c.doubt.open() {
		return followReply{}, errNoLeader // it may have waited here for long: nothing is to be read from when it came
	}
	now := c.instant()
	c.heard.note(from, heardReport{followRequest: r, at: time.Now(), ahead: time.Duration(r.Clock-registry.MillisOf(now.wall)) * time.Millisecond, skew: now.skew()})
	t := c.inOffice()
	if t == nil {
		return followReply{}, errNoLeader
	}
	return followReply{Term: t.term, Commit: c.raft.CommitIndex()}, nil
}
