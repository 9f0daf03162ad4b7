package registry

import (
	"cmp"
	"maps"
	"slices"
)

// History is a registry in memory: every operation, status and acceptance of the records it was given,
// judged by the same rules as in a node. It is what a wallet predicts answers with, what a bundle is
// replayed in, and what the replicated state is compared with in tests. It keeps everything but what an
// erase removes, so give it a few records and not a country.
//
// It is for one goroutine at a time.
type History struct {
	policy  *Policy
	records map[ID]*chain
}

// chain is all that is known of one record.
type chain struct {
	lineage       Lineage
	operations    []Accepted
	known         map[OpID]Outcome // operations, statuses and acceptances by name
	disclosures   map[Digest]Disclosure
	accreditation Accreditation
	acceptances   map[Digest]*AcceptanceState
}

// Accepted is an operation of a history. Undone tells that a recover took it off the stack.
type Accepted struct {
	Operation *Operation // its disclosures are those it came with, held or not
	Time      Millis     // registry time
	Undone    bool
}

// Outcome is what became of an operation or statement: of a known one, what became of it the first time.
type Outcome struct {
	ID    ID
	Name  OpID
	Seq   uint64 // of an operation
	Time  Millis // registry time of its acceptance
	Known bool   // it was accepted before, and nothing changed now
}

// NewHistory is an empty registry under p, which is not copied.
func NewHistory(p *Policy) *History { return &History{policy: p, records: make(map[ID]*chain)} }

// SetPolicy puts another policy in force, for what comes after.
func (h *History) SetPolicy(p *Policy) { h.policy = p }

// Submit judges op in the order of DESIGN 6 and appends it. now is the entry's registry time, which the
// caller does not let fall. After an error nothing has changed; its kind is as of Lineage.Check.
func (h *History) Submit(op *Operation, now Millis) (Outcome, error) {
	if err := CheckHome(op.ID, h.policy.Country); err != nil {
		return Outcome{}, err
	}
	c := h.records[op.ID]
	if c != nil {
		if first, ok := c.known[op.Name]; ok {
			first.Known = true
			return first, nil
		}
	}
	var before *Lineage
	if c != nil {
		before = &c.lineage
	} else {
		c = &chain{known: make(map[OpID]Outcome), acceptances: make(map[Digest]*AcceptanceState)}
	}
	held := c.heldAt(now, h.policy)
	v, err := before.Check(op, Env{
		Now: now, Policy: h.policy, InForce: c.inForce(), RecordAt: c.recordAt,
		Held: func(d Digest) (Disclosure, bool) { found, ok := held[d]; return found, ok },
	})
	if err != nil {
		return Outcome{}, err
	}
	h.records[op.ID] = c
	c.disclosures = held
	o := c.append(v)
	c.disclosures = c.heldAt(now, h.policy)
	return o, nil
}

// append puts what was checked at the end of the chain.
func (c *chain) append(v Verified) Outcome {
	op, next := v.Operation(), v.Next()
	c.lineage = next
	o := Outcome{ID: op.ID, Name: op.Name, Seq: op.Seq, Time: next.Updated}
	if op.Act == Erase { // DESIGN 6, rule 4: a tombstone stays, which knows its own name
		*c = chain{lineage: next, known: map[OpID]Outcome{op.Name: o}}
		return o
	}
	for _, u := range v.Undone() {
		c.operations[u.Seq].Undone = true
	}
	c.operations = append(c.operations, Accepted{Operation: op, Time: next.Updated})
	c.known[op.Name] = o
	for _, d := range op.Disclosures {
		c.disclosures[d.Digest] = d
	}
	return o
}

// heldAt are the disclosures that a record refers to which is in force, or which a recover at now could
// bring back (DESIGN 5).
func (c *chain) heldAt(now Millis, p *Policy) map[Digest]Disclosure {
	held := make(map[Digest]Disclosure)
	refers := func(seq uint64) {
		if r, err := c.recordAt(seq); err == nil && r != nil {
			for _, d := range r.Strands {
				if found, ok := c.disclosures[d]; ok {
					held[d] = found
				}
			}
		}
	}
	refers(c.lineage.RecordSeq)
	for _, s := range c.lineage.Undoable(now, p.Window()) {
		refers(s.Base)
	}
	return held
}

// recordAt is the record that the operation with this seq carried. Sequence numbers are counted from
// the create, 0, without gaps.
func (c *chain) recordAt(seq uint64) (*Record, error) {
	if seq >= uint64(len(c.operations)) {
		return nil, fail(NotFound, "%s has no operation %d", c.lineage.ID, seq)
	}
	return c.operations[seq].Operation.Record, nil
}

func (c *chain) inForce() *Record {
	r, err := c.recordAt(c.lineage.RecordSeq)
	if err != nil {
		return nil
	}
	return r
}

// Lineage is what the rules remember of a record; nil if there is none. Do not modify it; it is good
// until the next Submit.
func (h *History) Lineage(id ID) *Lineage {
	if c := h.records[id]; c != nil {
		return &c.lineage
	}
	return nil
}

// InForce is the record in force; nil if there is none, or it was erased.
func (h *History) InForce(id ID) *Record {
	if c := h.records[id]; c != nil {
		return c.inForce()
	}
	return nil
}

// Operations are all accepted operations in their order, undone ones too: the one at index i has seq i.
// Empty if there is no such record, or it was erased.
func (h *History) Operations(id ID) []Accepted {
	if c := h.records[id]; c != nil {
		return slices.Clone(c.operations)
	}
	return nil
}

// Held are the disclosures kept for a record as of its last operation, by ascending digest: those that the
// record in force refers to, and those of records that a recover could bring back.
func (h *History) Held(id ID) []Disclosure {
	c := h.records[id]
	if c == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(c.disclosures), func(a, b Disclosure) int { return cmp.Compare(a.Digest, b.Digest) })
}
