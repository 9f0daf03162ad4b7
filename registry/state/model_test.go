package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// model is the state as a reader of DESIGN 5 and 6 would write it down: Go maps of everything, the rules
// from package registry, and the rule on disclosures by its definition.
type model struct {
	policy  *registry.Policy
	records map[registry.ID]*modelRecord
	entries []EntryType
	last    registry.Millis
}

type modelRecord struct {
	lineage   *registry.Lineage
	ops       []*registry.Operation
	undone    map[uint64]bool
	disclosed map[registry.Digest]registry.Disclosure // held
	until     map[registry.Digest]registry.Millis     // of those not in force
	strands   map[registry.Digest]*registry.AcceptanceState
	acc       registry.Accreditation
	standing  registry.OrgStatus
}

func (r *modelRecord) record(seq uint64) *registry.Record { return r.ops[seq].Record }

func (r *modelRecord) inForce() *registry.Record {
	if r.lineage.Status == registry.Erased {
		return nil
	}
	return r.record(r.lineage.RecordSeq)
}

func (m *model) tick(now registry.Millis) registry.Millis { return max(now, m.last+1) }

func (m *model) enter(typ EntryType, now registry.Millis) registry.Millis {
	m.last = m.tick(now)
	m.entries = append(m.entries, typ)
	return m.last
}

// operation says what the state must say: nil when accepted.
func (m *model) operation(op *registry.Operation, now registry.Millis) (known bool, err error) {
	r := m.records[op.ID]
	if r != nil {
		erased := r.lineage.Status == registry.Erased
		if erased && op.Name == r.lineage.Head || !erased && op.Seq <= r.lineage.Seq && r.ops[op.Seq].Name == op.Name {
			return true, nil
		}
	}
	env := registry.Env{Now: m.tick(now), Policy: m.policy, Held: func(registry.Digest) (d registry.Disclosure, ok bool) { return }}
	var l *registry.Lineage
	if r != nil {
		l, env.InForce = r.lineage, r.inForce()
		env.RecordAt = func(seq uint64) (*registry.Record, error) { return r.record(seq), nil }
		env.Held = func(d registry.Digest) (registry.Disclosure, bool) {
			x, ok := r.disclosed[d]
			return x, ok && !r.over(d, env.Now)
		}
	}
	v, err := l.Check(op, env)
	if err != nil {
		return false, err
	}
	m.enter(actEntries[op.Act], now)
	next := v.Next()
	if r == nil {
		r = &modelRecord{undone: map[uint64]bool{}, disclosed: map[registry.Digest]registry.Disclosure{},
			until: map[registry.Digest]registry.Millis{}, strands: map[registry.Digest]*registry.AcceptanceState{}}
		m.records[op.ID] = r
	}
	r.lineage, r.ops = &next, append(r.ops, op)
	for _, s := range v.Undone() {
		r.undone[s.Seq] = true
	}
	if op.Act == registry.Erase {
		clear(r.disclosed)
		clear(r.strands)
		clear(r.until)
	}
	if op.Record != nil {
		m.hold(r, op)
		if op.Record.Kind == registry.Organisation {
			m.stand(r)
		}
	}
	return false, nil
}

// hold applies the rule on disclosures: those of the record in force, and those that a base of an operation
// that can be undone has.
func (m *model) hold(r *modelRecord, op *registry.Operation) {
	for d := range r.disclosed {
		if r.over(d, m.last) {
			delete(r.disclosed, d)
			delete(r.until, d)
		}
	}
	for _, d := range op.Disclosures {
		r.disclosed[d.Digest] = d
	}
	for d := range r.disclosed {
		if slices.Contains(op.Record.Strands, d) {
			delete(r.until, d)
			continue
		}
		var until registry.Millis
		for i, s := range r.lineage.Stack {
			if m.canUndo(r, r.lineage.Stack[i:]) && slices.Contains(r.record(s.Base).Strands, d) {
				until = max(until, s.Time.Add(m.policy.Window()))
			}
		}
		if r.until[d] = until; until == 0 {
			delete(r.disclosed, d)
			delete(r.until, d)
		}
	}
}

// canUndo asks for a key that outranks all who signed from the first of stack on, by its base.
func (m *model) canUndo(r *modelRecord, stack []registry.Standing) bool {
	base := r.record(stack[0].Base)
	return !slices.ContainsFunc(stack, func(s registry.Standing) bool { return base.Rank(s.Signer) == 0 })
}

// over reports whether nothing can bring d back any more.
func (r *modelRecord) over(d registry.Digest, now registry.Millis) bool {
	until, kept := r.until[d]
	return kept && until < now
}

func (m *model) stand(r *modelRecord) {
	var named *registry.Record
	if r.acc.Status == registry.OrgActive {
		named = r.record(r.acc.Seq)
	}
	if st := r.acc.Standing(r.inForce(), named); st != r.standing {
		r.standing = st
		m.entries = append(m.entries, standingEntries[st]) // of the same Raft entry, so at the same time
	}
}

// sweep is what each entry does.
func (m *model) sweep(now registry.Millis) {
	for _, r := range m.records {
		for d, until := range r.until {
			if until < now {
				delete(r.until, d)
				delete(r.disclosed, d)
			}
		}
	}
}

// compare checks everything that a reader of one record can see.
func (m *model) compare(t failer, s *Store) {
	t.Helper()
	for id, r := range m.records {
		v, err := s.Record(id)
		must(t, err)
		l := r.lineage
		if v.Status != l.Status || v.Head != l.Head || v.Seq != l.Seq || v.Created != l.Created || v.Updated != l.Updated || v.Kind != l.Kind {
			t.Fatalf("%s: %+v, want %+v", id, v, l)
		}
		if l.Status == registry.Erased {
			continue
		}
		final, _ := l.FinalAt(m.policy.Window())
		if string(v.RecordJSON) != string(r.ops[l.RecordSeq].RecordJSON()) || v.FinalAt != final {
			t.Fatalf("%s: another record or finalAt", id)
		}
		m.compareStrands(t, r, v)
		if o := v.Organisation; o != nil && (o.Standing != r.standing || o.Epoch != r.acc.Epoch) {
			t.Fatalf("%s: standing %s, want %s", id, o.Standing, r.standing)
		}
		m.compareHistory(t, s, id, r)
		rec, err := loadRecord(committed{s.db}, id)
		must(t, err)
		if int(rec.Kept) != len(r.until) {
			t.Fatalf("%s: %d disclosures are kept, want %d", id, rec.Kept, len(r.until))
		}
	}
	entries, err := s.Journal(0, len(m.entries)+1)
	must(t, err)
	var types []EntryType
	for _, e := range entries {
		types = append(types, e.Type)
	}
	if !slices.Equal(types, m.entries) {
		t.Fatalf("journal %v, want %v", types, m.entries)
	}
}

func (m *model) compareStrands(t failer, r *modelRecord, v *View) {
	t.Helper()
	n := 0
	for _, d := range r.inForce().Strands {
		want, ok := r.disclosed[d]
		got, shown := v.Disclosed(d)
		if ok != shown || ok && (got.Text != want.Text || (got.Acceptance == nil) != (r.strands[d] == nil) ||
			got.Acceptance != nil && *got.Acceptance != *r.strands[d]) {
			t.Fatalf("%s: strand %s is shown %v, want %v", v.ID, d, shown, ok)
		}
		if ok {
			n++
		}
	}
	if n != len(v.Strands) {
		t.Fatalf("%s: %d strands, want %d", v.ID, len(v.Strands), n)
	}
}

func (m *model) compareHistory(t failer, s *Store, id registry.ID, r *modelRecord) {
	t.Helper()
	entries, more, err := s.History(id, nil, len(r.ops)+1)
	must(t, err)
	if more || len(entries) != len(r.ops) {
		t.Fatalf("%s: history of %d, want %d", id, len(entries), len(r.ops))
	}
	for i, e := range entries {
		if e.Operation.Name != r.ops[i].Name || e.Undone != r.undone[uint64(i)] {
			t.Fatalf("%s: operation %d differs", id, i)
		}
		var held []registry.Digest
		for _, d := range e.Operation.Disclosures {
			held = append(held, d.Digest)
		}
		var want []registry.Digest
		if rec := r.ops[i].Record; rec != nil {
			for _, d := range rec.Strands {
				if _, ok := r.disclosed[d]; ok {
					want = append(want, d)
				}
			}
		}
		if !slices.Equal(held, want) {
			t.Fatalf("%s: operation %d shows %v, want %v", id, i, held, want)
		}
	}
}

// actor drives a world and a model with the same random acts.
type actor struct {
	*world
	m      *model
	rt     *rapid.T
	people []*person
	orgs   []*org
	spare  []registry.Disclosure // to be placed
	old    []*registry.Operation
}

func newActor(rt *rapid.T, fs vfs.FS) *actor {
	w := bareWorld(rt, openMem(rt, fs))
	a := &actor{world: w, rt: rt, m: &model{policy: w.s.Policy(), records: map[registry.ID]*modelRecord{}, last: w.s.LastTime()}}
	for _, name := range []string{"Vault", "Fault"} {
		o := &org{person: *newPerson(rt), sign: newKey(rt, jws.Ed25519), name: name, url: "https://vault.example/"}
		a.orgs = append(a.orgs, o)
		a.send(&o.person, w.op(&o.person, registry.Create, 0, "", o.orgRecord()))
	}
	return a
}

// send applies op to both and compares the verdicts; half of the time the op is checked as a leader does, else
// applied right away, as from a leader that has another state.
func (a *actor) send(p *person, op *registry.Operation) {
	a.rt.Helper()
	at := a.m.tick(a.now)
	known, want := a.m.operation(op, a.now)
	var r Result
	var err error
	if rapid.Bool().Draw(a.rt, "checked") {
		r, err = a.operation(op)
		if known || want != nil {
			r.Err = err // no entry was made, hence no sweep
		} else {
			a.m.sweep(at)
		}
	} else {
		r = a.propose(Command{Type: OperationCommand, Bytes: op.Bytes()})[0]
		a.m.sweep(at)
	}
	if err == nil {
		err = r.Err
	}
	if registry.KindOf(err) != registry.KindOf(want) || r.Known != known || (err == nil) != (want == nil) {
		a.rt.Fatalf("%s by %s: %v (known %v), want %v (known %v)", op.Act, op.Signer, err, r.Known, want, known)
	}
	if err == nil && !known && p != nil {
		p.id, p.head, p.seq, p.last = op.ID, op.Name, op.Seq, op
		a.old = append(a.old, op)
	}
}

// oneOf draws a number, so that a failing history prints short.
func oneOf[T any](t *rapid.T, from []T, label string) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, label)]
}

func (a *actor) pick() *person {
	if len(a.people) == 0 || len(a.people) < 6 && rapid.IntRange(0, 4).Draw(a.rt, "new") == 0 {
		return nil
	}
	return oneOf(a.rt, a.people, "person")
}

// some draws strands, old ones and new, and which disclosures to send.
func (a *actor) some(p *person) (ds []registry.Digest, sent []registry.Disclosure) {
	pool := a.spare
	for i := range rapid.IntRange(0, 3).Draw(a.rt, "strands") {
		var d registry.Disclosure
		if len(pool) > 0 && rapid.IntRange(0, 2).Draw(a.rt, "again") > 0 {
			d = oneOf(a.rt, pool, "strand")
		} else {
			d = a.strand(fmt.Sprintf("s%d", len(a.spare)%7), a.orgs[i%2].id)
			a.spare = append(a.spare, d)
		}
		if slices.Contains(ds, d.Digest) {
			continue
		}
		ds = append(ds, d.Digest)
		clash := slices.ContainsFunc(sent, func(x registry.Disclosure) bool { return x.Strand.ID == d.Strand.ID })
		if !clash && rapid.IntRange(0, 3).Draw(a.rt, "send") > 0 {
			sent = append(sent, d)
		}
	}
	return ds, sent
}

func (a *actor) act() {
	p := a.pick()
	if p == nil {
		p = newPerson(a.rt)
		p.keys = append(p.keys, newKey(a.rt, jws.Ed25519))
		ds, sent := a.some(p)
		a.send(p, a.op(p, registry.Create, 0, "", p.record(ds...), sent...))
		a.people = append(a.people, p)
		return
	}
	k := rapid.IntRange(0, len(p.keys)-1).Draw(a.rt, "key")
	switch rapid.IntRange(0, 9).Draw(a.rt, "act") {
	case 0:
		a.send(p, a.op(p, registry.Deactivate, k, "", nil))
	case 1:
		a.send(p, a.op(p, registry.Erase, k, "", nil))
	case 2, 3, 4:
		undo := p.head
		if l := a.m.records[p.id].lineage; len(l.Stack) > 0 {
			undo = oneOf(a.rt, l.Stack, "undo").Op
		}
		ds, sent := a.some(p)
		a.send(p, a.op(p, registry.Recover, k, undo, p.record(ds...), sent...))
	default:
		ds, sent := a.some(p)
		r := p.record(ds...)
		if rapid.IntRange(0, 5).Draw(a.rt, "rotate") == 0 { // the weaker make themselves stronger
			slices.Reverse(r.Rotation)
		}
		a.send(p, a.op(p, registry.Update, k, "", r, sent...))
	}
}

func (a *actor) actOrg() {
	o := oneOf(a.rt, a.orgs, "org")
	switch rapid.IntRange(0, 3).Draw(a.rt, "orgact") {
	case 0:
		o.name = strings.ToUpper(o.name)
		if rapid.Bool().Draw(a.rt, "rename") {
			o.name = "Vault"
		}
		a.send(&o.person, a.op(&o.person, registry.Update, rapid.IntRange(0, 1).Draw(a.rt, "key"), "", o.orgRecord()))
	case 1:
		if l := a.m.records[o.id].lineage; len(l.Stack) > 0 {
			a.send(&o.person, a.op(&o.person, registry.Recover, 0, oneOf(a.rt, l.Stack, "undo").Op, o.orgRecord()))
		}
	case 2:
		a.sendStatus(o)
	default:
		a.sendAcceptance(o)
	}
}

func (a *actor) sendStatus(o *org) {
	st := rapid.SampledFrom([]registry.OrgStatus{registry.OrgActive, registry.OrgActive, registry.OrgSuspended}).Draw(a.rt, "status")
	msg, err := registry.StatusContent{Sub: o.id, Head: o.head, Status: st, Epoch: 1, Iat: a.now.Unix()}.Sign(a.acc)
	must(a.rt, err)
	s, err := registry.ParseStatus([]byte(msg.Compact()))
	must(a.rt, err)
	r := a.m.records[o.id]
	at := a.m.tick(a.now)
	next, want := r.acc.Check(s, registry.StatusEnv{Now: a.m.tick(a.now), Policy: a.m.policy, Lineage: r.lineage, InForce: r.inForce(),
		Named: func(op registry.OpID) (uint64, *registry.Record, error) {
			return r.lineage.Seq, r.ops[r.lineage.Seq].Record, nil
		}})
	res, err := a.submit(a.s.CheckStatus(s, a.now))
	if res.Known {
		return
	}
	if registry.KindOf(err) != registry.KindOf(want) {
		a.rt.Fatalf("status: %v, want %v", err, want)
	}
	if err == nil {
		r.acc, r.standing = next, next.Status
		a.m.enter(standingEntries[st], a.now)
		a.m.sweep(at)
	}
}

func (a *actor) sendAcceptance(o *org) {
	if len(a.people) == 0 || len(a.spare) == 0 {
		return
	}
	p := oneOf(a.rt, a.people, "of")
	d := oneOf(a.rt, a.spare, "strand")
	acc := a.acceptanceOf(o, p.id, d.Digest, rapid.Bool().Draw(a.rt, "accept"))
	r := a.m.records[p.id]
	env := registry.AcceptanceEnv{Now: a.m.tick(a.now), Policy: a.m.policy, Passport: r.lineage, Provider: a.m.records[o.id].lineage, ProviderRecord: a.m.records[o.id].inForce()}
	if x, ok := r.disclosed[d.Digest]; ok && slices.Contains(r.inForce().Strands, d.Digest) {
		env.Strand = &x.Strand
	}
	at := a.m.tick(a.now)
	next, want := r.strands[d.Digest].Check(acc, env, false)
	res, err := a.submit(a.s.CheckAcceptance(acc, a.now))
	if res.Known {
		return
	}
	if registry.KindOf(err) != registry.KindOf(want) {
		a.rt.Fatalf("acceptance: %v, want %v", err, want)
	}
	if err == nil {
		r.strands[d.Digest] = &next
		typ := EntryWithdrawn
		if next.Accepted {
			typ = EntryAccepted
		}
		a.m.enter(typ, a.now)
		a.m.sweep(at)
	}
}

func (a *actor) pass() {
	a.now += rapid.SampledFrom([]registry.Millis{0, 1, 10, 1000, 3600_000, 10 * 3600_000, window, window + 1, window - 10}).Draw(a.rt, "pass")
}

func (a *actor) replay() {
	if len(a.old) > 0 {
		a.send(nil, oneOf(a.rt, a.old, "old"))
	}
}

func (a *actor) idle() {
	at := a.m.tick(a.now)
	a.propose(TickProposal().Command())
	a.m.sweep(at)
}

// random makes a history.
func (a *actor) random() {
	a.rt.Repeat(map[string]func(*rapid.T){
		"act":  func(*rapid.T) { a.act() },
		"act2": func(*rapid.T) { a.act() },
		"act3": func(*rapid.T) { a.act() },
		"org":  func(*rapid.T) { a.actOrg() },
		"org2": func(*rapid.T) { a.actOrg() },
		"pass": func(*rapid.T) { a.pass() },
		"old":  func(*rapid.T) { a.replay() },
		"idle": func(*rapid.T) { a.idle() },
	})
}

// Random histories through Apply agree with the model, the content hash with a scan, and the same
// entries cut into other batches and commits give the same bytes.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := newActor(rt, vfs.NewMem())
		defer a.s.Close()
		a.random()
		a.m.compare(rt, a.s)
		a.verify()
		want := dump(rt, a.s)

		other := openMem(rt, vfs.NewMem())
		defer other.Close()
		other.writer.limit = rapid.SampledFrom([]int{0, 5000, maxOverlay}).Draw(rt, "limit")
		for rest := a.log; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "cut")
			_, err := other.ApplyBatch(rest[:n])
			must(rt, err)
			rest = rest[n:]
		}
		sameDump(rt, "other batches", dump(rt, other), want)
		a.m.compare(rt, other)
	})
}
