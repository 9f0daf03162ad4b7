package cluster

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The power fails: unlike after a kill, what the state wrote and did not sync is lost, or half of it is.
func TestAPowerFailureLosesNothing(t *testing.T) {
	t.Parallel()
	dir, disk := t.TempDir(), vfs.NewCrashableMem()
	var all []*passport
	for range 4 {
		n := onDisk(t, dir, disk)
		for _, p := range all {
			n.mustHold(t, p)
		}
		all = append(all, n.writeUntilPowerFails(t, func() {
			dir, disk = n.afterPowerFailure(t, disk)
		})...)
	}
	n := onDisk(t, dir, disk)
	for _, p := range all {
		n.mustHold(t, p)
	}
	n.mustKeepTheRule(t)
	t.Logf("%d records, log %d..%d", len(all), n.Status().LogFirst, n.Status().LogLast)
}

func onDisk(t *testing.T, dir string, disk vfs.FS) *node {
	t.Helper()
	o := small
	o.FS = disk
	n, err := openAt(t.Context(), dir, "state", o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	if err := n.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// writeUntilPowerFails has writers create passports, lets the power fail among them, and returns those that
// were acknowledged before.
func (n *node) writeUntilPowerFails(t *testing.T, fail func()) (acknowledged []*passport) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var all []*passport
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, op := create()
				if _, err := n.SubmitOperation(t.Context(), op); err != nil {
					t.Errorf("submit: %v", err)
					return
				}
				mu.Lock()
				all = append(all, p)
				mu.Unlock()
			}
		})
	}
	wg.Go(func() { // flushes and truncates all the time
		for {
			select {
			case <-stop:
				return
			default:
			}
			n.compacting.Lock()
			if err := n.cutLog(5); err != nil {
				t.Errorf("cut the log: %v", err)
			}
			n.compacting.Unlock()
		}
	})
	wait := 200 + rand.IntN(300)
	eventually(t, "enough writes", func() bool { mu.Lock(); defer mu.Unlock(); return len(all) > wait })
	mu.Lock()
	acknowledged = all[:len(all):len(all)]
	mu.Unlock()
	fail()
	close(stop)
	wg.Wait()
	return acknowledged
}

// afterPowerFailure is what the disks hold if the power fails now. n goes on.
func (n *node) afterPowerFailure(t *testing.T, disk *vfs.MemFS) (string, *vfs.MemFS) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "raft"), 0o700); err != nil {
		t.Fatal(err)
	}
	n.log.mu.Lock() // both at one moment, between two appends: Bolt's own crashes are Bolt's to survive
	defer n.log.mu.Unlock()
	data, err := os.ReadFile(n.log.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "raft", logFile), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rand.IntN(101), RNG: rand.New(rand.NewPCG(rand.Uint64(), 1))})
}
