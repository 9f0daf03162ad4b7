package state

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/dcann/dcann/registry"
)

// A node that crashes at any point comes back with a prefix of what it applied, ending at an entry; the
// rest of the log makes it equal, byte for byte, to one that never crashed.
func TestCrash(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := newActor(rt, vfs.NewMem())
		defer a.s.Close()
		a.random()
		want := dump(rt, a.s)

		fs := vfs.NewCrashableMem()
		s := openMem(rt, fs)
		for crashes, next := 0, 0; next < len(a.log); {
			n := rapid.IntRange(1, len(a.log)-next).Draw(rt, "cut")
			_, err := s.ApplyBatch(a.log[next : next+n])
			must(rt, err)
			next += n
			if rapid.Bool().Draw(rt, "flush") {
				must(rt, s.Flush())
				if d, err := s.DurableIndex(); err != nil || d != uint64(next) {
					rt.Fatalf("durable index %d after a flush at %d, %v", d, next, err)
				}
			}
			if crashes > 4 || !rapid.Bool().Draw(rt, "crash") {
				continue
			}
			crashes++
			durable, err := s.DurableIndex()
			must(rt, err)
			crashed := fs.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: rapid.IntRange(0, 100).Draw(rt, "unsynced"),
				RNG:                 rand.New(rand.NewPCG(uint64(crashes), uint64(next))),
			})
			must(rt, s.Close())
			fs = crashed
			s = openMem(rt, fs)
			index, _ := s.Applied()
			d, err := s.DurableIndex()
			must(rt, err)
			if d != index || index > uint64(next) || index < durable {
				rt.Fatalf("opened at %d, durable %d, applied before %d, durable before %d", index, d, next, durable)
			}
			must(rt, s.VerifyContent(t.Context()))
			next = int(index)
		}
		sameDump(rt, "after crashes", dump(rt, s), want)
		a.m.compare(rt, s)
		must(rt, s.Close())
	})
}

// A crash during a CompactErased loses nothing, and the erasure is taken up again.
func TestCrashWhileErasing(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s := openMem(t, fs)
	w := bareWorld(t, s)
	p, _, _ := w.history(w.provider("Vault"))
	w.now += window + 10
	w.do(p, w.op(p, registry.Erase, 0, "", nil))
	must(t, s.Flush())
	want := dump(t, s)
	before, err := s.scrubs()
	must(t, err)
	crashed := make(chan *vfs.MemFS, 1)
	go func() {
		crashed <- fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))})
	}()
	must(t, s.CompactErased(t.Context()))
	again := openMem(t, <-crashed)
	defer again.Close()
	must(t, s.Close())
	sameDump(t, "after the crash", dump(t, again), want)
	rows, err := again.scrubs()
	must(t, err)
	if len(rows) != 0 && len(rows) != len(before) {
		t.Errorf("%d of %d rows to scrub", len(rows), len(before))
	}
	must(t, again.CompactErased(t.Context()))
	must(t, again.VerifyContent(t.Context()))
}

// fullDisk is a disk without space while it is set.
type fullDisk struct{ now atomic.Bool }

func (f *fullDisk) MaybeError(op errorfs.Op) error {
	if f.now.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		return syscall.ENOSPC
	}
	return nil
}

func (f *fullDisk) String() string { return "full" }

// With a full disk the store goes on in memory, says what is wrong, returns from Flush, and heals when
// there is space again, without losing anything.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	var disk fullDisk
	mem := vfs.NewCrashableMem()
	told := make(chan error, 100)
	s, err := Open("state", Options{FS: errorfs.Wrap(mem, &disk), MemTableBytes: 256 << 10, CacheBytes: 1 << 20,
		OnBackgroundError: func(err error) { told <- err },
		OnFatal:           func(err error) { t.Errorf("fatal: %v", err) }})
	must(t, err)
	w := bareWorld(t, s)
	w.create()
	disk.now.Store(true)
	p := w.create()
	if err := s.Flush(); !errors.Is(err, registry.Unavailable) {
		t.Errorf("flush: %v", err)
	}
	if err := <-told; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("told %v", err)
	}
	if !errors.Is(s.DiskError(), syscall.ENOSPC) {
		t.Errorf("disk error %v", s.DiskError())
	}
	for range 50 {
		w.create()
	}
	w.record(p.id)
	disk.now.Store(false)
	deadline := time.Now().Add(2 * time.Minute)
	for s.DiskError() != nil || s.Flush() != nil {
		if time.Now().After(deadline) {
			t.Fatal("it does not heal")
		}
		time.Sleep(time.Millisecond)
	}
	want := dump(t, s)
	must(t, s.Close())
	again := openMem(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	defer again.Close()
	sameDump(t, "after a full disk", dump(t, again), want)
}

// While memory is full of what the disk does not take, Apply waits; it goes on when there is space.
func TestApplyWaitsForSpace(t *testing.T) {
	t.Parallel()
	var disk fullDisk
	s, err := Open("state", Options{FS: errorfs.Wrap(vfs.NewMem(), &disk), MemTableBytes: 64 << 10, CacheBytes: 1 << 20})
	must(t, err)
	w := bareWorld(t, s)
	must(t, s.Flush())
	disk.now.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.fill(2000, 100, 9)
	}()
	for s.DiskError() == nil {
		time.Sleep(time.Millisecond)
	}
	last := uint64(0)
	for still := 0; still < 50; time.Sleep(5 * time.Millisecond) { // until it stands still
		if n, _ := s.Applied(); n == last {
			still++
		} else {
			last, still = n, 0
		}
	}
	select {
	case <-done:
		t.Fatal("everything was applied: the test needs more than fits in memory")
	default:
	}
	if _, err := s.Record(registry.NewID(testCountry, registry.OpIDOf([32]byte{1}))); !errors.Is(err, registry.NotFound) {
		t.Errorf("reads: %v", err)
	}
	disk.now.Store(false)
	<-done
	w.verify()
	must(t, s.Close())
}

// A disk that fails otherwise is reported and retried, not spun on, and closing does not hang.
func TestDiskBroken(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	var now atomic.Bool
	var failures atomic.Int64
	inj := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if now.Load() && op.Kind == errorfs.OpFileWrite {
			failures.Add(1)
			return broken
		}
		return nil
	})
	s, err := Open("state", Options{FS: errorfs.Wrap(vfs.NewMem(), inj), MemTableBytes: 256 << 10, CacheBytes: 1 << 20,
		OnFatal: func(error) {}})
	must(t, err)
	w := bareWorld(t, s)
	now.Store(true)
	w.create()
	if err := s.Flush(); !errors.Is(err, registry.Unavailable) {
		t.Errorf("flush: %v", err)
	}
	if s.DiskError() == nil {
		t.Error("no disk error")
	}
	time.Sleep(time.Second)
	if n := failures.Load(); n > 20 {
		t.Errorf("%d writes in a second", n)
	}
	now.Store(false)
	for s.DiskError() != nil {
		time.Sleep(time.Millisecond)
	}
	must(t, s.Close())
}

// Readers run beside Apply: what a stamp calls current is what a new read gives, and no view is torn.
func TestReadersBesideApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	p := w.create(d)
	w.ok(w.acceptance(o, p.id, d.Digest, true))
	id := p.id
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var v *View
			for {
				select {
				case <-stop:
					return
				default:
				}
				if v == nil || !w.s.Current(v.Stamp) {
					var err error
					if v, err = w.s.Record(id); err != nil {
						t.Error(err)
						return
					}
				}
				if len(v.Rotation) != 2 || len(v.Strands) != 1 || v.Updated < v.Created {
					t.Error("torn")
				}
				_, _, _ = w.s.History(id, nil, 5)
				_, _ = w.s.Journal(0, 10)
				_, _, _ = w.s.Organisations(OrganisationQuery{Name: "va"})
				_, _ = w.s.RecordAtTime(id, w.s.LastTime())
			}
		})
	}
	for i := range 150 {
		w.now += 3 * 3600_000
		if i%10 == 9 {
			o.url = "https://v" + string(rune('a'+i/10)) + ".example/"
			w.do(&o.person, w.op(&o.person, registry.Update, 0, "", o.orgRecord()))
		} else {
			w.do(p, w.op(p, registry.Update, 0, "", p.record(d.Digest)))
		}
		v := w.record(p.id)
		if v.Seq != p.seq || len(v.Strands[0].Endpoints) != 1 || v.Strands[0].Endpoints[0].URL != o.url {
			t.Fatalf("a read after the write sees seq %d and %v", v.Seq, v.Strands[0].Endpoints)
		}
	}
	close(stop)
	readers.Wait()
}

// A checkpoint is a state of its own, as of its moment, and can be opened for reading.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := openMem(t, fs)
	defer s.Close()
	w := bareWorld(t, s)
	p := w.create()
	want := dump(t, s)
	must(t, s.Checkpoint("copy"))
	w.do(p, w.op(p, registry.Update, 0, "", p.record()))
	c, err := Open("copy", Options{FS: fs, ReadOnly: true, CacheBytes: 1 << 20})
	must(t, err)
	defer c.Close()
	sameDump(t, "checkpoint", dump(t, c), want)
	must(t, c.VerifyContent(t.Context()))
	if v, err := c.Record(p.id); err != nil || v.Seq != 0 {
		t.Errorf("%v %v", v, err)
	}
	if _, err := c.ApplyBatch(w.log); err == nil {
		t.Error("a state open for reading was written")
	}
	if err := s.Checkpoint("copy"); err == nil {
		t.Error("a checkpoint was written over another")
	}
	if _, err := Open("nowhere", Options{FS: fs, ReadOnly: true}); err == nil {
		t.Error("a state that is not there was opened for reading")
	}
}

// Close makes everything durable.
func TestClose(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s := openMem(t, fs)
	w := bareWorld(t, s)
	w.create()
	want := dump(t, s)
	must(t, s.Close())
	again := openMem(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	defer again.Close()
	sameDump(t, "after closing", dump(t, again), want)
}

// VerifyContent finds a row that was changed behind Apply's back.
func TestVerifyContentFindsDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create()
	w.verify()
	ref, _ := refOf(p.id)
	must(t, w.s.db.Set(ref.operation(7), []byte{1}, pebble.NoSync))
	if err := w.s.VerifyContent(t.Context()); err == nil {
		t.Error("a row too many is not found")
	}
	must(t, w.s.db.Delete(ref.operation(7), pebble.NoSync))
	w.verify()
	must(t, w.s.db.Delete(ref.key(), pebble.NoSync))
	if err := w.s.VerifyContent(t.Context()); err == nil {
		t.Error("a row that is missing is not found")
	}
}
