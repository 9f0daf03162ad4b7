package registry

import "slices"

// SubmitStatus judges s like a node and puts it in force. After an error nothing has changed; its kind is
// as of Accreditation.Check.
func (h *History) SubmitStatus(s *StatusStatement, now Millis) (Outcome, error) {
	if err := CheckHome(s.Sub, h.policy.Country); err != nil {
		return Outcome{}, err
	}
	c, env := h.records[s.Sub], StatusEnv{Now: now, Policy: h.policy}
	var before Accreditation
	if c != nil {
		if first, ok := c.known[s.Name]; ok {
			first.Known = true
			return first, nil
		}
		before, env.Lineage, env.InForce, env.Named = c.accreditation, &c.lineage, c.inForce(), c.named
	}
	next, err := before.Check(s, env)
	if err != nil {
		return Outcome{}, err
	}
	c.accreditation = next
	o := Outcome{ID: s.Sub, Name: s.Name, Time: now}
	c.known[s.Name] = o
	return o, nil
}

// named finds an operation by its name, undone ones too.
func (c *chain) named(name OpID) (uint64, *Record, error) {
	i := slices.IndexFunc(c.operations, func(a Accepted) bool { return a.Operation.Name == name })
	if i < 0 {
		return 0, nil, fail(NotFound, "%s has no operation %s", c.lineage.ID, name)
	}
	return uint64(i), c.operations[i].Operation.Record, nil
}

// SubmitAcceptance judges a like a node and puts it in force. After an error nothing has changed; its kind
// is as of AcceptanceState.Check.
func (h *History) SubmitAcceptance(a *Acceptance, now Millis) (Outcome, error) {
	if err := CheckHome(a.Sub, h.policy.Country); err != nil {
		return Outcome{}, err
	}
	env := AcceptanceEnv{Now: now, Policy: h.policy}
	var before *AcceptanceState
	c := h.records[a.Sub]
	if c != nil {
		if first, ok := c.known[a.Name]; ok {
			first.Known = true
			return first, nil
		}
		before, env.Passport = c.acceptances[a.Strand], &c.lineage
		if r := c.inForce(); r != nil && slices.Contains(r.Strands, a.Strand) {
			if d, ok := c.disclosures[a.Strand]; ok {
				env.Strand = &d.Strand
			}
		}
	}
	if p := h.records[a.Iss]; p != nil {
		env.Provider, env.ProviderRecord = &p.lineage, p.inForce()
	}
	next, err := before.Check(a, env, false)
	if err != nil {
		return Outcome{}, err
	}
	c.acceptances[a.Strand] = &next
	o := Outcome{ID: a.Sub, Name: a.Name, Time: now}
	c.known[a.Name] = o
	return o, nil
}

// Accreditation is the status statement in force for an organisation, and how the organisation stands by
// it and by its record in force (DESIGN 6). Of what is no organisation here, it is pending.
func (h *History) Accreditation(id ID) (Accreditation, OrgStatus) {
	c := h.records[id]
	if c == nil {
		return Accreditation{}, OrgPending
	}
	named, err := c.recordAt(c.accreditation.Seq)
	if err != nil {
		named = nil
	}
	return c.accreditation, c.accreditation.Standing(c.inForce(), named)
}

// Acceptance is how a strand stands with its provider; nil if the provider never spoke of it.
func (h *History) Acceptance(id ID, strand Digest) *AcceptanceState {
	if c := h.records[id]; c != nil {
		return c.acceptances[strand]
	}
	return nil
}
