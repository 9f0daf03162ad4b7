package state

import (
	"testing"

	"github.com/dcann/dcann/registry"
)

// What is told of a strand that is not public must not show in the record that everybody sees: its
// position, and what answers are made of it, would say that there is such a strand (DESIGN 7).
func TestAcceptanceOfAGrantedStrandDoesNotShow(t *testing.T) {
	t.Parallel()
	for _, visibility := range []registry.Visibility{registry.Granted, registry.Public} {
		w := newWorld(t)
		o := w.provider("Vault")
		s := w.strand("purchases", o.id).Strand
		s.Visibility = visibility
		d, err := registry.NewDisclosure(s)
		must(t, err)
		p := w.create(d)
		before := w.record(p.id).Position
		r := w.ok(w.acceptance(o, p.id, d.Digest, true))
		want := before
		if visibility == registry.Public {
			want = r.Position
		}
		if got := w.record(p.id).Position; got != want {
			t.Errorf("%s: the record's position is %d after its strand was accepted, want %d", visibility, got, want)
		}
		w.verify()
	}
}

// Whoever copies a public disclosure into a record of their own must not write into the original's log.
func TestACopiedDisclosureIsAnotherStrand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	original, copied := w.create(d), w.create(d)
	first := w.ok(w.acceptance(o, original.id, d.Digest, true))
	second := w.ok(w.acceptance(o, copied.id, d.Digest, false))
	entries, err := w.s.Journal(first.Position, 2)
	must(t, err)
	if len(entries) != 2 || entries[0].Subject == entries[1].Subject || first.Seq != 0 || second.Seq != 0 {
		t.Errorf("two passports share a strand's log: %+v, %+v", first, second)
	}
}

// A leader whose clock ran ahead leaves registry time ahead: what is signed by the right time is taken all
// the same, since iat is compared with the leader's clock (DESIGN 6, rule 5).
func TestRegistryTimeAheadOfTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	right := w.now
	w.now += 3600_000
	d := w.strand("purchases", o.id)
	w.create()
	ahead := w.s.LastTime()
	w.now = right
	p := w.create(d)
	w.ok(w.acceptance(o, p.id, d.Digest, true))
	w.ok(w.status(o.id, o.head, registry.OrgSuspended, 1))
	if v := w.record(p.id); v.Created <= ahead {
		t.Errorf("created at %d, not after %d", v.Created, ahead)
	}
}
