package state

import (
	"sync/atomic"

	"github.com/dcann/dcann/registry"
)

// organisationSlots bounds the cache of organisations as strands need them: some hundred bytes each. Two
// that share a slot take turns, which costs a read.
const organisationSlots = 1 << 13

// organisationCache holds what showing a strand needs of its provider. An entry is good while its version
// is current, so that nothing has to be invalidated when a provider moves.
type organisationCache [organisationSlots]atomic.Pointer[provider]

func newOrganisationCache() *organisationCache { return new(organisationCache) }

type provider struct {
	registry.ProviderView
	id   registry.ID
	seen seen
}

// provider reads an organisation, from memory if it can, and adds it to the stamp. Those of other
// countries are not reachable until federation.
func (s *Store) provider(id registry.ID, st *Stamp) (*provider, error) {
	if policy := s.Policy(); policy == nil || id.Country() != policy.Country {
		return &provider{id: id}, nil
	}
	ref, ok := refOf(id)
	if !ok {
		return &provider{id: id, ProviderView: registry.ProviderView{Reachable: true}}, nil
	}
	slot := slotOf(ref)
	cached := &s.orgs[slot%organisationSlots]
	if p := cached.Load(); p != nil && p.id == id && p.seen.version == s.versions[slot].Load() {
		st.include(p.seen)
		return p, nil
	}
	p := &provider{id: id, seen: s.versions.look(slot)}
	p.Reachable = true
	rec, err := loadRecord(committed{s.db}, id)
	if err != nil {
		return nil, err
	}
	if rec != nil && rec.lineage.Kind == registry.Organisation {
		inForce, err := rec.inForce()
		if err != nil {
			return nil, err
		}
		p.Known, p.Status, p.Standing, p.Endpoints = true, rec.lineage.Status, rec.Standing.Standing, inForce.Endpoints
		cached.Store(p)
	}
	st.include(p.seen)
	return p, nil
}
