package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/dcann/dcann/registry/state"
	court "github.com/dcann/dcann/scripts/chaos/check"
)

// host is a machine of a world: its two disks, and the node that runs on it while it has power. Like package
// node, it opens a node anew whose state was replaced.
type host struct {
	w       *world
	name    string
	replica bool

	mu     sync.Mutex
	disk   *vfs.MemFS // of the state: what is not synced is lost with the power
	dir    string     // of the log
	count  int        // of directories that it has had
	now    *life      // nil while none runs
	barred bool       // it cannot be given power
	off    context.CancelFunc
	gone   chan struct{} // closed when nobody uses the disks any more; nil while the power is off
}

// life is a node from one start to its end.
type life struct {
	*Cluster
	h    *host
	st   *state.Store
	over atomic.Bool // the power has failed: what it does now is not done by anybody

	using  sync.RWMutex // held for reading by clients, since a closed state must not be read
	closed bool         // for good, so that no client comes any more
	ended  sync.Once

	image []byte // of a log that is not synced: what the disk holds of it; log.mu guards it
}

// tiny is a state that is opened thousands of times.
var tiny = state.Options{CacheBytes: 1 << 20, MemTableBytes: 256 << 10}

func (w *world) newHost(name string, replica bool) *host {
	h := &host{w: w, name: name, replica: replica}
	h.empty()
	return h
}

// empty gives the host new disks. Nobody runs on it.
func (h *host) empty() {
	h.disk = vfs.NewCrashableMem()
	h.dir = h.nextDir()
}

func (h *host) nextDir() string {
	h.count++
	return filepath.Join(h.w.dir, fmt.Sprintf("%s-%d", h.name, h.count))
}

// start gives a host power. It does nothing if it has.
func (h *host) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone != nil || h.barred || h.w.over.Load() {
		return
	}
	ctx, off := context.WithCancel(context.Background())
	h.off, h.gone = off, make(chan struct{})
	go h.live(ctx, h.gone)
}

// bar keeps a host without power, or no longer.
func (h *host) bar(barred bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.barred = barred
}

// node is who runs there now; nil if nobody does.
func (h *host) node() *life {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *host) live(ctx context.Context, gone chan struct{}) {
	defer close(gone)
	for ctx.Err() == nil {
		l, err := h.open(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.w.violated(court.Crashed, "%s does not start: %v", h.name, err)
			}
			return
		}
		h.mu.Lock()
		h.now = l
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return // whoever took the power closes it
		case <-l.Done():
		}
		h.mu.Lock()
		mine := h.now == l
		if mine {
			h.now = nil
		}
		h.mu.Unlock()
		if !mine {
			return
		}
		switch err := l.Err(); {
		case errors.Is(err, ErrReplaced):
			h.w.counts.installs.Add(1)
			h.w.spark(h.name)
		case strings.Contains(err.Error(), "leadership transfer"):
			h.w.counts.gaveUp.Add(1) // as it should, to be started anew
		default:
			h.w.violated(court.Crashed, "%s has ended: %v", h.name, err)
			l.close()
			return
		}
		l.close()
	}
}

func (h *host) config() Config {
	w := h.w
	return Config{
		Dir: h.dir, Name: h.name, MinFree: 1, Net: w.net.of(h.name, addressOf(h.name)), Address: addressOf(h.name),
		Nodes: w.founders, Replica: h.replica, HeartbeatTimeout: 100 * time.Millisecond,
		ProposeTimeout: 1500 * time.Millisecond, LeaderWait: 200 * time.Millisecond, FlushInterval: time.Second,
		TrailingBytes: 128 << 10, RemoveDeadAfter: -1, guards: w.guards,
	}
}

func (h *host) open(ctx context.Context) (*life, error) {
	place, err := OpenPlace(h.disk, "data")
	if err != nil {
		return nil, err
	}
	o := tiny
	o.FS = h.disk
	st, err := state.Open(place.State(), o)
	if err != nil {
		return nil, err
	}
	c, err := Open(ctx, h.config(), st, place, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	l := &life{Cluster: c, h: h, st: st}
	if h.w.guards.noSync {
		l.writeBack()
		l.loops.Go(l.writeBackForEver)
	}
	return l, nil
}

// use has a client do something with the node, and reports whether it did.
func (l *life) use(do func()) bool {
	l.using.RLock()
	defer l.using.RUnlock()
	if l.closed {
		return false
	}
	do()
	return true
}

// close ends the node, in good order unless it has failed.
func (l *life) close() {
	l.ended.Do(func() {
		err := l.Cluster.Close()
		l.using.Lock()
		l.closed = true
		l.using.Unlock()
		if err = errors.Join(err, l.st.Close()); err != nil && l.Err() == nil {
			l.h.w.violated(court.Crashed, "%s does not close: %v", l.h.name, err)
		}
	})
}

// crash takes the power: of the state remains what was synced and a part of the rest, of the log what was
// synced. The node that was goes on for a moment, on files that are nobody's any more. It reports whether
// there was power.
func (h *host) crash(unsynced vfs.CrashCloneCfg) bool {
	h.mu.Lock()
	off, gone, l := h.off, h.gone, h.now
	h.now = nil
	if l != nil {
		l.over.Store(true)
		h.w.net.crash(h.name)
		h.image(l, unsynced)
	}
	h.mu.Unlock()
	if gone == nil {
		return false
	}
	off()
	if l != nil {
		l.fail(errPower)
		h.w.ghosts.Go(func() {
			l.close()
			_ = os.RemoveAll(l.cfg.Dir)
		})
		h.mu.Lock()
		h.gone = nil
		h.mu.Unlock()
		return true
	}
	<-gone // it is being opened or closed: that ends first
	h.mu.Lock()
	defer h.mu.Unlock()
	if l, h.now = h.now, nil; l != nil {
		l.over.Store(true)
		h.w.net.crash(h.name)
		l.fail(errPower)
		l.close()
	}
	h.disk = h.disk.CrashClone(unsynced)
	h.gone = nil
	return true
}

// stop ends the node in good order.
func (h *host) stop() {
	h.mu.Lock()
	off, gone := h.off, h.gone
	h.mu.Unlock()
	if gone == nil {
		return
	}
	off()
	<-gone
	h.mu.Lock()
	l := h.now
	h.now = nil
	h.mu.Unlock()
	if l != nil {
		l.close()
	}
	h.mu.Lock()
	h.gone = nil
	h.mu.Unlock()
}

// image makes the disks what the power failure leaves of them. The caller holds mu.
func (h *host) image(l *life, unsynced vfs.CrashCloneCfg) {
	dir := h.nextDir()
	l.log.mu.Lock() // both at one moment, between two appends: Bolt's own crashes are Bolt's to survive
	defer l.log.mu.Unlock()
	h.disk = h.disk.CrashClone(unsynced)
	h.dir = dir
	data, err := l.durableLog()
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, logFile), data, 0o600))
	}
	if err != nil {
		h.w.t.Error(err)
	}
}

// durableLog is what the disk holds of the log's file, as the system knows it. The caller holds log.mu.
func (l *life) durableLog() ([]byte, error) {
	pages, err := unsyncedPages(l.log.path)
	if err != nil {
		return nil, err
	}
	if l.h.w.guards.noSync && (pages > 0 || !l.h.w.seesPages) {
		l.h.w.counts.lost.Add(1)
		return l.image, nil
	}
	if pages > 0 {
		l.h.w.violated(court.Lost, "%s: %d pages of the log were written and not synced", l.h.name, pages)
	}
	return os.ReadFile(l.log.path)
}

// writeBackForEver is what a system does with files that nobody syncs: it writes them when it likes.
func (l *life) writeBackForEver() {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.writeBack()
		case <-l.quit:
			return
		}
	}
}

func (l *life) writeBack() {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	if l.over.Load() {
		return
	}
	data, err := os.ReadFile(l.log.path)
	if err == nil {
		err = syncFile(l.log.path)
	}
	if err != nil {
		l.h.w.t.Error(err)
		return
	}
	l.image = data
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// unsyncedPages is how many pages of a file a power failure would lose, 0 if the system does not say (see
// seesUnsyncedPages).
func unsyncedPages(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var whole unix.CachestatRange
	var pages unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &whole, &pages, 0); err != nil {
		return 0, nil // a system older than Linux 6.5
	}
	return pages.Dirty + pages.Writeback, nil
}

// seesUnsyncedPages reports whether the system says what of a file in dir it has not written yet.
func seesUnsyncedPages(dir string) bool {
	path := filepath.Join(dir, "probe")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		return false
	}
	before, _ := unsyncedPages(path)
	err := syncFile(path)
	after, _ := unsyncedPages(path)
	return err == nil && before > 0 && after == 0
}
