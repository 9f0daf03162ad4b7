package cluster

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dcann/dcann/registry"
)

// smallDisk mounts a tmpfs of size bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED, the full disk is NOT tested: mounting a tmpfs needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk leaves about left bytes free; the returned function gives the space back.
func fillDisk(t *testing.T, dir string, left uint64) func() {
	t.Helper()
	space := freeSpace{dir: dir}
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 16<<10)
	for space.measure() > left {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Error(err)
		}
	}
}

// writeUntilRefused has many writers submit until each was refused once. It returns what was acknowledged.
func (n *node) writeUntilRefused(t *testing.T) (acknowledged []*passport) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				p, op := create()
				_, err := n.SubmitOperation(t.Context(), op)
				if err != nil {
					if registry.KindOf(err) != registry.Unavailable {
						t.Errorf("on a full disk: %v: expected unavailable", err)
					}
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, p)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acknowledged
}

func (n *node) mustHeal(t *testing.T, acknowledged []*passport) {
	t.Helper()
	p, op := create()
	eventually(t, "writes after space returned", func() bool {
		_, err := n.SubmitOperation(t.Context(), op)
		return err == nil
	})
	for _, q := range append(acknowledged, p) {
		n.mustHold(t, q)
	}
	n.restart(t, func(c *Config) { c.FlushInterval = time.Hour })
	for _, q := range append(acknowledged, p) {
		n.mustHold(t, q)
	}
	n.mustKeepTheRule(t)
}

// The log's disk is filled to the last byte, three times over.
func TestAFullDiskHealsWithoutARestart(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"log", "log and state"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			disk, dir := smallDisk(t, "64m"), t.TempDir()
			if what == "log" {
				if err := os.Symlink(disk, filepath.Join(dir, "raft")); err != nil {
					t.Fatal(err)
				}
			} else {
				dir = disk
			}
			n := start(t, dir, func(c *Config) { c.HeartbeatTimeout, c.ProposeTimeout = 100*time.Millisecond, 5*time.Second })
			for range 3 {
				giveBack := fillDisk(t, disk, 256<<10)
				acknowledged := n.writeUntilRefused(t)
				if err := n.Bounded(); err != nil {
					t.Errorf("a full disk stopped reads: %v", err)
				}
				if err := n.Err(); err != nil {
					t.Fatalf("a full disk stopped the node: %v", err)
				}
				t.Logf("%d acknowledged until the disk was full", len(acknowledged))
				giveBack()
				n.mustHeal(t, acknowledged)
			}
		})
	}
}

func TestTheReserveIsKept(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "192m")
	n := start(t, dir, func(c *Config) { c.MinFree = 128 << 20 })
	giveBack := fillDisk(t, dir, 64<<20) // more than is written until it is looked again what is free
	acknowledged := n.writeUntilRefused(t)
	_, op := create()
	_, err := n.SubmitOperation(t.Context(), op)
	if e, ok := err.(*registry.Error); !ok || e.Kind != registry.Unavailable || e.RetryAfter == 0 {
		t.Errorf("got %v: expected unavailable, with a time to come again", err)
	}
	if s := n.Status(); s.LogFull || s.Free >= 128<<20 || n.Ready() != nil {
		t.Errorf("status %+v, ready %v: expected a node short of space that never found the disk full, and answers reads", s, n.Ready())
	}
	giveBack()
	n.mustHeal(t, acknowledged)
}

// Raft panics when its term cannot be saved.
func TestTheTermWaitsForSpace(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "4m")
	db, err := openLog(filepath.Join(disk, logFile), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	fails := func(err error) { t.Error(err) }
	log := &logStore{db: db, fail: fails, epoch: time.Now()}
	defer log.close()
	giveBack := fillDisk(t, disk, 0)
	large := make([]byte, 512<<10)
	if err := log.set([]byte("k"), large); !isFull(err) {
		t.Fatalf("set on a full disk: %v", err)
	}
	quit := make(chan struct{})
	stable := &stableStore{log: log, quit: quit, fail: fails}
	saved, ended := make(chan error, 1), make(chan struct{})
	go func() { saved <- stable.Set([]byte("k"), large) }()
	select {
	case err := <-saved:
		t.Fatalf("Set returned %v on a full disk", err)
	case <-time.After(2 * retryFull):
	}
	giveBack()
	if err := <-saved; err != nil {
		t.Error(err)
	}
	fillDisk(t, disk, 0)
	go func() {
		defer close(ended)
		t.Errorf("Set returned %v after the end", stable.Set([]byte("l"), large))
	}()
	close(quit)
	<-ended
}

// While the first asked, all others were told that nothing is free.
func TestFreeSpaceIsKnownFromTheBeginning(t *testing.T) {
	t.Parallel()
	var f freeSpace
	f.watch(t.TempDir(), 1)
	f.asked.Store(time.Now().UnixNano()) // another is asking
	if err := f.check(); err != nil {
		t.Error(err)
	}
}

// A node that is started on a full disk waits for space; it neither panics nor loses anything.
func TestStartedOnAFullDiskItWaits(t *testing.T) {
	t.Parallel()
	disk, dir := smallDisk(t, "64m"), t.TempDir()
	if err := os.Symlink(disk, filepath.Join(dir, "raft")); err != nil {
		t.Fatal(err)
	}
	n := start(t, dir, nil)
	var all []*passport
	for range 20 {
		p, op := create()
		n.mustSubmit(t, op)
		all = append(all, p)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	giveBack := fillDisk(t, disk, 0)
	again, err := open(t.Context(), dir, nil)
	if err != nil {
		giveBack()
		t.Fatal(err)
	}
	*n = *again
	giveBack()
	if err := n.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		n.mustHold(t, p)
	}
}
