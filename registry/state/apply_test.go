package state

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

func TestBeforeThePolicy(t *testing.T) {
	t.Parallel()
	s := openMem(t, vfs.NewMem())
	defer s.Close()
	w := &world{t: t, s: s, now: start}
	p := newPerson(t)
	op := w.op(p, registry.Create, 0, "", p.record())
	_, _, err := s.CheckOperation(op, w.now)
	if !errors.Is(err, registry.Unavailable) || err.Error() != "registry has no policy yet" {
		t.Errorf("check: %v", err)
	}
	if r := w.propose(Command{Type: OperationCommand, Bytes: op.Bytes()})[0]; !errors.Is(r.Err, registry.Unavailable) {
		t.Errorf("apply: %v", r.Err)
	}
	if s.Policy() != nil || s.NextPosition() != 0 || s.Level() != 1 {
		t.Error("something was written")
	}
}

func TestCreateAndReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	p := newPerson(t)
	rec := p.record(registry.PadStrands([]registry.Digest{d.Digest})...)
	op := w.op(p, registry.Create, 0, "", rec, d)
	first := w.do(p, op)
	if first.ID != op.ID || first.Op != op.Name || first.Seq != 0 || first.Known || first.Position != 3 {
		t.Errorf("result %+v", first)
	}
	v := w.record(op.ID)
	if v.Kind != registry.Passport || v.Status != registry.Active || v.Head != op.Name || v.Seq != 0 || v.Position != 3 ||
		v.Created != v.Updated || v.Version != op.Name || string(v.RecordJSON) != string(op.RecordJSON()) ||
		!slices.Equal(v.Rotation, rec.Rotation) || len(v.Keys) != 1 || v.Keys[0].ID != "grant-1" || v.FinalAt != 0 {
		t.Errorf("view %+v", v)
	}
	if len(v.Strands) != 1 || v.Strands[0].Text != d.Text || v.Strands[0].Digest != d.Digest ||
		v.Strands[0].Strand.Path != d.Strand.Path || v.Strands[0].Withheld != registry.NotAccepted || v.Strands[0].Endpoints != nil {
		t.Errorf("strands %+v", v.Strands)
	}
	again := w.ok(w.operation(op))
	if want := first; !again.Known || again.Position != want.Position || again.Op != want.Op {
		t.Errorf("again: %+v", again)
	}
	w.now += 365 * 24 * 3600 * 1000
	if again := w.ok(w.operation(op)); !again.Known {
		t.Error("a known operation is judged by its age")
	}
	w.verify()
}

func TestAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	p := w.create(d)
	before := w.record(p.id)
	r := w.ok(w.acceptance(o, p.id, d.Digest, true))
	if r.Seq != 0 || r.ID != p.id {
		t.Errorf("result %+v", r)
	}
	if w.s.Current(before.Stamp) {
		t.Error("the view before the acceptance is current")
	}
	v := w.record(p.id)
	if s := v.Strands[0]; s.Withheld != "" || len(s.Endpoints) != 1 || s.Strand.Endpoint(s.Endpoints[0]) != "https://vault.example/s/purchases/" {
		t.Errorf("strand %+v", s)
	}
	if v.Position != r.Position || !w.s.Current(v.Stamp) {
		t.Errorf("position %d, want %d", v.Position, r.Position)
	}
	w.now += 1000
	w.ok(w.acceptance(o, p.id, d.Digest, false))
	if s := w.record(p.id).Strands[0]; s.Withheld != registry.Withdrawn || s.Acceptance.Count != 2 {
		t.Errorf("withdrawn: %+v", s)
	}
	stranger := w.provider("Other")
	a := w.acceptanceOf(stranger, p.id, d.Digest, true)
	_, _, err := w.s.CheckAcceptance(a, w.now)
	w.refused(registry.Forbidden, Result{}, err)
	w.refused(registry.NotFound, Result{}, second(w.acceptance(o, p.id, registry.NewDecoy(), true)))
	w.verify()
}

func second[A, B any](_ A, b B) B { return b }

// A provider's move and its suspension show in every strand placed with it, and make cached views old.
func TestProviderMovesAndIsSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	p := w.create(d)
	w.ok(w.acceptance(o, p.id, d.Digest, true))
	v := w.record(p.id)
	o.url = "https://elsewhere.example/"
	w.do(&o.person, w.op(&o.person, registry.Update, 0, "", o.orgRecord()))
	if w.s.Current(v.Stamp) {
		t.Error("a view with the old endpoint is current")
	}
	v = w.record(p.id)
	if got := v.Strands[0].Endpoints; len(got) != 1 || got[0].URL != o.url {
		t.Errorf("endpoints %v", got)
	}
	w.now += 1000
	w.ok(w.status(o.id, o.head, registry.OrgSuspended, 1))
	if w.s.Current(v.Stamp) {
		t.Error("a view with a suspended provider's endpoint is current")
	}
	if got := w.record(p.id).Strands[0]; got.Withheld != registry.ProviderSuspended || got.Endpoints != nil {
		t.Errorf("suspended: %+v", got)
	}
	w.verify()
}

func TestStandingOfOrganisations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.organisation("Vault")
	standing := func(want registry.OrgStatus) {
		t.Helper()
		if got := w.record(o.id).Organisation.Standing; got != want {
			t.Fatalf("standing %s, want %s", got, want)
		}
	}
	standing(registry.OrgPending)
	accredited := w.ok(w.status(o.id, o.head, registry.OrgActive, 1))
	standing(registry.OrgActive)
	w.now += 1000
	o.name = "Fault"
	renamed := w.op(&o.person, registry.Update, 1, "", o.orgRecord())
	w.do(&o.person, renamed)
	standing(registry.OrgPending)
	o.name = "Vault"
	w.now += 1000
	w.do(&o.person, w.op(&o.person, registry.Recover, 0, renamed.Name, o.orgRecord()))
	standing(registry.OrgActive)
	w.now += 1000
	w.refused(registry.Conflict, Result{}, second(w.status(o.id, renamed.Name, registry.OrgActive, 1)))
	w.ok(w.status(o.id, o.head, registry.OrgRevoked, 2))
	standing(registry.OrgRevoked)
	w.refused(registry.Conflict, Result{}, second(w.status(o.id, o.head, registry.OrgActive, 2)))

	entries, err := w.s.Journal(0, 100)
	must(t, err)
	var got []EntryType
	seqs := map[bool]uint64{}
	for _, e := range entries {
		got = append(got, e.Type)
		isStanding := e.Type >= EntryActive && e.Type <= EntryPending
		if e.ID != o.id || e.Subject != o.id.Subject() || e.Seq != seqs[isStanding] || len(e.Object) == 0 {
			t.Errorf("entry %+v", e)
		}
		seqs[isStanding]++
	}
	want := []EntryType{EntryCreate, EntryPending, EntryActive, EntryUpdate, EntryPending, EntryRecover, EntryActive, EntryRevoked}
	if !slices.Equal(got, want) {
		t.Errorf("types %v, want %v", got, want)
	}
	if again := w.ok(w.submit(Proposal{}, &Result{Known: true}, nil)); !again.Known {
		t.Error("harness")
	}
	if accredited.Position != 2 {
		t.Errorf("accredited at %d", accredited.Position)
	}
	w.verify()
}

// Every entry's commitment opens with its salt, its time is later than the one before, and its leaf holds
// what it says.
func TestJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	grown := w.s.Grown()
	o := w.provider("Vault")
	select {
	case <-grown:
	default:
		t.Error("nobody was told that the journal grows")
	}
	d := w.strand("purchases", o.id)
	p := w.create(d)
	op := p.last
	w.now += 1000
	w.do(p, w.op(p, registry.Update, 0, "", p.record(d.Digest)))
	w.ok(w.acceptance(o, p.id, d.Digest, true))
	entries, err := w.s.Journal(0, 100)
	must(t, err)
	if len(entries) != 6 || w.s.NextPosition() != 6 {
		t.Fatalf("%d entries", len(entries))
	}
	for i, e := range entries {
		if e.Position != uint64(i) || i > 1 && e.Time <= entries[i-1].Time {
			t.Errorf("entry %d: position %d, time %d", i, e.Position, e.Time)
		}
		if e.Salt == nil || e.ID != "" && commitmentOf(*e.Salt, string(e.Object)) != e.Commitment {
			t.Errorf("entry %d: the commitment does not open", i)
		}
	}
	if entries[0].Time != entries[1].Time {
		t.Errorf("two entries of one command are at %d and %d", entries[0].Time, entries[1].Time)
	}
	create := entries[3]
	if create.ID != "" || create.Object != nil || create.Subject != p.id.Subject() || create.Type != EntryCreate ||
		commitmentOf(*create.Salt, op.Message().Compact()) != create.Commitment {
		t.Errorf("a passport's entry: %+v", create)
	}
	if e := entries[5]; e.Subject != d.Subject(p.id) || e.Type != EntryAccepted || e.Seq != 0 {
		t.Errorf("a strand's entry: %+v", e)
	}
	leaf := create.Leaf()
	if leaf[0] != 1 || leaf[1] != 1 || registry.SubjectKey(leaf[2:34]) != create.Subject || [32]byte(leaf[50:]) != create.Commitment {
		t.Errorf("leaf %x", leaf)
	}
	some, err := w.s.Journal(4, 1)
	must(t, err)
	if len(some) != 1 || some[0].Position != 4 {
		t.Errorf("from 4: %+v", some)
	}
	if entries[0].Salt == entries[1].Salt || *entries[0].Salt == *entries[1].Salt {
		t.Error("two entries of one command have the same salt")
	}
}

// However many commands come at once, registry time stays with the leader's clock: running ahead of it,
// it would refuse every iat and shift every recovery window.
func TestTimeKeepsPaceUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := &synthetic{rng: rand.NewChaCha8([32]byte{9}), iat: w.now.Unix(), providers: []registry.ID{w.provider("Vault").id}}
	began := w.s.LastTime()
	var entries []Entry
	index, term := w.s.Applied()
	for i := range 3 {
		b := Batch{Time: began + 1 + registry.Millis(i)}
		for range 50 {
			b.Commands = append(b.Commands, Command{Type: OperationCommand, Bytes: g.create()})
		}
		data, err := b.Encode()
		must(t, err)
		index++
		entries = append(entries, Entry{Index: index, Term: term, Data: data})
	}
	results, err := w.s.ApplyBatch(entries)
	must(t, err)
	for _, r := range slices.Concat(results...) {
		must(t, r.Err)
	}
	if got := w.s.LastTime(); got != began+3 {
		t.Errorf("150 commands in 3 entries of 1 ms moved registry time by %d ms", got-began)
	}
}

func commitmentOf(salt [32]byte, jws string) [32]byte {
	return sum256(append(salt[:], jws...))
}

func TestHistoryAndVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	one, two := w.strand("one", o.id), w.strand("two", o.id)
	p := w.create(one)
	created := p.last
	w.now += 60_000
	update := w.op(p, registry.Update, 1, "", p.record(two.Digest), two)
	w.do(p, update)
	w.now += 60_000
	gone := w.op(p, registry.Deactivate, 1, "", nil)
	w.do(p, gone)
	if v := w.record(p.id); v.Status != registry.Deactivated || v.Version != gone.Name || v.FinalAt == 0 || len(v.Strands) != 1 {
		t.Errorf("deactivated: %+v", v)
	}
	w.refused(registry.Gone, Result{}, second(w.operation(w.op(p, registry.Update, 0, "", p.record()))))
	w.now += 60_000
	rescue := w.op(p, registry.Recover, 0, update.Name, p.record(one.Digest))
	w.do(p, rescue)

	entries, more, err := w.s.History(p.id, nil, 10)
	must(t, err)
	if len(entries) != 4 || more {
		t.Fatalf("%d operations", len(entries))
	}
	for i, want := range []struct {
		op     *registry.Operation
		undone bool
	}{{created, false}, {update, true}, {gone, true}, {rescue, false}} {
		e := entries[i]
		if e.Seq != uint64(i) || e.Undone != want.undone || e.Operation.Name != want.op.Name ||
			e.Operation.Message().Compact() != want.op.Message().Compact() {
			t.Errorf("operation %d: %s undone %v", i, e.Operation.Act, e.Undone)
		}
	}
	if n := len(entries[0].Operation.Disclosures); n != 1 {
		t.Errorf("create has %d disclosures", n)
	}
	if n := len(entries[1].Operation.Disclosures); n != 0 {
		t.Errorf("an undone operation's own disclosure is held")
	}
	seq := uint64(1)
	if entries, more, err = w.s.History(p.id, &seq, 1); err != nil || !more || len(entries) != 1 || entries[0].Seq != 2 {
		t.Errorf("page: %v %v %v", entries, more, err)
	}

	for _, c := range []struct {
		op     *registry.Operation
		status registry.Status
		next   registry.OpID
		undone bool
	}{{created, registry.Active, update.Name, false}, {update, registry.Active, gone.Name, true},
		{gone, registry.Deactivated, rescue.Name, true}, {rescue, registry.Active, "", false}} {
		v, err := w.s.RecordAtVersion(p.id, c.op.Name)
		must(t, err)
		if v.Version != c.op.Name || v.Status != c.status || v.NextVersion != c.next || v.Undone != c.undone || v.Head != rescue.Name {
			t.Errorf("version %s: %+v", c.op.Act, v)
		}
		at, err := w.s.RecordAtTime(p.id, v.VersionTime)
		must(t, err)
		if at.Version != c.op.Name {
			t.Errorf("at the time of %s: %s", c.op.Act, at.Version)
		}
	}
	v, err := w.s.RecordAtTime(p.id, entries[0].Time-1)
	must(t, err)
	if v.Version != update.Name {
		t.Errorf("a moment before: %s", v.Version)
	}
	_, err = w.s.RecordAtTime(p.id, start-1)
	w.refused(registry.NotFound, Result{}, err)
	_, err = w.s.RecordAtVersion(p.id, o.head)
	w.refused(registry.NotFound, Result{}, err)
	w.verify()
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create()
	stale := w.op(p, registry.Update, 0, "", p.record())
	w.now += 1000
	w.do(p, w.op(p, registry.Update, 0, "", p.record()))
	_, err := w.operation(stale)
	var e *registry.Error
	if !errors.As(err, &e) || e.Kind != registry.Conflict || e.Head != p.head {
		t.Errorf("stale: %v", err)
	}
	stranger := newPerson(t)
	stranger.id, stranger.head, stranger.seq = p.id, p.head, p.seq
	w.refused(registry.Forbidden, Result{}, second(w.operation(w.op(stranger, registry.Update, 0, "", stranger.record()))))
	old := w.op(p, registry.Update, 0, "", p.record())
	w.now += 11 * 60_000
	w.refused(registry.Invalid, Result{}, second(w.operation(old)))
	ghost := newPerson(t)
	ghost.id, ghost.head = registry.NewID(testCountry, p.head), p.head
	w.refused(registry.NotFound, Result{}, second(w.operation(w.op(ghost, registry.Update, 0, "", ghost.record()))))
	_, err = w.s.Record(ghost.id)
	w.refused(registry.NotFound, Result{}, err)
	_, err = w.s.Record("did:dcann:")
	w.refused(registry.NotFound, Result{}, err)
	foreign := newPerson(t)
	c := registry.Content{Act: registry.Create, Country: "qz", Iat: w.now.Unix(), Record: foreign.record()}
	op, err := c.Sign(foreign.keys[0])
	must(t, err)
	w.refused(registry.Misdirected, Result{}, second(w.operation(op)))
	for range 8 {
		w.do(p, w.op(p, registry.Update, 0, "", p.record()))
	}
	_, err = w.operation(w.op(p, registry.Update, 0, "", p.record()))
	if !errors.As(err, &e) || e.Kind != registry.Quota || e.RetryAfter <= 0 || e.RetryAfter > time.Hour {
		t.Errorf("quota: %v", err)
	}
	w.verify()
}

// What Apply judges, it judges alone: a proposer that is behind cannot slip anything past it.
func TestApplyJudgesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create()
	a := w.op(p, registry.Update, 0, "", p.record())
	b := w.op(p, registry.Update, 1, "", p.record())
	var commands []Command
	for _, op := range []*registry.Operation{a, b, a} {
		c, known, err := w.s.CheckOperation(op, w.now)
		must(t, err)
		if known != nil {
			t.Fatal("known")
		}
		commands = append(commands, c.Command())
	}
	got := w.propose(commands...)
	if got[0].Err != nil || !errors.Is(got[1].Err, registry.Conflict) || got[2].Err != nil || !got[2].Known || got[2].Position != got[0].Position {
		t.Errorf("%+v", got)
	}
	w.verify()
}

func TestPinMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.provider("Vault")
	d := w.strand("purchases", o.id)
	p := w.create(d)
	prop, _, err := w.s.CheckAcceptance(w.acceptanceOf(o, p.id, d.Digest, true), w.now)
	must(t, err)
	w.do(&o.person, w.op(&o.person, registry.Update, 0, "", o.orgRecord()))
	if r := w.propose(prop.Command())[0]; !r.Moved || r.Err == nil || r.Known {
		t.Errorf("%+v", r)
	}
	if w.record(p.id).Strands[0].Acceptance != nil {
		t.Error("it was accepted all the same")
	}
	c := prop.Command()
	c.Pins = nil
	if r := w.propose(c)[0]; !errors.Is(r.Err, registry.Invalid) {
		t.Errorf("without a pin: %+v", r)
	}
	a := w.acceptanceOf(o, p.id, d.Digest, true)
	first := w.ok(w.submit(w.s.CheckAcceptance(a, w.now)))
	again := w.ok(w.submit(w.s.CheckAcceptance(a, w.now)))
	if !again.Known || again.Position != first.Position || again.ID != p.id {
		t.Errorf("again %+v", again)
	}
}

func TestMalformedCommandsAreInvalidEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, typ := range []CommandType{OperationCommand, StatusCommand, AcceptanceCommand, PolicyCommand, LevelCommand} {
		for _, b := range []string{"", "x", "a.b.c~", strings.Repeat("A", 40_000)} {
			r := w.propose(Command{Type: typ, Bytes: []byte(b)})[0]
			if !errors.Is(r.Err, registry.Invalid) && !errors.Is(r.Err, registry.TooLarge) {
				t.Errorf("%d %.8q: %v", typ, b, r.Err)
			}
		}
	}
	w.verify()
}

func TestEntriesThatStopANode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, err := (&Batch{Time: w.now, Commands: []Command{{Type: TickCommand}}}).Encode()
	must(t, err)
	newer := append([]byte{2}, good[1:]...)
	command, err := (&Batch{Time: w.now, Commands: []Command{{Type: 77}}}).Encode()
	must(t, err)
	level, err := (&Batch{Time: w.now, Commands: []Command{{Type: LevelCommand, Bytes: levelBytes(2)}}}).Encode()
	must(t, err)
	before := dump(t, w.s)
	for name, data := range map[string][]byte{"version": newer, "command": command, "level": level} {
		_, err := w.s.ApplyBatch([]Entry{{Index: w.index + 1, Term: 1, Data: good}, {Index: w.index + 2, Term: 1, Data: data}})
		var unknown *UnknownVersionError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "upgrade this node") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.s.ApplyBatch([]Entry{{Index: w.index + 1, Data: []byte{1, 0xff}}}); err == nil {
		t.Error("a damaged entry was applied")
	}
	sameDump(t, "after entries that stop a node", dump(t, w.s), before)
	w.propose(Command{Type: TickCommand}) // and it can go on with good ones
}

func TestSkippedEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create()
	before := dump(t, w.s)
	results, err := w.s.ApplyBatch(append(slices.Clone(w.log), Entry{Index: 1, Configuration: true}))
	must(t, err)
	if len(results) != len(w.log)+1 || len(results[0]) != 1 || !errors.Is(results[1][0].Err, registry.Unavailable) || results[2] != nil {
		t.Errorf("%+v", results)
	}
	sameDump(t, "entries applied twice", dump(t, w.s), before)
}

func TestPolicyChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := *w.s.Policy()
	key := newKey(t, jws.ES256)
	next.Version, next.Accreditation, next.PerHour = 2, []jws.Multikey{key.Public().Multikey()}, 1
	w.refused(registry.Forbidden, Result{}, second(w.policy(next, key)))
	msg, err := next.Sign(w.acc)
	must(t, err)
	r := w.ok(w.submit(w.s.CheckPolicy([]byte(msg.Compact()))))
	if r.Seq != 2 || w.s.Policy().PerHour != 1 {
		t.Errorf("%+v", r)
	}
	if again := w.ok(w.submit(w.s.CheckPolicy([]byte(msg.Compact())))); !again.Known || again.Seq != 2 {
		t.Errorf("%+v", again)
	}
	fork := next
	fork.PerHour = 5
	w.refused(registry.Conflict, Result{}, second(w.policy(fork, w.acc)))
	p := w.create()
	w.refused(registry.Quota, Result{}, second(w.operation(w.op(p, registry.Update, 0, "", p.record()))))
	other := next
	other.Version, other.Country = 3, "qn"
	w.refused(registry.Forbidden, Result{}, second(w.policy(other, key)))
	w.verify()
}

// TestKnownPolicy submits policies that are known by their names: only the one in force, rightly signed, is known.
func TestKnownPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	signed := func(p registry.Policy) (text, forged []byte) {
		msg, err := p.Sign(w.acc)
		must(t, err)
		header, payload, sig := msg.Parts()
		bad := slices.Clone(sig)
		bad[0] ^= 1
		return []byte(msg.Compact()), []byte(jws.FromParts(header, payload, bad).Compact())
	}
	second, third := *w.s.Policy(), *w.s.Policy()
	second.Version, third.Version = 2, 3
	text, forged := signed(second)
	w.ok(w.submit(w.s.CheckPolicy(text)))
	_, known, err := w.s.CheckPolicy(text)
	must(t, err)
	if known == nil || !known.Known || known.Seq != 2 || known.Index != w.index {
		t.Errorf("the policy in force again: %+v", known)
	}
	check := func(kind registry.Kind, raw []byte, says string) {
		t.Helper()
		_, known, err := w.s.CheckPolicy(raw)
		if !errors.Is(err, kind) || known != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %+v, %v: expected a refusal of kind %s that says %q", known, err, kind, says)
		}
	}
	check(registry.BadSignature, forged, "")
	next, _ := signed(third)
	w.ok(w.submit(w.s.CheckPolicy(next)))
	check(registry.Conflict, text, "policy.version is 2: it was in force once, and version 3 is now")
	check(registry.BadSignature, forged, "")
}

func TestConfigurationAndLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, before := w.s.StateHash()
	if _, err := w.s.ApplyBatch([]Entry{{Index: 40, Term: 3, Configuration: true, Data: []byte("servers")}}); err != nil {
		t.Fatal(err)
	}
	data, index := w.s.Configuration()
	applied, term := w.s.Applied()
	if string(data) != "servers" || index != 40 || applied != 40 || term != 3 {
		t.Errorf("%q %d %d %d", data, index, applied, term)
	}
	if _, after := w.s.StateHash(); after != before {
		t.Error("a configuration is part of the replicated state")
	}
	must(t, w.s.SetConfiguration([]byte("fewer"), 41))
	if data, index := w.s.Configuration(); string(data) != "fewer" || index != 41 {
		t.Errorf("%q %d", data, index)
	}
	if _, err := w.s.LevelProposal(MaxLevel + 1); !errors.Is(err, registry.Invalid) {
		t.Error(err)
	}
	if _, err := w.s.LevelProposal(1); !errors.Is(err, registry.Conflict) {
		t.Error(err)
	}
}
