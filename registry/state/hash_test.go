package state

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
)

// HashAt is what StateHash was at each entry, however entries are batched, and knows no others.
func TestHashAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := make(map[uint64][32]byte)
	note := func() {
		index, hash := w.s.StateHash()
		want[index] = hash
	}
	note()
	for range 20 {
		w.index += 3 // entries of Raft's own between
		w.create()
		note()
	}
	w.index++
	configuration := Entry{Index: w.index, Term: 1, Configuration: true, Data: []byte("members")}
	_, err := w.s.ApplyBatch([]Entry{configuration})
	must(t, err)
	w.log = append(w.log, configuration)
	note()

	for _, limit := range []int{maxOverlay, 0} { // one commit for all, and one for each entry
		fs := vfs.NewMem()
		s := openMem(t, fs)
		if _, ok := s.HashAt(0); !ok {
			t.Error("the empty state has no hash")
		}
		s.writer.limit = limit
		_, err = s.ApplyBatch(w.log)
		must(t, err)
		for index := range w.index + 5 {
			hash, ok := s.HashAt(index)
			switch expected, is := want[index]; {
			case index == 0:
			case ok != is:
				t.Errorf("HashAt(%d) knows it: %v, want %v", index, ok, is)
			case hash != expected:
				t.Errorf("HashAt(%d) is another", index)
			}
		}
		must(t, s.Close())
		again := openMem(t, fs)
		for index := range w.index + 5 {
			hash, ok := again.HashAt(index)
			if ok != (index == w.index) || ok && hash != want[index] {
				t.Errorf("opened again, HashAt(%d) is %v", index, ok)
			}
		}
		must(t, again.Close())
	}
}

// It forgets the oldest, and never gives one for another that shares its place.
func TestHashAtForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.index
	var entries []Entry
	for range hashedEntries + 10 {
		w.index++
		entries = append(entries, Entry{Index: w.index, Term: 1, Configuration: true, Data: []byte("members")})
	}
	_, err := w.s.ApplyBatch(entries)
	must(t, err)
	for index := first; index <= w.index; index++ {
		if _, ok := w.s.HashAt(index); ok != (index > w.index-hashedEntries) {
			t.Fatalf("at %d, HashAt(%d) is %v", w.index, index, ok)
		}
	}
}

// An entry that is refused as a whole has no hash, and those before it in the call only if they are applied.
func TestHashAtAfterFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index, hash := w.s.StateHash()
	good := w.log[len(w.log)-1]
	good.Index = index + 1
	if _, err := w.s.ApplyBatch([]Entry{good, {Index: index + 2, Term: 1, Data: []byte("damaged")}}); err == nil {
		t.Fatal("a damaged entry is applied")
	}
	for i := index; i < index+3; i++ {
		if got, ok := w.s.HashAt(i); ok != (i == index) || ok && got != hash {
			t.Errorf("HashAt(%d) is %v", i, ok)
		}
	}
}

// Whoever sees that an index is applied can ask for its hash, beside ApplyBatch.
func TestHashAtBesideApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				index, hash := w.s.StateHash()
				if got, ok := w.s.HashAt(index); !ok || got != hash {
					t.Errorf("HashAt(%d): %v", index, ok)
					return
				}
			}
		})
	}
	for range 200 {
		w.propose(TickProposal().Command())
	}
	close(stop)
	readers.Wait()
}

// A result says as of which index it holds: the entry's, or where a known object was found.
func TestResultIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPerson(t)
	create := w.op(p, registry.Create, 0, "", p.record())
	if r := w.do(p, create); r.Index != w.index || r.Index == 0 {
		t.Errorf("applied at %d, the result says %d", w.index, r.Index)
	}
	update := w.op(p, registry.Update, 0, "", p.record())
	late := w.op(p, registry.Update, 0, "", p.record())
	w.do(p, update)
	command := Command{Type: OperationCommand, Bytes: create.Bytes()}
	for _, r := range w.propose(command, Command{Type: OperationCommand, Bytes: late.Bytes()}) {
		if r.Index != w.index {
			t.Errorf("%+v was applied at %d", r, w.index)
		}
	}
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	w.do(p, w.op(p, registry.Update, 0, "", p.record(d.Digest), d))
	a := w.acceptanceOf(o, p.id, d.Digest, true)
	_, err := w.submit(w.s.CheckAcceptance(a, w.now))
	must(t, err)
	w.propose(TickProposal().Command())
	for name, check := range map[string]func() (Proposal, *Result, error){
		"create":     func() (Proposal, *Result, error) { return w.s.CheckOperation(create, w.now) },
		"update":     func() (Proposal, *Result, error) { return w.s.CheckOperation(update, w.now) },
		"acceptance": func() (Proposal, *Result, error) { return w.s.CheckAcceptance(a, w.now) },
		"policy":     func() (Proposal, *Result, error) { return w.s.CheckPolicy(w.policyText()) },
	} {
		_, known, err := check()
		must(t, err)
		if known == nil || !known.Known || known.Index != w.index {
			t.Errorf("%s: known as of %+v, the state is at %d", name, known, w.index)
		}
	}
	again, err := w.s.ApplyBatch(w.log[:1])
	must(t, err)
	if r := again[0][0]; r.Index != w.log[0].Index || r.Err == nil {
		t.Errorf("applied again: %+v", r)
	}
}

// policyText is the policy that the world began with.
func (w *world) policyText() []byte {
	w.t.Helper()
	b, err := DecodeBatch(w.log[0].Data)
	must(w.t, err)
	return b.Commands[0].Bytes
}

// A known status found by the leader is dated too.
func TestKnownStatusIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.organisation("Vault")
	msg, err := registry.StatusContent{Sub: o.id, Head: o.head, Status: registry.OrgActive, Epoch: 1, Iat: w.now.Unix(), Reason: "as asked"}.Sign(w.acc)
	must(t, err)
	st, err := registry.ParseStatus([]byte(msg.Compact()))
	must(t, err)
	r := w.ok(w.submit(w.s.CheckStatus(st, w.now)))
	w.create()
	_, known, err := w.s.CheckStatus(st, w.now)
	must(t, err)
	if known == nil || known.Index != w.index || r.Index >= known.Index {
		t.Errorf("applied at %d, known as of %+v, the state is at %d", r.Index, known, w.index)
	}
}

// What was altered in a checkpoint is found when it is opened to be looked at, and without altering it.
func TestVerifyCheckpoint(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := openMem(t, fs)
	defer s.Close()
	w := bareWorld(t, s)
	p := w.create()
	verify := func(dir string) error {
		c, err := Open(dir, Options{FS: fs, ReadOnly: true, CacheBytes: 1 << 20})
		must(t, err)
		defer c.Close()
		index, want := s.StateHash()
		if hash, ok := c.HashAt(index); !ok || hash != want {
			t.Errorf("the checkpoint's hash at %d is another: %v", index, ok)
		}
		return c.VerifyContent(context.Background())
	}
	ref, _ := refOf(p.id)
	for name, alter := range map[string]func(db *pebble.DB) error{
		"nothing": func(*pebble.DB) error { return nil },
		"altered": func(db *pebble.DB) error {
			value, closer, err := db.Get(ref.key())
			must(t, err)
			value = append([]byte(nil), value...)
			must(t, closer.Close())
			value[len(value)/2] ^= 1
			return db.Set(ref.key(), value, pebble.Sync)
		},
		"missing": func(db *pebble.DB) error { return db.Delete(ref.key(), pebble.Sync) },
		"added":   func(db *pebble.DB) error { return db.Set(ref.operation(9), []byte{1}, pebble.Sync) },
	} {
		must(t, s.Checkpoint(name))
		db, err := pebble.Open(name, &pebble.Options{FS: fs, Logger: quiet{func(err error) { panic(err) }}})
		must(t, err)
		must(t, alter(db))
		must(t, db.Flush())
		must(t, db.Close())
		for range 2 {
			if err := verify(name); (err == nil) != (name == "nothing") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A flipped bit in a table of a checkpoint is found too, as an error and not as the end of the process.
func TestVerifyCheckpointFiles(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := openMem(t, fs)
	defer s.Close()
	bareWorld(t, s).create()
	must(t, s.Checkpoint("copy"))
	names, err := fs.List("copy")
	must(t, err)
	tables := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		tables++
		f, err := fs.OpenReadWrite(fs.PathJoin("copy", name), vfs.WriteCategoryUnspecified)
		must(t, err)
		var b [1]byte
		_, err = f.ReadAt(b[:], 200)
		must(t, err)
		b[0] ^= 1
		_, err = f.WriteAt(b[:], 200)
		must(t, err)
		must(t, f.Close())
	}
	if tables == 0 {
		t.Fatal("the checkpoint has no tables")
	}
	c, err := Open("copy", Options{FS: fs, ReadOnly: true, OnFatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err == nil {
		err = c.VerifyContent(t.Context())
		_ = c.Close()
	}
	if err == nil {
		t.Error("it is not found")
	}
}
