package state

import (
	"errors"
	"slices"
	"testing"

	"github.com/dcann/dcann/registry"
)

func (w *world) found(q OrganisationQuery) (names []string) {
	w.t.Helper()
	for {
		views, next, err := w.s.Organisations(q)
		must(w.t, err)
		if len(views) > q.Limit && q.Limit > 0 {
			w.t.Fatalf("%d on a page of %d", len(views), q.Limit)
		}
		for _, v := range views {
			names = append(names, v.Organisation.Record.Name)
		}
		if next == "" {
			return names
		}
		q.After = next
	}
}

func TestOrganisations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	orgs := map[string]*org{}
	for _, name := range []string{"Älypankki", "Vault", "vault two", "VAULT THREE", "Other"} {
		orgs[name] = w.provider(name)
	}
	pending := w.organisation("Pending")
	gone := w.provider("Gone")
	w.do(&gone.person, w.op(&gone.person, registry.Deactivate, 0, "", nil))
	w.create()
	sorted := func(names []string) []string { slices.Sort(names); return names }
	for _, c := range []struct {
		what string
		q    OrganisationQuery
		want []string
	}{
		{"all", OrganisationQuery{}, []string{"Other", "Pending", "VAULT THREE", "Vault", "vault two", "Älypankki"}},
		{"pages", OrganisationQuery{Limit: 1}, []string{"Other", "Pending", "VAULT THREE", "Vault", "vault two", "Älypankki"}},
		{"also deactivated", OrganisationQuery{IncludeDeactivated: true, Name: "g"}, []string{"Gone"}},
		{"name", OrganisationQuery{Name: "vaULT", Limit: 2}, []string{"VAULT THREE", "Vault", "vault two"}},
		{"name with accents", OrganisationQuery{Name: "ÄLY"}, []string{"Älypankki"}},
		{"status", OrganisationQuery{Status: registry.OrgPending}, []string{"Pending"}},
		{"role", OrganisationQuery{Role: registry.RoleRecipient}, nil},
		{"domain", OrganisationQuery{Domain: "vault.example", Name: "o"}, []string{"Other"}},
		{"another domain", OrganisationQuery{Domain: "vault.exampl"}, nil},
		{"LEI", OrganisationQuery{LEI: "5493001KJTIIGC8Y1R12"}, nil},
	} {
		if got := sorted(w.found(c.q)); !slices.Equal(got, sorted(c.want)) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	w.now += 1000
	pending.name = "Renamed"
	w.do(&pending.person, w.op(&pending.person, registry.Update, 0, "", pending.orgRecord()))
	if got := w.found(OrganisationQuery{Name: "pending"}); len(got) != 0 {
		t.Errorf("by the old name: %q", got)
	}
	if got := w.found(OrganisationQuery{Name: "ren"}); len(got) != 1 {
		t.Errorf("by the new name: %q", got)
	}
	if n := w.rows(spaceIndex); n != 7*3 {
		t.Errorf("%d rows in the index, want all, name and domain of 7", n)
	}
	if _, _, err := w.s.Organisations(OrganisationQuery{After: "AAAA"}); !errors.Is(err, registry.Invalid) {
		t.Errorf("a page after nonsense: %v", err)
	}
	w.verify()
}

// A new policy makes every view out of date: it may change what can be undone for how long.
func TestPolicyMakesViewsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create()
	v := w.record(p.id)
	next := *w.s.Policy()
	next.Version = 2
	w.ok(w.policy(next, w.acc))
	if w.s.Current(v.Stamp) {
		t.Error("a view from before the policy is current")
	}
	if w.s.Current(Stamp{}) {
		t.Error("no stamp is current")
	}
}

// A passport with strands at more providers than a stamp holds inline is cached all the same.
func TestStampOfManyProviders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var orgs []*org
	var ds []registry.Disclosure
	for i := range 12 {
		orgs = append(orgs, w.provider("Vault"))
		ds = append(ds, w.strand("s"+string(rune('a'+i)), orgs[i].id))
	}
	p := newPerson(t)
	w.do(p, w.op(p, registry.Create, 0, "", p.record(registry.PadStrands(digests(ds))...), ds...))
	for _, o := range orgs {
		v := w.record(p.id)
		if !w.s.Current(v.Stamp) {
			t.Fatal("a fresh view is out of date")
		}
		w.now += 1000
		w.ok(w.status(o.id, o.head, registry.OrgSuspended, 1))
		if w.s.Current(v.Stamp) {
			t.Errorf("%s was suspended, and the view is current", o.id)
		}
	}
}
