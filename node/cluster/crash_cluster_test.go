package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
	court "github.com/dcann/dcann/scripts/chaos/check"
)

// go test ./node/cluster -run CrashCluster -crashes 20000 is a long run; -seed repeats the faults of one.
var (
	wantedCrashes = flag.Uint64("crashes", 2000, "how many power failures TestCrashCluster lets happen")
	wantedSeed    = flag.Uint64("seed", 0, "which faults TestCrashCluster chooses; 0: others each time")
)

// world is a cluster of three voters and a replica in which everything fails, and clients that remember what they
// were told.
type world struct {
	t         *testing.T
	dir       string
	seed      uint64
	rng       *rand.Rand // of the one goroutine that does the harm
	guards    guards     // that are taken out
	seesPages bool       // the system says what of a file it has not written

	net      *memNet
	founders []Peer
	hosts    []*host // the last is the replica
	book     book
	ledger   court.Ledger
	kept     []*subject // that have been judged
	begun    time.Time
	over     atomic.Bool
	ghosts   sync.WaitGroup // nodes that have lost their power, and operators
	operator sync.Mutex     // one at a time changes the members or wipes a disk
	duels    sync.WaitGroup
	sparks   chan string // hosts that are in a moment at which a power failure is of interest
	counts   counts

	weather sync.Mutex
	stormy  bool

	mu    sync.Mutex
	wrong []court.Violation
	deeds []string // what was done, for who wants to know why
}

// counts is what happened.
type counts struct {
	crashes, installs, cuts, wipes, removals, transfers, gaveUp, lost, rounds atomic.Uint64
	acked, unknown, refused, reads, subjects, undecided                       atomic.Uint64
}

func (c *counts) String() string {
	return fmt.Sprintf("%d power failures, %d links cut or slowed, %d disks replaced, %d members removed and joined, %d transfers of leadership, "+
		"%d states installed, %d nodes gave up, %d rounds; %d writes acknowledged, %d unknown, %d refused, %d reads, %d passports judged, %d not decided",
		c.crashes.Load(), c.cuts.Load(), c.wipes.Load(), c.removals.Load(), c.transfers.Load(), c.installs.Load(), c.gaveUp.Load(), c.rounds.Load(),
		c.acked.Load(), c.unknown.Load(), c.refused.Load(), c.reads.Load(), c.subjects.Load(), c.undecided.Load())
}

func (c *counts) add(d *counts) {
	for _, p := range [][2]*atomic.Uint64{
		{&c.crashes, &d.crashes}, {&c.installs, &d.installs}, {&c.cuts, &d.cuts}, {&c.wipes, &d.wipes}, {&c.removals, &d.removals},
		{&c.transfers, &d.transfers}, {&c.gaveUp, &d.gaveUp}, {&c.lost, &d.lost}, {&c.rounds, &d.rounds}, {&c.acked, &d.acked}, {&c.unknown, &d.unknown},
		{&c.refused, &d.refused}, {&c.reads, &d.reads}, {&c.subjects, &d.subjects}, {&c.undecided, &d.undecided},
	} {
		p[0].Add(p[1].Load())
	}
}

func newWorld(t *testing.T, seed uint64, g guards) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), guards: g, net: newNet(), begun: time.Now(),
		sparks: make(chan string, 16),
	}
	var err error
	if w.dir, err = os.MkdirTemp(t.TempDir(), "world"); err != nil {
		t.Fatal(err)
	}
	w.net.timeout = 250 * time.Millisecond
	w.net.onRPC = w.onRPC
	w.seesPages = seesUnsyncedPages(w.dir)
	for _, name := range []string{"n1", "n2", "n3"} {
		w.founders = append(w.founders, Peer{name, addressOf(name)})
	}
	for _, p := range w.founders {
		w.hosts = append(w.hosts, w.newHost(p.Name, false))
	}
	w.hosts = append(w.hosts, w.newHost("r1", true))
	return w
}

func (w *world) now() time.Duration { return time.Since(w.begun) }

func (w *world) violated(kind court.Fault, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, court.Violation{Kind: kind, Detail: fmt.Sprintf(format, args...)})
}

func (w *world) violations() []court.Violation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}

// did remembers a deed.
func (w *world) did(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deeds = append(w.deeds, fmt.Sprintf("%10v %s", w.now().Round(time.Millisecond), fmt.Sprintf(format, args...)))
}

// live is the life of a world: rounds of faults, each followed by peace, in which everything must be well. It
// ends with the first violation.
func (w *world) live(rounds int) {
	defer w.end()
	w.found()
	for range rounds {
		if len(w.violations()) > 0 {
			return
		}
		w.counts.rounds.Add(1)
		stop := make(chan struct{})
		working := w.clients(stop)
		w.storm(time.Duration(500+w.rng.IntN(1000)) * time.Millisecond)
		w.heal()
		close(stop)
		working.Wait()
		w.duels.Wait()
		w.agree()
		w.judge()
	}
	w.inspect(w.kept)
	for _, h := range w.hosts {
		if l := h.node(); l != nil {
			if err := l.st.VerifyContent(context.Background()); err != nil {
				w.violated(court.Differ, "%s: %v", h.name, err)
			}
		}
	}
}

func (w *world) end() {
	w.over.Store(true)
	w.net.calm()
	for _, h := range w.hosts {
		w.ghosts.Go(h.stop)
	}
	w.ghosts.Wait()
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Error(err)
	}
}

// within tries until do returns nil, and says that the cluster does not heal if it never does.
func (w *world) within(d time.Duration, what string, do func() error) bool {
	deadline := time.Now().Add(d)
	for {
		err := do()
		if err == nil {
			return true
		}
		if len(w.violations()) > 0 {
			return false
		}
		if time.Now().After(deadline) {
			w.violated(court.NoRecovery, "%s: for %v: %v%s", what, d, err, w.describe())
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// describe says how all nodes are.
func (w *world) describe() string {
	var b strings.Builder
	for _, h := range w.hosts {
		l := h.node()
		if l == nil {
			fmt.Fprintf(&b, "\n\t%s is not up", h.name)
			continue
		}
		s := l.Status()
		_, term := l.st.Applied()
		fmt.Fprintf(&b, "\n\t%s, led by %q in term %d, commit %d, applied %d of term %d, durable %d, log %d..%d, failed %v, members %v, %v",
			s.Role, s.Leader, s.Term, s.Commit, s.Applied, term, s.Durable, s.LogFirst, s.LogLast, l.Err(), s.Members, l.raft.Stats())
	}
	return b.String()
}

// peace is how long a cluster in peace may take to be well.
const peace = 45 * time.Second

// found begins the cluster, sometimes with a power failure in the middle of it.
func (w *world) found() {
	for _, h := range w.hosts {
		h.start()
	}
	for range w.rng.IntN(3) {
		time.Sleep(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		h := w.hosts[w.rng.IntN(len(w.hosts))]
		w.crash(h)
		h.start()
	}
	w.within(peace, "a policy", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l := w.leader()
		if l == nil {
			return errNoLeader
		}
		return (&node{Cluster: l.Cluster, st: l.st}).prepare(ctx)
	})
	w.within(peace, "all nodes are members", w.joinAll)
}

// leader is a node that believes to lead; nil if there is none.
func (w *world) leader() *life {
	for _, h := range w.hosts {
		if l := h.node(); l != nil && l.inOffice() != nil {
			return l
		}
	}
	return nil
}

// joinAll has all hosts be members.
func (w *world) joinAll() error {
	l := w.leader()
	if l == nil {
		return errNoLeader
	}
	for _, h := range w.hosts {
		if member(l.members(), h.name) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := l.askMembership(ctx, membershipRequest{Change: changeJoin, Name: h.name, Address: addressOf(h.name), Replica: h.replica})
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// heal gives all hosts their power and waits until all nodes are members.
func (w *world) heal() {
	for _, h := range w.hosts {
		h.start()
	}
	w.operator.Lock() // who still changes the members ends first
	defer w.operator.Unlock()
	for _, h := range w.hosts {
		h.start()
	}
	w.within(peace, "all nodes are members", w.joinAll)
	if w.rng.IntN(3) == 0 {
		w.within(peace, "all founders vote", func() error {
			if !w.threeVote() {
				return errors.New("somebody does not")
			}
			return nil
		})
	}
}

// agree waits until all nodes have the same state at one index, which comes after all that was acknowledged.
func (w *world) agree() {
	w.within(peace, "all states are equal", func() error {
		l := w.hosts[w.counts.rounds.Load()%uint64(len(w.hosts))].node()
		if l == nil {
			return errors.New("a node is not up")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		report, err := l.Check(ctx, false)
		if err != nil {
			return err
		}
		for _, n := range report.Nodes {
			if strings.Contains(n.Problem, "differs") {
				w.violated(court.Differ, "at index %d: %+v", report.Index, report.Nodes)
			}
		}
		if !report.Equal || len(report.Nodes) != len(w.hosts) {
			return fmt.Errorf("%+v", report)
		}
		return nil
	})
}

// judge holds what clients were told in this round against the model, and against every node.
func (w *world) judge() {
	if len(w.violations()) > 0 {
		return
	}
	all := w.book.close()
	w.inspect(all)
	for _, s := range all {
		if len(s.story.Events) == 0 {
			continue
		}
		w.counts.subjects.Add(1)
		verdict := court.Judge(&s.story, 10*time.Second)
		if verdict.Undecided {
			w.counts.undecided.Add(1)
		}
		for _, v := range append(verdict.Violations, w.ledger.Enter(&s.story)...) {
			w.violated(v.Kind, "%s: %s%s", v.ID, v.Detail, account(&s.story))
		}
	}
	w.kept = append(w.kept, all...)
}

func account(s *court.Subject) string {
	var b strings.Builder
	events := slices.Clone(s.Events)
	slices.SortFunc(events, func(a, b court.Event) int { return int(a.Call - b.Call) })
	for _, e := range events {
		fmt.Fprintf(&b, "\n\t%s", e)
	}
	return b.String()
}

// inspect looks for every acknowledged operation on every node. What a node shows is an event for the judge.
func (w *world) inspect(all []*subject) {
	for _, h := range w.hosts {
		l := h.node()
		if l == nil {
			w.violated(court.NoRecovery, "%s is not up", h.name)
			return
		}
		call := w.now()
		if !w.within(peace, "a read index", func() error { return l.ReadIndex(context.Background()) }) {
			return
		}
		for _, s := range all {
			if s.story.ID == "" {
				continue
			}
			e := court.Event{Client: clientCount, Node: h.name, Action: court.Read, Level: wire.Linearizable, Call: call}
			standing := map[registry.OpID]bool{}
			history, _, err := l.st.History(s.story.ID, nil, 2*subjectEvents)
			for _, entry := range history {
				standing[entry.Operation.Name] = !entry.Undone
			}
			for op, ack := range s.story.Acked() {
				if !standing[op] {
					w.violated(court.Lost, "%s: operation %s of %s, acknowledged by %s, is not there (%v)%s", h.name, op, s.story.ID, ack.Node, err, account(&s.story))
				}
			}
			v, err := l.st.Record(s.story.ID)
			e.Return = w.now()
			if err == nil {
				e.Outcome, e.Head, e.Seq, e.Position = court.OK, v.Head, v.Seq, v.Position
			} else {
				e.Outcome, e.Refusal = court.Refused, registry.KindOf(err)
			}
			s.story.Events = append(s.story.Events, e)
		}
	}
}

// A cluster loses its power, its links, its disks and its members, again and again, while clients use it.
func TestCrashCluster(t *testing.T) {
	t.Parallel()
	const atOnce = 3
	seed, wanted := *wantedSeed, *wantedCrashes
	if seed == 0 {
		seed = rand.Uint64() >> 32
	}
	if testing.Short() {
		wanted = min(wanted, 60)
	}
	t.Logf("to repeat these faults: -run CrashCluster -crashes %d -seed %d", wanted, seed)
	var total counts
	var next atomic.Uint64
	var living sync.WaitGroup
	for range atOnce {
		living.Go(func() {
			for total.crashes.Load() < wanted && !t.Failed() {
				w := newWorld(t, seed+next.Add(1)-1, guards{})
				w.live(6)
				total.add(&w.counts)
				if wrong := w.violations(); len(wrong) > 0 {
					t.Errorf("world with seed %d: %d violations", w.seed, len(wrong))
					for _, v := range wrong[:min(len(wrong), 5)] {
						t.Errorf("%s: %s", v.Kind, v.Detail)
					}
					t.Log("what was done:\n" + strings.Join(w.deeds[max(0, len(w.deeds)-80):], "\n"))
				}
			}
		})
	}
	living.Wait()
	t.Log(&total)
	if total.crashes.Load() < wanted && !t.Failed() || total.acked.Load() == 0 || total.installs.Load() == 0 {
		t.Error("the test shows nothing")
	}
}

// The same world finds what is wrong with a node that lacks one of its guards.
func TestCrashClusterFindsSeededBugs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		off  guards
	}{
		{"an append that is acknowledged before it is synced", guards{noSync: true}},
		{"a log that is cut past what is durable", guards{noFlush: true, noClamp: true}},
		{"reads without a confirmation", guards{noConfirm: true}},
		{"a vote without data", guards{noAdmission: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var total counts
			began := time.Now()
			for seed := uint64(1); time.Since(began) < 5*time.Minute; seed++ {
				w := newWorld(t, seed, tt.off)
				w.live(6)
				total.add(&w.counts)
				if wrong := w.violations(); len(wrong) > 0 {
					first, _, _ := strings.Cut(wrong[0].Detail, "\n")
					t.Logf("found after %v: %s: %s (%s)", time.Since(began).Round(time.Millisecond), wrong[0].Kind, first, &total)
					return
				}
			}
			t.Errorf("it was not found: %s", &total)
		})
	}
}
