package state

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
)

// keptRows counts the rows of spaceDisclosure.
func (w *world) rows(space byte) (n int) {
	w.t.Helper()
	must(w.t, w.s.Scan(w.t.(*testing.T).Context(), func(k, _ []byte) error {
		if k[0] == space {
			n++
		}
		return nil
	}))
	return n
}

func (w *world) shows(p *person, want ...registry.Disclosure) {
	w.t.Helper()
	v := w.record(p.id)
	if len(v.Strands) != len(want) {
		w.t.Fatalf("%d strands are disclosed, want %d", len(v.Strands), len(want))
	}
	for _, d := range want {
		if s, ok := v.Disclosed(d.Digest); !ok || s.Text != d.Text {
			w.t.Fatalf("strand %s is not disclosed", d.Strand.ID)
		}
	}
}

// A disclosure that a weaker key took out is held for as long as a stronger one can bring it back, need not
// be sent again within this time, and is gone after it.
func TestDisclosureIsHeldWhileItCanComeBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		wait registry.Millis
		want int // disclosures kept
	}{{"at the end of the window", window, 1}, {"a moment later", window + 1, 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.strand("purchases", w.provider("Vault").id)
			p := w.create(d)
			w.do(p, w.op(p, registry.Update, 1, "", p.record()))
			w.shows(p)
			taken := w.record(p.id).Updated
			w.now = taken + c.wait
			w.propose(TickProposal().Command())
			if got := w.rows(spaceDisclosure); got != c.want {
				t.Errorf("%d disclosures are kept, want %d", got, c.want)
			}
			w.do(p, w.op(p, registry.Update, 0, "", p.record(d.Digest)))
			if c.want == 1 {
				w.shows(p, d)
			} else {
				w.shows(p)
			}
			w.verify()
		})
	}
}

// What the strongest key takes out, nobody can bring back: it is dropped at once.
func TestStrongUpdateDropsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.strand("purchases", w.provider("Vault").id)
	p := w.create(d)
	w.do(p, w.op(p, registry.Update, 0, "", p.record()))
	if n := w.rows(spaceDisclosure); n != 0 {
		t.Errorf("%d disclosures are kept", n)
	}
	if w.s.ErasureIndex() != w.index {
		t.Errorf("erasure index %d, want %d", w.s.ErasureIndex(), w.index)
	}
	w.verify()
}

// A weak operation that can still be undone has the disclosure in its base: a strong one on top of it may
// not drop it.
func TestStrongUpdateKeepsWhatAWeakerOneCouldLose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.strand("purchases", w.provider("Vault").id)
	p := w.create(d)
	weak := w.op(p, registry.Update, 1, "", p.record(d.Digest))
	w.do(p, weak)
	w.now += 1000
	stolen := p.record(d.Digest)
	stolen.Rotation[0], stolen.Rotation[1] = stolen.Rotation[1], stolen.Rotation[0]
	w.do(p, w.op(p, registry.Update, 1, "", stolen)) // the weaker makes itself the first
	w.now += 1000
	strong := p.record()
	strong.Rotation = stolen.Rotation
	w.do(p, w.op(p, registry.Update, 1, "", strong))
	if n := w.rows(spaceDisclosure); n != 1 {
		t.Fatalf("%d disclosures are kept", n)
	}
	w.now += 1000
	w.do(p, w.op(p, registry.Recover, 0, weak.Name, p.record(d.Digest)))
	w.shows(p, d)
	w.verify()
}

// A recovery drops at once what only the operations that it took off referred to, and holds the base of
// the first of them for a window of its own.
func TestRecoveryReconsidersWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	a, b, c := w.strand("a", o.id), w.strand("b", o.id), w.strand("c", o.id)
	p := &person{use: newKey(t, "Ed25519")}
	for range 3 {
		p.keys = append(p.keys, newKey(t, "Ed25519"))
	}
	w.do(p, w.op(p, registry.Create, 0, "", p.record(a.Digest), a))
	w.now += 1000
	first := w.op(p, registry.Update, 2, "", p.record(b.Digest), b)
	w.do(p, first)
	w.now += 1000
	w.do(p, w.op(p, registry.Update, 2, "", p.record(c.Digest), c))
	if n := w.rows(spaceDisclosure); n != 2 {
		t.Fatalf("%d disclosures are kept, want a and b", n)
	}
	w.now += window / 2
	w.do(p, w.op(p, registry.Recover, 1, first.Name, p.record()))
	if n := w.rows(spaceDisclosure); n != 1 {
		t.Fatalf("%d disclosures are kept, want a", n)
	}
	w.verify()
	w.now += window - 1000 // more than a window after a was taken out, less than one after the recovery
	w.do(p, w.op(p, registry.Recover, 0, p.head, p.record(a.Digest, b.Digest)))
	w.shows(p, a)
	w.verify()
}

// A disclosure that was dropped and is sent again goes on where its strand stood: so does the log.
func TestDroppedStrandGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	p := w.create(d)
	w.ok(w.acceptance(o, p.id, d.Digest, true))
	w.now += 1000
	w.do(p, w.op(p, registry.Update, 0, "", p.record()))
	if n := w.rows(spaceStrand); n != 1 {
		t.Fatalf("%d strands are remembered", n)
	}
	w.refused(registry.NotFound, Result{}, second(w.acceptance(o, p.id, d.Digest, false)))
	w.do(p, w.op(p, registry.Update, 0, "", p.record(d.Digest)))
	w.shows(p)
	w.do(p, w.op(p, registry.Update, 0, "", p.record(d.Digest), d))
	if s := w.record(p.id).Strands[0]; s.Acceptance == nil || !s.Acceptance.Accepted || s.Withheld != "" {
		t.Errorf("%+v", s)
	}
	w.now += 1000
	if r := w.ok(w.acceptance(o, p.id, d.Digest, false)); r.Seq != 1 {
		t.Errorf("seq %d, want 1", r.Seq)
	}
	if n := w.rows(spaceStrand); n != 0 {
		t.Errorf("%d strands are remembered twice", n)
	}
	w.verify()
}

// A disclosure's acceptance follows it out of the record and back.
func TestKeptStrandComesBackAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	p := w.create(d)
	w.ok(w.acceptance(o, p.id, d.Digest, true))
	w.now += 1000
	w.do(p, w.op(p, registry.Update, 1, "", p.record()))
	w.do(p, w.op(p, registry.Update, 1, "", p.record(d.Digest)))
	if s := w.record(p.id).Strands[0]; s.Withheld != "" {
		t.Errorf("%+v", s)
	}
	if w.rows(spaceDisclosure) != 0 || w.rows(spaceDue) != 0 {
		t.Error("rows of a kept disclosure are left over")
	}
	if w.s.DueTick(w.now + 2*window) {
		t.Error("a tick is due for nothing")
	}
	w.verify()
}

func TestReplayedOperationStoresNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.strand("purchases", w.provider("Vault").id)
	p := newPerson(t)
	hidden := w.op(p, registry.Create, 0, "", p.record(d.Digest))
	w.do(p, hidden)
	open, err := registry.ParseOperation(registry.AppendOperation(nil, hidden.Message(), []registry.Disclosure{d}))
	must(t, err)
	before := dump(t, w.s)
	if r := w.propose(Command{Type: OperationCommand, Bytes: open.Bytes()})[0]; !r.Known {
		t.Errorf("%+v", r)
	}
	after := dump(t, w.s)
	sameDump(t, "replay", after[:len(after)-1], before[:len(before)-1])
	w.shows(p)
}

// A strand whose disclosure is held and not sent again may not share an id with a new one.
func TestHeldStrandIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	one, other := w.strand("same", o.id), w.strand("same", o.id)
	p := w.create(one)
	ds := registry.PadStrands([]registry.Digest{one.Digest, other.Digest})
	_, err := w.operation(w.op(p, registry.Update, 0, "", p.record(ds...), other))
	if !errors.Is(err, registry.Invalid) {
		t.Errorf("%v", err)
	}
}

// The work of one entry is bounded, whatever is due; ticks do the rest.
func TestSweepIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	var people []*person
	for range 6 {
		var ds []registry.Disclosure
		for i := range 60 {
			ds = append(ds, w.strand("s"+string(rune('a'+i/26))+string(rune('a'+i%26)), o.id))
		}
		p := newPerson(t)
		w.do(p, w.op(p, registry.Create, 0, "", p.record(registry.PadStrands(digests(ds))...), ds...))
		people = append(people, p)
	}
	for _, p := range people {
		w.do(p, w.op(p, registry.Update, 1, "", p.record()))
	}
	if w.s.DueTick(w.now) || w.rows(spaceDisclosure) != 360 {
		t.Fatalf("%d kept", w.rows(spaceDisclosure))
	}
	w.now += window + 100
	if !w.s.DueTick(w.now) {
		t.Fatal("nothing is due")
	}
	w.propose(TickProposal().Command())
	if n := w.rows(spaceDisclosure); n != 360-maxSweep || !w.s.DueTick(w.now) {
		t.Errorf("%d are left after one tick", n)
	}
	w.propose(TickProposal().Command())
	if n := w.rows(spaceDisclosure); n != 0 || w.s.DueTick(w.now+window) {
		t.Errorf("%d are left after two", n)
	}
	w.verify()
	w.replays()
}

// Once the first key has signed above a weaker key's operation, nobody can undo that any more: what was
// only kept for it goes.
func TestFirstKeyEndsWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.strand("purchases", w.provider("Vault").id)
	p := w.create(d)
	w.do(p, w.op(p, registry.Update, 1, "", p.record()))
	if n := w.rows(spaceDisclosure); n != 1 {
		t.Fatalf("%d disclosures are kept", n)
	}
	w.do(p, w.op(p, registry.Update, 0, "", p.record()))
	if n := w.rows(spaceDisclosure) + w.rows(spaceDue); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	w.verify()
}

// replays applies the log to other stores in other batches, which must give the same bytes.
func (w *world) replays() {
	w.t.Helper()
	want := dump(w.t, w.s)
	for _, cut := range []int{1, len(w.log) - 3, len(w.log) - 2} {
		s := openMem(w.t, vfs.NewMem())
		for _, entries := range [][]Entry{w.log[:cut], w.log[cut:]} {
			_, err := s.ApplyBatch(entries)
			must(w.t, err)
		}
		sameDump(w.t, "the log in two batches", dump(w.t, s), want)
		must(w.t, s.Close())
	}
}

// Of two disclosures that were taken out one after the other, the first goes first.
func TestSweepEndsAtTheEdge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	one, two := w.strand("one", o.id), w.strand("two", o.id)
	p := w.create(one, two)
	w.do(p, w.op(p, registry.Update, 1, "", p.record(two.Digest)))
	w.now += 5000
	w.do(p, w.op(p, registry.Update, 1, "", p.record()))
	w.now = w.record(p.id).Updated + window
	w.propose(TickProposal().Command())
	if n := w.rows(spaceDisclosure); n != 1 {
		t.Errorf("%d disclosures are kept, want one", n)
	}
	if w.s.DueTick(w.now) || !w.s.DueTick(w.now+1) {
		t.Error("a tick is due at another time than a moment later")
	}
}
