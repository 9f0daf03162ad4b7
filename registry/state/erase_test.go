package state

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
)

// history makes a passport with a past: two strands, acceptances, an update of a weaker key, a recovery.
func (w *world) history(o *org) (*person, []registry.Disclosure, []*registry.Operation) {
	w.t.Helper()
	one, two := w.strand("one", o.id), w.strand("two", o.id)
	p := w.create(one)
	ops := []*registry.Operation{p.last}
	do := func(op *registry.Operation) {
		w.t.Helper()
		w.now += 1000
		w.do(p, op)
		ops = append(ops, op)
	}
	w.ok(w.acceptance(o, p.id, one.Digest, true))
	update := w.op(p, registry.Update, 1, "", p.record(two.Digest), two)
	do(update)
	w.ok(w.acceptance(o, p.id, two.Digest, true))
	do(w.op(p, registry.Recover, 0, update.Name, p.record(one.Digest)))
	do(w.op(p, registry.Deactivate, 1, "", nil))
	return p, []registry.Disclosure{one, two}, ops
}

func TestErase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	p, ds, ops := w.history(o)
	a := w.acceptanceOf(o, p.id, ds[0].Digest, true)
	w.refused(registry.Forbidden, Result{}, second(w.operation(w.op(p, registry.Erase, 0, "", nil))))
	w.now += window + 10
	erase := w.op(p, registry.Erase, 0, "", nil)
	done := w.do(p, erase)
	v := w.record(p.id)
	if v.Status != registry.Erased || v.Head != erase.Name || v.Seq != 4 || v.Position != done.Position || v.RecordJSON != nil ||
		v.Strands != nil || v.Rotation != nil || v.Version != "" {
		t.Errorf("tombstone %+v", v)
	}
	for _, space := range []byte{spaceAcceptance, spaceDisclosure, spaceStrand, spaceOperation, spaceVersion, spaceDue} {
		if n := w.rows(space); n != 0 {
			t.Errorf("space %c has %d rows", space, n)
		}
	}
	if n := w.rows(spaceStatement); n != 1 { // the provider's status
		t.Errorf("%d statements are known", n)
	}
	if again := w.ok(w.operation(erase)); !again.Known || again.Position != done.Position {
		t.Errorf("the erasure again: %+v", again)
	}
	for _, op := range ops {
		r, err := w.operation(op)
		w.refused(registry.Gone, r, err)
		if r := w.propose(Command{Type: OperationCommand, Bytes: op.Bytes()})[0]; r.Known {
			t.Errorf("%s is known", op.Act)
		}
	}
	_, _, err := w.s.CheckAcceptance(a, w.now)
	w.refused(registry.Gone, Result{}, err)
	_, _, err = w.s.History(p.id, nil, 10)
	w.refused(registry.Gone, Result{}, err)
	if v, err := w.s.RecordAtVersion(p.id, ops[0].Name); err != nil || v.Status != registry.Erased || v.RecordJSON != nil {
		t.Errorf("an old version: %+v %v", v, err)
	}
	entries, err := w.s.Journal(0, 100)
	must(t, err)
	salts := 0
	for _, e := range entries {
		if e.Salt != nil {
			salts++
		}
		if e.Commitment == [32]byte{} {
			t.Errorf("entry %d lost its commitment", e.Position)
		}
	}
	if salts != 3 || len(entries) != 10 { // the provider's create, pending, active
		t.Errorf("%d of %d entries have salts", salts, len(entries))
	}
	w.verify()
}

func TestOrganisationsAreNotErased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	w.do(&o.person, w.op(&o.person, registry.Deactivate, 0, "", nil))
	w.now += window + 10
	w.refused(registry.Forbidden, Result{}, second(w.operation(w.op(&o.person, registry.Erase, 0, "", nil))))
}

// A long history leaves in bounded steps, and nothing of it can be seen meanwhile.
func TestEraseALongHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create()
	for range 200 {
		w.now += 3600_000
		w.do(p, w.op(p, registry.Update, 0, "", p.record()))
	}
	w.do(p, w.op(p, registry.Deactivate, 0, "", nil))
	w.now += window + 10
	w.do(p, w.op(p, registry.Erase, 0, "", nil))
	if w.rows(spaceOperation)+w.rows(spaceVersion) == 0 || !w.s.DueTick(w.now) {
		t.Fatal("all at once: the test needs a longer history")
	}
	_, _, err := w.s.History(p.id, nil, 10)
	w.refused(registry.Gone, Result{}, err)
	for i := 0; w.s.DueTick(w.now); i++ {
		if i > 5 {
			t.Fatal("it never ends")
		}
		w.propose(TickProposal().Command())
	}
	if n := w.rows(spaceOperation) + w.rows(spaceVersion); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	entries, err := w.s.Journal(0, 1000)
	must(t, err)
	for _, e := range entries {
		if e.Salt != nil {
			t.Errorf("entry %d has its salt", e.Position)
		}
	}
	w.verify()
	w.replays()
}

// After CompactErased no file of the store holds a disclosure, a salt or an operation that was erased or
// dropped, neither as it was sent nor in the rows of any table, whatever snapshots were open at the time.
func TestErasedBytesLeaveTheFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Open(dir, Options{MemTableBytes: 1 << 20, CacheBytes: 8 << 20})
	must(t, err)
	defer s.Close()
	w := bareWorld(t, s)
	o := w.provider("Vault")
	stay := w.strand("stays", o.id)
	w.create(stay)
	p, ds, ops := w.history(o)
	dropped := w.strand("dropped", o.id)
	q := w.create(dropped)
	entries, err := s.Journal(0, 100)
	must(t, err)
	secrets := map[string][]byte{"dropped": []byte(dropped.Text), "sig": ops[1].Message().Signature(), "sig0": ops[0].Message().Signature()}
	for _, d := range ds {
		secrets["disclosure "+d.Strand.ID] = []byte(d.Text)
	}
	for _, e := range entries {
		if e.Subject == p.id.Subject() || e.Subject == ds[0].Subject(p.id) {
			secrets["salt "+string(rune('0'+e.Position))] = e.Salt[:]
		}
	}
	must(t, s.Flush())
	_ = s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false) // to the last level
	before := tables(t, s, dir)
	for name, secret := range secrets {
		if name != "disclosure two" && !strings.Contains(before, string(secret)) { // the recovery dropped that one
			t.Fatalf("%s is not found even before: the test looks in the wrong place", name)
		}
	}
	hold := s.snapshot()
	w.do(q, w.op(q, registry.Update, 0, "", q.record()))
	w.now += window + 10
	w.do(p, w.op(p, registry.Erase, 0, "", nil))
	must(t, s.Flush())
	_ = s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false) // keeps the old rows for the snapshot
	hold.close()
	must(t, s.CompactErased(t.Context()))
	must(t, s.Flush())
	all := tables(t, s, dir)
	for name, secret := range secrets {
		if strings.Contains(all, string(secret)) {
			t.Errorf("%s is still in the files", name)
		}
	}
	if !strings.Contains(all, stay.Text) {
		t.Error("what was not erased is gone")
	}
	if rows, err := s.scrubs(); err != nil || len(rows) != 0 {
		t.Errorf("%d rows still to be scrubbed, %v", len(rows), err)
	}
	w.verify()
}

// A disclosure that was only dropped leaves the files too, with the old versions of its record's row.
func TestDroppedBytesLeaveTheFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Open(dir, Options{MemTableBytes: 1 << 20, CacheBytes: 8 << 20})
	must(t, err)
	defer s.Close()
	w := bareWorld(t, s)
	o := w.provider("Vault")
	d := w.strand("dropped", o.id)
	p := w.create(d)
	must(t, s.Flush())
	must(t, s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
	if !strings.Contains(tables(t, s, dir), d.Text) {
		t.Fatal("it is not found even before")
	}
	w.do(p, w.op(p, registry.Update, 1, "", p.record()))
	must(t, s.CompactErased(t.Context()))
	if !strings.Contains(tables(t, s, dir), d.Text) {
		t.Error("what is kept is gone")
	}
	w.now += window + 10
	w.propose(TickProposal().Command())
	rows, err := s.scrubs()
	must(t, err)
	ref, _ := refOf(p.id)
	for _, key := range [][]byte{ref.key(), ref.disclosure(d.Digest.Bytes())} {
		if !slices.ContainsFunc(rows, func(row []byte) bool { return bytes.Equal(row[scrubPrefix:], key) }) {
			t.Errorf("key %q is not to be scrubbed", key)
		}
	}
	must(t, s.CompactErased(t.Context()))
	if strings.Contains(tables(t, s, dir), d.Text) {
		t.Error("it is still in the files")
	}
	w.verify()
}

// tables is every byte of every file under dir, and every version of every row in its tables, with
// disclosures also in the form in which they travel.
func tables(t *testing.T, s *Store, dir string) string {
	t.Helper()
	for { // a table that is being written cannot be read
		m := s.db.Metrics()
		if m.Compact.NumInProgress+m.Flush.NumInProgress+m.Table.ObsoleteCount+m.Table.ZombieCount == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var all bytes.Buffer
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		raw, err := os.ReadFile(path)
		must(t, err)
		all.Write(raw)
		if filepath.Ext(path) == ".sst" {
			tableRows(t, &all, path)
		}
	}
	return all.String()
}

func tableRows(t *testing.T, out io.Writer, path string) {
	t.Helper()
	f, err := vfs.Default.Open(path)
	must(t, err)
	readable, err := sstable.NewSimpleReadable(f)
	must(t, err)
	o := Options{}.withDefaults().pebble(newDisk(vfs.Default, "", func(error) {}))
	o.EnsureDefaults()
	r, err := sstable.NewReader(t.Context(), readable, o.MakeReaderOptions())
	must(t, err)
	defer r.Close()
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	must(t, err)
	defer it.Close()
	for kv := it.First(); kv != nil; kv = it.Next() {
		v, _, err := kv.Value(nil)
		must(t, err)
		_, _ = out.Write(v)
		for _, plain := range plains(kv.K.UserKey, v) {
			_, _ = io.WriteString(out, base64.RawURLEncoding.EncodeToString(plain))
		}
	}
}

// plains are the disclosures in a row.
func plains(key, value []byte) (out [][]byte) {
	switch key[0] {
	case spaceRecord:
		var row recordRow
		if decodeRow(value, &row) == nil {
			for _, s := range row.Strands {
				out = append(out, s.Plain)
			}
		}
	case spaceDisclosure:
		var row keptRow
		if decodeRow(value, &row) == nil {
			out = append(out, row.Strand.Plain)
		}
	}
	return out
}
