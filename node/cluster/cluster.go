package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry/state"
)

// Cluster is this node's part in the Raft cluster of its country. All methods are safe for concurrent
// use. It does not own the state: close the Cluster first, then the Store.
type Cluster struct {
	cfg     Config
	st      *state.Store
	place   *Place // nil: states of others cannot be installed
	log     *logStore
	raft    *raft.Raft
	running atomic.Pointer[raft.Raft] // raft, once it runs: calls of others may come before
	links   Links                     // nil for a node that is alone
	told    hearsay
	trans   transport

	machine    *machine
	applied    appliedIndex
	office     atomic.Pointer[tenure] // set while this node may propose
	settled    atomic.Bool            // it could at least once since it started
	proposer   *proposer
	reads      readRounds    // on the node that leads
	asks       readRounds    // elsewhere
	confirming confirmations // of this node's office, by the others
	space      freeSpace

	fresh    freshness
	ticked   atomic.Pointer[instant] // when follow last looked
	sole     atomic.Bool             // this node is the only voter
	disowned atomic.Bool             // others say that it is no member any more
	gone     atomic.Bool             // it is none, by what they or its own data say
	doubt    doubt                   // it stood still, and whether it still leads was not confirmed since
	doubting atomic.Bool             // a confirmation is under way for that
	heard    reports                 // of the others, while this node leads
	clockOff atomic.Int64            // ns by which our clock is off the majority's while that keeps us from writing, else 0
	agreed   atomic.Pointer[agreement]
	compare  chan struct{} // has lead compare the clocks again

	inVain, firstHeir int  // hand-overs of letGo in a row that failed, and whom it tried first; they belong to lead
	changing          turn // one at a time changes the members
	hclog             hclog.Logger

	scanning turn // one at a time reads all of the state

	transferring                                    atomic.Bool // Raft refused a write because of a leadership transfer
	forwarded, forwardErrors, paused, leaderChanges atomic.Uint64

	compacting sync.Mutex // one at a time changes TrailingLogs and cuts the log
	scrubbed   atomic.Uint64

	quit      chan struct{}   // closed by Close: loops end
	living    context.Context // over then, too
	die       context.CancelFunc
	using     sync.RWMutex // held for reading by every call from outside that uses the state
	over      bool         // guarded by using: the state may be closed
	closeOnce sync.Once
	closeErr  error
	loops     sync.WaitGroup

	failOnce sync.Once
	done     chan struct{} // closed by fail
	err      error         // set before done is closed
}

// Open starts the node on the Raft log in cfg.Dir and the state st, and returns when Raft runs; see
// WaitReady. If there is no log yet it becomes the only voter of a new cluster, or with cfg.Net it waits until
// it can begin one together with cfg.Nodes, or is joined to one: cfg.OnWait is told for what. It refuses data
// that do not belong together, saying why and what to do; ctx bounds the start only.
//
// place is where st lies; when another node's state was installed beside it, Done is closed with
// ErrReplaced: close this and the Store, and open both anew.
func Open(ctx context.Context, cfg Config, st *state.Store, place *Place, log *slog.Logger) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := makeDir(vfs.Default, cfg.Dir); err != nil {
		return nil, err
	}
	if err := removeTemporary(cfg.Dir); err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, st: st, place: place, hclog: RaftLogger(log), changing: make(turn, 1), scanning: make(turn, 1), compare: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	c.confirming.early = cfg.guards.earlyConfirm
	c.fresh.epoch = time.Now().Add(-c.doubtful()) // nothing is ever known as of a moment before
	living, die := context.WithCancel(context.Background())
	c.living, c.die = living, die
	c.space.watch(cfg.Dir, cfg.MinFree)
	if err := c.openStores(); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.unlink(), c.log.close())
	}
	return c, nil
}

// unlink closes the connections to the others.
func (c *Cluster) unlink() error {
	if c.links == nil {
		return nil
	}
	return c.links.Close()
}

// alone reports whether there are no others, and never will be in this process.
func (c *Cluster) alone() bool { return c.links == nil }

const logFile = "raft.db"

func (c *Cluster) openStores() error {
	path := filepath.Join(c.cfg.Dir, logFile)
	mapped := 2 * c.cfg.TrailingBytes
	db, err := openUnsynced(path, mapped, c.cfg.guards.noSync)
	if err != nil {
		return err
	}
	c.log = &logStore{path: path, mapped: mapped, db: db, durable: c.st.DurableIndex, applied: c.committed, fail: c.fail, syncDir: syncDir, epoch: time.Now(), noClamp: c.cfg.guards.noClamp, noHistory: c.cfg.guards.noHistory, noSync: c.cfg.guards.noSync, noRestart: c.cfg.guards.noRestart}
	scrubbed, err := readScrubbed(c.cfg.Dir)
	if err == nil {
		err = syncDir(c.cfg.Dir) // the log's file is in it after a crash
	}
	if err == nil {
		c.scrubbed.Store(scrubbed)
		err = c.measureLog()
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// committed is up to which index entries are committed, as far as this node knows: Raft may be about to apply more
// than is applied, and knows nothing after a start.
func (c *Cluster) committed() uint64 {
	applied := c.applied.load()
	if r := c.running.Load(); r != nil {
		return max(applied, r.CommitIndex())
	}
	return applied
}

func (c *Cluster) measureLog() error {
	first, err := c.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := c.log.LastIndex()
	if err != nil {
		return err
	}
	info, err := os.Stat(c.log.path)
	if err != nil {
		return err
	}
	c.log.size.start(first, last, info.Size())
	return nil
}

// start begins or joins a cluster if there is no data yet, and runs Raft.
func (c *Cluster) start(ctx context.Context) error {
	stable := &stableStore{log: c.log, quit: c.quit, fail: c.fail, strict: true}
	if err := c.settleInstalled(); err != nil {
		return err
	}
	if err := c.votesAsReplica(); err != nil {
		return err
	}
	if err := c.begin(ctx, stable); err != nil {
		return fmt.Errorf("begin a new Raft log: %w", err)
	}
	if err := checkTogether(c.log, c.st); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.run(stable); err != nil {
		return err
	}
	members := c.members()
	if len(members.Servers) > 0 && !member(members, c.cfg.Name) && c.alone() {
		return errors.Join(errNotMember, c.shutdown())
	}
	if c.alone() && otherVoters(members, c.cfg.Name) {
		return errors.Join(toldOfNone(members), c.shutdown())
	}
	if soleVoter(members, c.cfg.Name) {
		c.trans.stand(raft.ServerID(c.cfg.Name))
	}
	return nil
}

// run starts Raft and everything that goes on while the node runs.
func (c *Cluster) run(stable *stableStore) error {
	cache, err := raft.NewLogCache(logCacheEntries, c.log)
	if err != nil {
		return err
	}
	if c.links == nil {
		c.trans = loopback(c.cfg.Name)
	} else if c.trans, err = linked(c.links); err != nil {
		return err
	}
	index, _ := c.st.Applied()
	c.applied.advance(index)
	snaps := &snapshots{st: c.st, place: c.place, term: func() (uint64, error) { return c.log.getUint64(keyCurrentTerm) }}
	c.machine = &machine{st: c.st, applied: &c.applied, fail: c.fail, snaps: snaps, guards: c.cfg.guards, replaced: func() { c.loops.Go(c.endReplaced) }}
	heard, err := c.hear(c.trans.trans)
	if err != nil {
		return err
	}
	stable.strict = false
	c.log.cut = false // what was deleted until now, Raft finds gone
	c.reads.kick, c.asks.kick = make(chan struct{}, 1), make(chan struct{}, 1)
	c.proposer = newProposer(c)
	if c.raft, err = raft.NewRaft(raftConfig(c.cfg, c.hclog), c.machine, cache, stable, snaps, heard); err != nil {
		return fmt.Errorf("start Raft: %w", err)
	}
	c.running.Store(c.raft)
	loops := []func(){
		heard.forward, c.lead, c.keepTime, c.proposer.run, c.keepHouse, c.watch, c.follow,
		func() { c.serveRounds(&c.reads, c.readIndex) },
		func() { c.serveRounds(&c.asks, c.askLeader) },
	}
	if !c.alone() {
		loops = append(loops, c.watchTransfers, c.runPilot, c.lookForLeader, c.knock)
	}
	for _, loop := range loops {
		c.loops.Go(loop)
	}
	return nil
}

// AppliedIndex is the Raft index that the state shows: what Dcann-Index carries (DESIGN 9).
func (c *Cluster) AppliedIndex() uint64 { return c.applied.load() }

// Done is closed when the node cannot go on: the state could not apply an entry, or the log could not be
// written. Err then says why. Close the node and end the process; it must not go on answering.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// Err is why Done is closed, and nil while it is not.
func (c *Cluster) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// fail is called from any goroutine, Raft's included; it must not block.
func (c *Cluster) fail(err error) {
	c.failOnce.Do(func() {
		c.err = err
		c.office.Store(nil)
		close(c.done)
		if !errors.Is(err, ErrReplaced) { // of which Raft has yet to tell the leader
			go c.fallSilent()
		}
	})
}

// fallSilent takes a node that cannot go on off the network. Raft cannot be stopped while its disk hangs, and
// would go on to send heartbeats, so that nobody else leads.
func (c *Cluster) fallSilent() {
	if t, ok := c.trans.trans.(raft.WithClose); ok {
		_ = t.Close()
	}
	_ = c.unlink()
}

// use begins a call that uses the state; done ends it. After Close no call uses the state any more.
func (c *Cluster) use() (done func(), err error) {
	c.using.RLock()
	if c.over {
		c.using.RUnlock()
		return nil, errClosing
	}
	return c.using.RUnlock, nil
}

// Close stops accepting, lets what is under way finish for a moment, makes the state durable so that the
// next start has nothing to replay, and closes the log. The state may be closed then: no call uses it any more.
// Calling it again returns the same.
func (c *Cluster) Close() error {
	c.closeOnce.Do(func() {
		err := c.shutdown()
		c.using.Lock()
		c.over = true
		c.using.Unlock()
		if c.Err() == nil { // else it is not to be trusted, or another has taken its place
			err = errors.Join(err, c.st.Flush())
		}
		c.closeErr = errors.Join(err, c.log.close())
	})
	return c.closeErr
}

// shutdown ends everything that was started, so that nothing uses log or state any more. Who leads hands over
// first: that spares the others an election, and writers the time of one.
func (c *Cluster) shutdown() error {
	c.proposer.close()
	if c.raft.State() == raft.Leader && !c.alone() && c.Err() == nil && !c.sole.Load() {
		_ = c.handOver("")
	}
	close(c.quit)
	c.die()
	ended := c.raft.Shutdown()
	// Raft waits for what is being sent and received, a whole state perhaps: that ends with its transport.
	if trans, ok := c.trans.trans.(raft.WithClose); ok {
		_ = trans.Close()
	}
	err := errors.Join(ended.Error(), c.unlink())
	c.loops.Wait()
	c.confirming.end()
	c.proposer.fates.Wait()
	c.log.stop(errors.New("the log is closed"))
	return err
}
