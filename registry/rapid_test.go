package registry

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dcann/dcann/registry/jws"
)

// TestModel plays random histories, most of them attacks, against the rules and against the model, and
// compares every answer and everything that can be seen of the records.
func TestModel(tt *testing.T) {
	tt.Parallel()
	rapid.Check(tt, func(t *rapid.T) {
		p := newPlay(tt)
		t.Repeat(map[string]func(*rapid.T){
			"create":    func(t *rapid.T) { p.operation(t, Create) },
			"update":    func(t *rapid.T) { p.operation(t, Update) },
			"update 2":  func(t *rapid.T) { p.operation(t, Update) },
			"recover":   func(t *rapid.T) { p.operation(t, Recover) },
			"recover 2": func(t *rapid.T) { p.operation(t, Recover) },
			"stop":      func(t *rapid.T) { p.operation(t, Deactivate) },
			"erase":     func(t *rapid.T) { p.operation(t, Erase) },
			"replay":    p.replay,
			"burst":     p.burst,
			"wait":      p.wait,
			"":          p.compare,
		})
	})
}

// play is a random history as it goes on.
type play struct {
	tb      testing.TB
	m       *model
	h       *History
	now     Millis
	ids     []ID
	raws    [][]byte // of all operations accepted
	ops     map[string]*modelOp
	signers map[string]testKey
	strands []Disclosure
}

// Few names, so that they meet often. "x" is the id of two strands and may be that of a key.
var playNames = []string{"a", "b", "c", "d"}

func newPlay(tb testing.TB) *play {
	p := &play{
		tb: tb, h: NewHistory(policy(tb, "fr")), now: start, signers: make(map[string]testKey), ops: make(map[string]*modelOp),
		m: &model{country: "fr", records: make(map[ID]*modelRecord)},
	}
	for _, name := range playNames {
		p.signers[name] = key(tb, name)
	}
	for _, s := range []struct{ id, path string }{{"x", "1"}, {"x", "2"}, {"y", "3"}} {
		st := strand(s.id, Granted)
		st.Path = s.path
		p.strands = append(p.strands, disclosure(tb, st))
	}
	return p
}

// mostly is usual seven times of eight.
func mostly[T any](t *rapid.T, label string, usual T, others ...T) T {
	if seldom(t, label+" unusual") {
		return rapid.SampledFrom(others).Draw(t, label)
	}
	return usual
}

// seldom is true once in eight times. Ranges would prefer small numbers.
func seldom(t *rapid.T, label string) bool {
	for range 3 {
		if !rapid.Bool().Draw(t, label) {
			return false
		}
	}
	return true
}

// record is a random record of a valid form.
func (p *play) record(t *rapid.T) *Record {
	if seldom(t, "organisation") {
		return organisation(p.tb, "a b", "Vault")
	}
	r := &Record{Kind: Passport}
	perm := rapid.Permutation(playNames).Draw(t, "rotation")
	for _, name := range perm[:mostly(t, "keys", 3, 1, 2, 4)] {
		r.Rotation = append(r.Rotation, p.signers[name].multikey())
	}
	if rapid.Bool().Draw(t, "listed") {
		k := Key{ID: mostly(t, "key id", "grant-1", "x"), Key: key(p.tb, "grant-1").multikey(), Use: []Use{UseGrant}}
		if rapid.Bool().Draw(t, "retired") {
			k.Retired = new(mostly(t, "when", start.Unix(), p.now.Unix(), p.now.Unix()+1))
		}
		r.Keys = append(r.Keys, k)
	}
	for _, d := range p.strands {
		if rapid.Bool().Draw(t, "strand") {
			r.Strands = append(r.Strands, d.Digest)
		}
	}
	return r
}

// content is an operation that would extend the record, but for what is drawn to be wrong.
func (p *play) content(t *rapid.T, act Act) Content {
	c := Content{Act: act, Iat: p.now.Unix() + mostly(t, "iat", int64(0), 600, -600, 601, -601)}
	if members[act].record {
		c.Record = p.record(t)
	}
	if act == Create {
		c.Country = mostly(t, "country", Country("fr"), "de")
		return c
	}
	if len(p.ids) == 0 {
		c.ID, c.Prev, c.Seq = NewID("fr", OpIDOf([32]byte{})), OpIDOf([32]byte{}), 1
		c.Undo = c.Prev
		return c
	}
	c.ID = rapid.SampledFrom(p.ids).Draw(t, "id")
	r := p.m.records[c.ID]
	if act == Recover && len(r.stack) == 1 && !seldom(t, "nothing to undo") {
		act, c.Act = Update, Update
	}
	names := []OpID{OpIDOf([32]byte{})}
	for _, o := range r.accepted {
		names = append(names, o.name)
	}
	c.Prev = mostly(t, "prev", r.last().name, names...)
	c.Seq = r.last().Seq + mostly(t, "seq", uint64(1), 2, 3)
	if act == Recover {
		at := rapid.IntRange(min(1, len(r.stack)-1), len(r.stack)-1).Draw(t, "standing")
		c.Undo = mostly(t, "undo", r.stack[at].name, names...)
		if base := r.stack[at].base; base != nil && rapid.Bool().Draw(t, "back to the base") {
			c.Record = base.Record
		}
	}
	return c
}

// signer is mostly a key that stands in the rotation that c is judged by.
func (p *play) signer(t *rapid.T, c Content) testKey {
	record := c.Record
	if r := p.m.records[c.ID]; r != nil && !r.erased {
		record = r.inForce().Record
		if at := r.place(c.Undo); at > 0 {
			record = r.stack[at].base.Record
			if rapid.Bool().Draw(t, "by the strongest") {
				return p.signed(record.Rotation[0])
			}
		}
	}
	name := rapid.SampledFrom(playNames).Draw(t, "signer")
	if record == nil {
		return p.signers[name]
	}
	return p.signed(mostly(t, "by", rapid.SampledFrom(record.Rotation).Draw(t, "entitled"), p.signers[name].multikey()))
}

// signed finds the signer of a key.
func (p *play) signed(k jws.Multikey) testKey {
	for _, signer := range p.signers {
		if signer.multikey() == k {
			return signer
		}
	}
	panic("no such key: " + k)
}

func (p *play) operation(t *rapid.T, act Act) {
	if len(p.ids) == 0 && !seldom(t, "too early") {
		act = Create
	}
	if len(p.ids) > 1 && act == Create && !seldom(t, "one more") {
		act = Update
	}
	c := p.content(t, act)
	op := &modelOp{forged: seldom(t, "forged"), sent: make(map[Digest]string)}
	var ds []Disclosure
	taken := make(map[string]bool) // what collides within an operation is refused by its form already
	if c.Record != nil {
		for _, k := range c.Record.Keys {
			taken[k.ID] = true
		}
		for _, d := range p.strands {
			if slices.Contains(c.Record.Strands, d.Digest) && !taken[d.Strand.ID] && rapid.Bool().Draw(t, "sent") {
				ds, taken[d.Strand.ID] = append(ds, d), true
				op.sent[d.Digest] = d.Strand.ID
			}
		}
	}
	signer := p.signer(t, c)
	op.signer = string(signer.multikey())
	raw := p.sign(signer, c, op.forged, ds)
	p.submit(t, raw, op)
}

// burst uses up quotas: updates by the first key of a record, one after the other.
func (p *play) burst(t *rapid.T) {
	if len(p.ids) == 0 || !seldom(t, "burst") {
		return
	}
	id := rapid.SampledFrom(p.ids).Draw(t, "id")
	r := p.m.records[id]
	if r.erased || r.top().Act == Deactivate {
		return
	}
	first := r.inForce().Record.Rotation[0]
	for range rapid.IntRange(1, 11).Draw(t, "updates") {
		c := Content{Act: Update, ID: id, Prev: r.last().name, Seq: r.last().Seq + 1, Iat: p.now.Unix(), Record: r.inForce().Record}
		p.submit(t, p.sign(p.signed(first), c, false, nil), &modelOp{signer: string(first)})
		p.now++
	}
}

func (p *play) sign(k testKey, c Content, forged bool, ds []Disclosure) []byte {
	msg := must(jws.Sign(k, string(k.multikey()), TypOperation, must(c.encode())(p.tb)))(p.tb)
	if forged {
		header, payload, sig := msg.Parts()
		sig = bytes.Clone(sig)
		sig[0] ^= 1
		msg = jws.FromParts(header, payload, sig)
	}
	return AppendOperation(nil, msg, ds)
}

// submit gives an operation to both and compares the answers.
func (p *play) submit(t *rapid.T, raw []byte, mo *modelOp) {
	op, err := ParseOperation(raw)
	if err != nil {
		t.Fatalf("%v", err)
	}
	mo.Content, mo.name = op.Content, op.Name
	want := p.m.submit(mo, p.now)
	o, err := p.h.Submit(op, p.now)
	got := Kind("")
	switch {
	case err != nil:
		got = KindOf(err)
	case o.Known:
		got = modelKnown
	}
	if got != want {
		t.Fatalf("%s by %s at %d: got %q (%v), the model says %q", op.Act, op.Signer, p.now, got, err, want)
	}
	t.Logf("%s seq %d: %q", op.Act, op.Seq, got)
	if want != "" {
		return
	}
	p.raws = append(p.raws, raw)
	p.ops[string(raw)] = mo
	if op.Act == Create {
		p.ids = append(p.ids, op.ID)
	}
	p.now++
}

func (p *play) replay(t *rapid.T) {
	if len(p.raws) == 0 {
		return
	}
	raw := rapid.SampledFrom(p.raws).Draw(t, "replayed")
	again := *p.ops[string(raw)]
	p.submit(t, raw, &again)
}

// wait moves the clock, often to where something ends, and 1 ms to either side.
func (p *play) wait(t *rapid.T) {
	edges := []Millis{p.now.Add(time.Duration(rapid.IntRange(1, 100*3600*1000).Draw(t, "ms")) * time.Millisecond)}
	if rapid.Bool().Draw(t, "shortly") {
		p.now = p.now.Add(time.Minute)
		return
	}
	for _, id := range p.ids {
		for _, o := range p.m.records[id].accepted {
			for _, period := range []time.Duration{time.Hour, 24 * time.Hour, 72 * time.Hour, 72 * time.Hour} {
				if edge := o.time.Add(period); edge > p.now {
					edges = append(edges, edge-1, edge, edge+1)
				}
			}
		}
	}
	p.now = max(p.now, rapid.SampledFrom(edges).Draw(t, "until"))
}

// compare looks at everything that can be seen of the records.
func (p *play) compare(t *rapid.T) {
	for _, id := range p.ids {
		r, l := p.m.records[id], p.h.Lineage(id)
		status := Active
		switch {
		case r.erased:
			status = Erased
		case r.top().Act == Deactivate:
			status = Deactivated
		}
		if l.Status != status || l.Head != r.last().name || l.Seq != r.last().Seq || l.Updated != r.last().time {
			t.Fatalf("%+v: the model says %s, %+v", l, status, r.last())
		}
		if final, _ := l.FinalAt(DefaultRecoveryWindow); final != r.finalAt(p.now) && max(final, r.finalAt(p.now)) >= p.now {
			t.Fatalf("final at %d: the model says %d, at %d", final, r.finalAt(p.now), p.now)
		}
		var held []Digest
		for _, d := range p.h.Held(id) {
			held = append(held, d.Digest)
		}
		if !slices.Equal(held, slices.Sorted(maps.Keys(r.held))) {
			t.Fatalf("holds %v: the model says %v", held, r.held)
		}
		if r.erased {
			continue
		}
		if got, want := text(t, p.h.InForce(id)), text(t, r.inForce().Record); got != want || l.RecordSeq != r.inForce().Seq {
			t.Fatalf("in force is %d %s: the model says %d %s", l.RecordSeq, got, r.inForce().Seq, want)
		}
		standing := make(map[OpID]bool)
		for _, o := range r.stack {
			standing[o.name] = true
		}
		for i, a := range p.h.Operations(id) {
			if a.Undone == standing[a.Operation.Name] || a.Operation.Name != r.accepted[i].name {
				t.Fatalf("operation %d, undone %v: the model has %s standing %v", i, a.Undone, r.accepted[i].name, standing)
			}
		}
	}
}

func text(t *rapid.T, r *Record) string {
	b, err := encodeJSON(r.form())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
