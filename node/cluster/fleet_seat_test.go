package cluster

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry/state"
)

// seat is the place of one node: its disk, and whoever runs on it now. As package node does, a node whose
// state was replaced is opened anew.
type seat struct {
	f       *fleet
	name    string
	address string
	replica bool

	mu      sync.Mutex
	dir     string // of the log, and of the state if it is on the disk
	fs      vfs.FS // of the state; nil: the disk
	up      bool   // from start to halt
	now     *node  // nil while none runs
	last    error  // why the last one ended, or could not be opened
	stop    context.CancelFunc
	stopped chan struct{}
	waiting string // what the start waits for
}

// start runs a node until halt or crash. It does not wait for it.
func (s *seat) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop, s.stopped, s.last, s.up = stop, make(chan struct{}), nil, true
	go s.live(ctx, s.stopped, s.dir, s.fs)
}

// live is what package node does: a session after the other, on the state in force.
func (s *seat) live(ctx context.Context, stopped chan struct{}, dir string, fs vfs.FS) {
	defer close(stopped)
	for ctx.Err() == nil {
		n, err := s.open(ctx, dir, fs)
		if err != nil {
			s.set(nil, err)
			return
		}
		s.set(n, nil)
		select {
		case <-ctx.Done():
		case <-n.Done():
		}
		s.set(nil, n.Err())
		err = n.Cluster.Close()
		n.looking.Lock() // who looks into the state has looked
		err = errors.Join(err, n.closeState())
		n.looking.Unlock()
		if err != nil && n.Err() == nil {
			s.f.t.Errorf("%s: close: %v", s.name, err)
		}
		if err := n.Err(); !errors.Is(err, ErrReplaced) {
			return
		}
	}
}

func (s *seat) set(n *node, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.last = n, err
}

// config is what a node is opened with.
func (s *seat) config(dir string) Config {
	cfg := Config{
		Dir: filepath.Join(dir, "raft"), Name: s.name, MinFree: 1, Net: s.f.net.of(s.name, s.address),
		Address: s.address, Nodes: s.f.founders, Replica: s.replica,
		HeartbeatTimeout: 300 * time.Millisecond, LeaseTimeout: 240 * time.Millisecond, TrailingBytes: 16 << 20,
		OnWait: func(what string) { s.mu.Lock(); s.waiting = what; s.mu.Unlock() },
	}
	cfg.guards.atOnce = true // there are hundreds of foundings, and nobody who could knock
	if s.f.change != nil {
		s.f.change(s.name, &cfg)
	}
	return cfg
}

func (s *seat) place(dir string, fs vfs.FS) (*Place, error) {
	if fs == nil {
		return OpenPlace(vfs.Default, dir)
	}
	return OpenPlace(fs, "data")
}

func (s *seat) open(ctx context.Context, dir string, fs vfs.FS) (*node, error) {
	place, err := s.place(dir, fs)
	if err != nil {
		return nil, err
	}
	o := small
	o.FS = fs
	st, err := state.Open(place.State(), o)
	if err != nil {
		return nil, err
	}
	c, err := Open(ctx, s.config(dir), st, place, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &node{looking: new(sync.RWMutex), Cluster: c, st: st, dir: dir}, nil
}

// node is who runs there now; nil if nobody does.
func (s *seat) node() *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// err is why nobody runs.
func (s *seat) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// halt stops the node in good order, and waits.
func (s *seat) halt() {
	s.mu.Lock()
	stop, stopped := s.stop, s.stopped
	s.up = false
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-stopped
	}
}

// errPower is why a node that crashes ends.
var errPower = errors.New("the test took its power")

// crash ends the node without a warning, as a power failure does. In a crashable memory remains what of the
// state was synced, and a part of the rest; the node that was goes on for a moment then, on files that are
// nobody's any more. On a disk, which cannot be crashed, the state is flushed.
func (s *seat) crash(unsynced vfs.CrashCloneCfg) {
	s.f.t.Helper()
	n := s.node()
	if n == nil {
		s.halt()
		return
	}
	if mem, ok := s.fs.(*vfs.MemFS); ok {
		dir := s.f.t.TempDir()
		n.log.mu.Lock() // both at one moment, between two appends: Bolt's own crashes are Bolt's to survive
		s.f.net.crash(s.name)
		fs := mem.CrashClone(unsynced)
		err := copyFile(n.log.path, filepath.Join(dir, "raft", logFile))
		n.log.mu.Unlock()
		if err != nil {
			s.f.t.Fatal(err)
		}
		s.mu.Lock()
		s.dir, s.fs = dir, fs
		s.mu.Unlock()
	}
	s.f.net.crash(s.name)
	n.fail(errPower)
	s.halt()
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// wipe takes the data of a node that is stopped.
func (s *seat) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir = s.f.t.TempDir()
	if s.fs != nil {
		s.fs = inMemory(s.name)
	}
}
