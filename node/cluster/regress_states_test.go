package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// standstill is what happens to the first that sends a state: it goes no further.
type standstill struct {
	after   int64         // bytes that it sends before
	begun   atomic.Bool   // it was the first
	reached chan struct{} // closed when it stands still
	goOn    chan struct{} // closed when it gives up
}

// Read is where a sender stands still.
func (s *standstill) Read([]byte) (int, error) {
	if s.begun.Swap(true) {
		return 0, io.EOF
	}
	close(s.reached)
	<-s.goOn
	return 0, errors.New("the sender stood still")
}

// within are the network and the nodes of a test in which a state that is sent comes no further than after bytes.
func within(t *testing.T, after int64) (*fleet, *standstill) {
	t.Helper()
	still := &standstill{after: after, reached: make(chan struct{}), goOn: make(chan struct{})}
	network := newNet()
	f := startClusterOn(t, 3, network, inMemory, func(name string, c *Config) {
		c.Net = stallNet{network.of(name, addressOf(name)), still}
	})
	t.Cleanup(func() { close(still.goOn) })
	return f, still
}

// stallNet is a network on which a state stops coming.
type stallNet struct {
	Network
	still *standstill
}

// Connect implements Network.
func (n stallNet) Connect(address func(string) (string, bool), answer Answer) (Links, error) {
	l, err := n.Network.Connect(address, answer)
	if err != nil {
		return nil, err
	}
	return &stallLinks{l.(*memLinks), n.still}, nil
}

type stallLinks struct {
	*memLinks
	still *standstill
}

// Transport implements Links.
func (l *stallLinks) Transport() (raft.Transport, error) {
	trans, err := l.memLinks.Transport()
	if err != nil {
		return nil, err
	}
	return &stallTransport{trans.(*memTransport), l.still}, nil
}

// Interrupt implements Interrupter.
func (l *stallLinks) Interrupt() {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for p := range l.net.pipes {
		if p.to == l.name && !p.answers {
			p.broken = true
			delete(l.net.pipes, p)
		}
	}
	l.net.moved.Broadcast()
}

type stallTransport struct {
	*memTransport
	still *standstill
}

// InstallSnapshot implements raft.Transport.
func (t *stallTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, q *raft.InstallSnapshotRequest, a *raft.InstallSnapshotResponse, data io.Reader) error {
	if q.Size <= t.still.after {
		return fmt.Errorf("a state of %d bytes: expected more than %d, for a part of them to be sent", q.Size, t.still.after)
	}
	data = struct{ io.Reader }{data} // which would begin anew as an io.WriterTo
	first := io.LimitReader(data, t.still.after)
	return t.memTransport.InstallSnapshot(id, target, q, a, io.MultiReader(first, t.still, data))
}

// behind has a node that follows fall so far behind that it is sent the state, which has at least so many bytes.
func (f *fleet) behind(leader *node, bytes int) *seat {
	f.t.Helper()
	s := f.seat(f.followers(leader)[0])
	s.halt()
	const keys, each = 10, 80 // bytes of an operation and its record, at least
	inParallel(8, 1+bytes/(keys*each), func(int) {
		p, _ := create()
		r := p.record("first")
		for len(r.Keys) < keys {
			r.Keys = append(r.Keys, registry.Key{ID: fmt.Sprintf("k%d", len(r.Keys)), Key: p.spare(), Use: []registry.Use{registry.UseAuth}})
		}
		f.write(leader.cfg.Name, p.sign(registry.Content{Act: registry.Create, Country: "zz", Record: r}))
	})
	for _, s := range f.seats {
		if n := s.node(); n != nil {
			n.compacting.Lock()
			err := n.cutLog(1)
			n.compacting.Unlock()
			if err != nil {
				f.t.Fatal(err)
			}
		}
	}
	s.start()
	return s
}

// wait waits until a sender stands still, and what it sent has come.
func (f *fleet) wait(still *standstill, from, to string) {
	f.t.Helper()
	select {
	case <-still.reached:
	case <-time.After(90 * time.Second):
		f.t.Fatal("no state was sent, or too small a one")
	}
	eventually(f.t, "what was sent comes", func() bool { return !f.net.onItsWay(from, to) })
}

// onItsWay reports whether Raft has sent something that was not read yet.
func (n *memNet) onItsWay(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.pipes {
		if p.from == from && p.to == to && !p.answers && p.size > 0 {
			return true
		}
	}
	return false
}

// mustHalt stops a node, which must not take for ever.
func (s *seat) mustHalt(doing string) {
	s.f.t.Helper()
	halted := make(chan struct{})
	go func() { s.halt(); close(halted) }()
	select {
	case <-halted:
	case <-time.After(90 * time.Second):
		s.f.t.Fatalf("a node that %s cannot be stopped", doing)
	}
}

// inPart is how many bytes of a state a sender must have for some of them to be on their way: Raft writes
// 256 KiB at once.
const inPart = 257 << 10

// Raft receives a state in its main loop: a node that did so voted for nobody for as long as the sender, a leader
// that was deposed by standing still, held the connection.
func TestALeaderThatStandsStillWhileItSendsItsStateIsReplaced(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		after int64
	}{{"before it", 0}, {"within it", inPart}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, still := within(t, tt.after)
			leader := f.allUp()
			name := leader.cfg.Name
			receiver := f.behind(leader, int(tt.after)+1)
			f.wait(still, name, receiver.name)
			f.net.isolate(name)
			other := f.leader(name).cfg.Name
			_, op := create()
			f.write(other, op)
		})
	}
}

func TestANodeCanBeStoppedWhileItReceivesAState(t *testing.T) {
	t.Parallel()
	for _, after := range []int64{0, inPart} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			f, still := within(t, after)
			leader := f.allUp()
			receiver := f.behind(leader, int(after)+1)
			f.wait(still, leader.cfg.Name, receiver.name)
			receiver.mustHalt("receives a state")
		})
	}
}

func TestANodeCanBeStoppedWhileItSendsItsState(t *testing.T) {
	t.Parallel()
	network := newNet()
	network.timeout = 10 * time.Minute
	network.onRPC = func(from, to, rpc string) error {
		if rpc == "InstallSnapshot" {
			network.holdRaft(from, to)
		}
		return nil
	}
	f := startClusterOn(t, 3, network, inMemory, nil)
	leader := f.allUp()
	name := leader.cfg.Name
	receiver := f.behind(leader, 0).name
	eventually(t, "the state is being sent", func() bool { return network.onItsWay(name, receiver) })
	f.seat(name).mustHalt("sends its state")
}

// received is a node's data right after another node's state, as of index and term, was put in force. logs are
// what its log holds from its time before.
func received(t *testing.T, index, term uint64, logs ...*raft.Log) *Cluster {
	t.Helper()
	place, err := OpenPlace(vfs.NewMem(), "data")
	if err != nil {
		t.Fatal(err)
	}
	place.index, place.term = index, term
	o := small
	o.FS = place.fs
	st, err := state.Open(place.State(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "n1:1"}}})
	if _, err := st.ApplyBatch([]state.Entry{{Index: index, Term: term, Data: conf, Configuration: true}}); err != nil {
		t.Fatal(err)
	}
	if err := st.Flush(); err != nil {
		t.Fatal(err)
	}
	c := openLogOf(t, t.TempDir(), st, place)
	if err := c.log.db.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
	if err := c.log.db.SetUint64(keyCurrentTerm, term); err != nil {
		t.Fatal(err)
	}
	return c
}

// openLogOf opens the log in dir beside a state, as a start does.
func openLogOf(t *testing.T, dir string, st *state.Store, place *Place) *Cluster {
	t.Helper()
	c := &Cluster{cfg: Config{Dir: dir, Name: "n1"}.withDefaults(), st: st, place: place, quit: make(chan struct{}), done: make(chan struct{})}
	if err := c.openStores(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.log.close() })
	return c
}

func entries(from, to, term uint64) (logs []*raft.Log) {
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: term, Data: []byte("entry")})
	}
	return logs
}

// A log may go on a million entries behind where it ended, and each of the entries that are not there was deleted.
func TestALogWithAGapIsSettledAtOnce(t *testing.T) {
	t.Parallel()
	const index, term = 1_000_000, 2
	c := received(t, index, term, append(entries(1, 10, 1), entries(index+1, index+5, term)...)...)
	before := c.log.db.Stats().TxStats
	if err := c.settleInstalled(); err != nil {
		t.Fatal(err)
	}
	after := c.log.db.Stats().TxStats
	if written := after.Sub(&before); written.GetWrite() > 100 {
		t.Errorf("%d writes to delete ten entries", written.GetWrite())
	}
	if first, last := bounds(t, c.log); first != index+1 || last != index+5 {
		t.Errorf("the log holds %d to %d: expected what follows upon the state at %d", first, last, index)
	}
	if err := checkTogether(c.log, c.st); err != nil {
		t.Error(err)
	}
}

// The entries that an installed state overrules were deleted from the first on: after a crash, the log began behind
// the state, and the node did not start any more.
func TestACrashWhileEntriesAreOverruledIsSurvived(t *testing.T) {
	t.Parallel()
	const index, term, last = 600, 2, 10_000
	c := received(t, index, term, entries(1, last, 1)...)
	crashes := 0
	for ; !c.crashWhileSettling(t); crashes++ {
		c = openLogOf(t, c.cfg.Dir, c.st, c.place)
	}
	if crashes == 0 {
		t.Fatal("nothing was interrupted: the test shows nothing")
	}
	if err := checkTogether(c.log, c.st); err != nil {
		t.Errorf("after %d crashes: %v", crashes, err)
	}
	if first, last := bounds(t, c.log); first != 0 || last != 0 {
		t.Errorf("the log holds %d to %d: expected nothing, all was overruled or is in the state", first, last)
	}
}

// crashWhileSettling makes the log fit the state, and crashes between two writes of that; or it reports that it
// was done before.
func (c *Cluster) crashWhileSettling(t *testing.T) (done bool) {
	t.Helper()
	first, last := bounds(t, c.log.db)
	settled := make(chan error, 1)
	go func() { settled <- c.settleInstalled() }()
	for {
		select {
		case err := <-settled:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
		}
		if f, l := bounds(t, c.log.db); f != first || l != last {
			_ = c.log.db.Close() // waits for the write under way; no other succeeds
			<-settled
			return false
		}
	}
}

// badFS is a file system that fails as told.
type badFS struct {
	vfs.FS
	rename, openDir atomic.Bool
}

var errBad = errors.New("the disk failed")

func (fs *badFS) Rename(from, to string) error {
	if fs.rename.Load() {
		return errBad
	}
	return fs.FS.Rename(from, to)
}

func (fs *badFS) OpenDir(name string) (vfs.File, error) {
	if fs.openDir.Load() {
		return nil, errBad
	}
	return fs.FS.OpenDir(name)
}

// Each attempt to put a received state in force that failed left the state on the disk, until it was full.
func TestAStateThatCannotBePutInForceLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fail func(*badFS, bool)
		kept int // directories, of a state that may be in force
	}{
		{"not renamed", func(fs *badFS, bad bool) { fs.rename.Store(bad) }, 0},
		{"not synced", func(fs *badFS, bad bool) { fs.openDir.Store(bad) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fs := &badFS{FS: vfs.NewMem()}
			from := received(t, 10, 2)
			sent, err := openCheckpoint(from.st, from.place, archive.Header{Kind: "checkpoint"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = sent.Close() })
			place, err := OpenPlace(fs, "data")
			if err != nil {
				t.Fatal(err)
			}
			snaps := &snapshots{st: from.st, place: place, term: func() (uint64, error) { return 2, nil }}
			h := sent.Header()
			s, err := snaps.Create(1, h.Index, h.Term, raft.DecodeConfiguration(h.Configuration), h.ConfigurationIndex, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(s, sent); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			_, r, err := snaps.Open(s.ID())
			if err != nil {
				t.Fatal(err)
			}
			m := &machine{st: from.st, snaps: snaps, replaced: func() { t.Error("the node ends for a state that is not in force") }}
			tt.fail(fs, true)
			if err := m.Restore(r); !errors.Is(err, errBad) {
				t.Errorf("put in force on a disk that fails: %v", err)
			}
			tt.fail(fs, false)
			names, err := fs.List("data")
			if err != nil {
				t.Fatal(err)
			}
			var kept []string
			for _, name := range names {
				if strings.HasPrefix(name, statePrefix) {
					kept = append(kept, name)
				}
			}
			if len(kept) != tt.kept {
				t.Errorf("the disk holds %q: expected %d", kept, tt.kept)
			}
			if _, err := OpenPlace(fs, "data"); err != nil {
				t.Error(err)
			}
		})
	}
}

// copiesFS counts the checkpoints of a state that lie beside it.
type copiesFS struct {
	vfs.FS
	mu        sync.Mutex
	there     map[string]bool
	made, max int
}

func (fs *copiesFS) MkdirAll(dir string, perm os.FileMode) error {
	if strings.HasPrefix(fs.PathBase(dir), checkpoints) {
		fs.mu.Lock()
		if !fs.there[dir] {
			fs.there[dir] = true
			fs.made++
			fs.max = max(fs.max, len(fs.there))
		}
		fs.mu.Unlock()
	}
	return fs.FS.MkdirAll(dir, perm)
}

func (fs *copiesFS) RemoveAll(dir string) error {
	err := fs.FS.RemoveAll(dir)
	fs.mu.Lock()
	delete(fs.there, dir)
	fs.mu.Unlock()
	return err
}

// Any member may have another read its whole state, as often as it likes and at once: each time was a copy, and a store
// with a cache of its own.
func TestOneScanAtATimeReadsAState(t *testing.T) {
	t.Parallel()
	fs := &copiesFS{FS: vfs.NewMem(), there: make(map[string]bool)}
	f := startClusterOn(t, 1, newNet(), func(string) vfs.FS { return fs }, nil)
	f.fill("n1", 20)
	n := f.settled()
	const scans = 16
	inParallel(scans, scans, func(int) {
		answer, err := n.onHash(inTime(t), hashRequest{Index: n.AppliedIndex(), Full: true})
		if err != nil || answer.Problem != "" || answer.Hash == "" {
			t.Errorf("%+v, %v", answer, err)
		}
	})
	fs.mu.Lock()
	if fs.made != scans || fs.max != 1 || len(fs.there) != 0 {
		t.Errorf("%d copies, %d at a time, %d left: expected %d, one after the other, and none", fs.made, fs.max, len(fs.there), scans)
	}
	fs.mu.Unlock()

	// Who waits for longer than it has time is told so, and has the hash.
	if !n.scanning.within(t.Context()) {
		t.Fatal("no scan is under way")
	}
	defer n.scanning.leave()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if answer, err := n.onHash(ctx, hashRequest{Index: n.AppliedIndex(), Full: true}); err != nil || !strings.Contains(answer.Problem, "another") || answer.Hash == "" {
		t.Errorf("%+v, %v: expected a hash, and that another scan is under way", answer, err)
	}
}
