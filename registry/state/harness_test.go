package state

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

const (
	testCountry = registry.Country("qm")
	start       = registry.Millis(1_795_000_000_000)
	window      = registry.Millis(registry.DefaultRecoveryWindow / time.Millisecond)
	purchases   = "https://w3id.org/dpv/pd#PurchasesAndSpendingHabit"
)

// failer is what the harness needs of a test; rapid has one of its own.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a store with a clock and a log of all entries that it has applied.
type world struct {
	t     failer
	s     *Store
	now   registry.Millis
	index uint64
	log   []Entry
	acc   jws.PrivateKey // accreditation key
}

func newKey(t failer, alg jws.Algorithm) jws.PrivateKey {
	t.Helper()
	k, err := jws.GenerateKey(alg)
	must(t, err)
	return k
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func openMem(t failer, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("state", Options{FS: fs, CacheBytes: 8 << 20, MemTableBytes: 1 << 20})
	must(t, err)
	return s
}

// newWorld has a policy already.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := bareWorld(t, openMem(t, vfs.NewMem()))
	t.Cleanup(func() { _ = w.s.Close() })
	return w
}

func bareWorld(t failer, s *Store) *world {
	t.Helper()
	w := &world{t: t, s: s, now: start, acc: newKey(t, jws.Ed25519)}
	p := registry.DefaultPolicy(testCountry)
	p.Accreditation = []jws.Multikey{w.acc.Public().Multikey()}
	p.Iat = start.Unix()
	w.ok(w.policy(p, w.acc))
	return w
}

func seedOf(index uint64) [32]byte { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, index)) }

// propose applies commands as one entry.
func (w *world) propose(commands ...Command) []Result {
	w.t.Helper()
	w.index++
	b := Batch{Time: w.now, Seed: seedOf(w.index), Commands: commands}
	data, err := b.Encode()
	must(w.t, err)
	e := Entry{Index: w.index, Term: 1, Data: data}
	results, err := w.s.ApplyBatch([]Entry{e})
	must(w.t, err)
	w.log = append(w.log, e)
	if len(results) != 1 || len(results[0]) != len(commands) {
		w.t.Fatalf("results of the wrong shape: %d entries", len(results))
	}
	return results[0]
}

// submit checks and applies, as a leader does.
func (w *world) submit(p Proposal, known *Result, err error) (Result, error) {
	w.t.Helper()
	if err != nil {
		return Result{}, err
	}
	if known != nil {
		return *known, known.Err
	}
	r := w.propose(p.Command())[0]
	return r, r.Err
}

func (w *world) operation(op *registry.Operation) (Result, error) {
	w.t.Helper()
	return w.submit(w.s.CheckOperation(op, w.now))
}

func (w *world) policy(p registry.Policy, signer jws.Signer) (Result, error) {
	w.t.Helper()
	msg, err := p.Sign(signer)
	must(w.t, err)
	return w.submit(w.s.CheckPolicy([]byte(msg.Compact())))
}

func (w *world) status(id registry.ID, head registry.OpID, st registry.OrgStatus, epoch uint64) (Result, error) {
	w.t.Helper()
	msg, err := registry.StatusContent{Sub: id, Head: head, Status: st, Epoch: epoch, Iat: w.now.Unix(), Reason: "as asked"}.Sign(w.acc)
	must(w.t, err)
	s, err := registry.ParseStatus([]byte(msg.Compact()))
	must(w.t, err)
	return w.submit(w.s.CheckStatus(s, w.now))
}

func (w *world) acceptance(o *org, sub registry.ID, d registry.Digest, accepted bool) (Result, error) {
	w.t.Helper()
	return w.submit(w.s.CheckAcceptance(w.acceptanceOf(o, sub, d, accepted), w.now))
}

func (w *world) acceptanceOf(o *org, sub registry.ID, d registry.Digest, accepted bool) *registry.Acceptance {
	w.t.Helper()
	msg, err := registry.AcceptanceContent{Iss: o.id, Sub: sub, Strand: d, Accepted: &accepted, Iat: w.now.Unix()}.Sign(o.sign, "sign-1")
	must(w.t, err)
	a, err := registry.ParseAcceptance([]byte(msg.Compact()))
	must(w.t, err)
	return a
}

// ok is for results that must be no refusal.
func (w *world) ok(r Result, err error) Result {
	w.t.Helper()
	must(w.t, err)
	return r
}

// refused is for results that must be a refusal of this kind.
func (w *world) refused(kind registry.Kind, _ Result, err error) {
	w.t.Helper()
	if !errors.Is(err, kind) {
		w.t.Fatalf("got %v, want a refusal of kind %s", err, kind)
	}
}

func (w *world) record(id registry.ID) *View {
	w.t.Helper()
	v, err := w.s.Record(id)
	must(w.t, err)
	return v
}

func (w *world) verify() {
	w.t.Helper()
	must(w.t, w.s.VerifyContent(context.Background()))
}

// person is a holder: keys strongest first, and the head of the record.
type person struct {
	id   registry.ID
	keys []jws.PrivateKey
	use  jws.PrivateKey
	head registry.OpID
	seq  uint64
	last *registry.Operation
}

func newPerson(t failer) *person {
	return &person{keys: []jws.PrivateKey{newKey(t, jws.Ed25519), newKey(t, jws.Ed25519)}, use: newKey(t, jws.Ed25519)}
}

func (p *person) record(strands ...registry.Digest) *registry.Record {
	r := &registry.Record{Kind: registry.Passport, Strands: slices.Clone(strands),
		Keys: []registry.Key{{ID: "grant-1", Key: p.use.Public().Multikey(), Use: []registry.Use{registry.UseGrant}}}}
	for _, k := range p.keys {
		r.Rotation = append(r.Rotation, k.Public().Multikey())
	}
	return r
}

// op signs an operation with key number k that follows what p remembers.
func (w *world) op(p *person, act registry.Act, k int, undo registry.OpID, r *registry.Record, d ...registry.Disclosure) *registry.Operation {
	w.t.Helper()
	c := registry.Content{Act: act, ID: p.id, Prev: p.head, Seq: p.seq + 1, Iat: w.now.Unix(), Undo: undo, Record: r}
	if act == registry.Create {
		c.Country, c.Seq = testCountry, 0
	}
	op, err := c.Sign(p.keys[k], d...)
	must(w.t, err)
	return op
}

// do applies an operation that must pass, and moves the person's head.
func (w *world) do(p *person, op *registry.Operation) Result {
	w.t.Helper()
	r := w.ok(w.operation(op))
	p.id, p.head, p.seq, p.last = op.ID, op.Name, op.Seq, op
	return r
}

func (w *world) create(d ...registry.Disclosure) *person {
	w.t.Helper()
	p := newPerson(w.t)
	w.do(p, w.op(p, registry.Create, 0, "", p.record(digests(d)...), d...))
	return p
}

func digests(ds []registry.Disclosure) (out []registry.Digest) {
	for _, d := range ds {
		out = append(out, d.Digest)
	}
	return out
}

// org is a provider.
type org struct {
	person
	sign jws.PrivateKey
	name string
	url  string
}

func (o *org) orgRecord() *registry.Record {
	return &registry.Record{Kind: registry.Organisation, Rotation: []jws.Multikey{o.keys[0].Public().Multikey(), o.keys[1].Public().Multikey()},
		Keys: []registry.Key{{ID: "sign-1", Key: o.sign.Public().Multikey(), Use: []registry.Use{registry.UseSign}}},
		Name: o.name, Jurisdiction: "fi", Roles: []registry.Role{registry.RoleProvider}, Domain: "vault.example",
		Endpoints: []registry.Endpoint{{Protocol: "https://solidproject.org/TR/protocol", URL: o.url}}}
}

func (w *world) organisation(name string) *org {
	w.t.Helper()
	o := &org{person: *newPerson(w.t), sign: newKey(w.t, jws.Ed25519), name: name, url: "https://vault.example/"}
	w.do(&o.person, w.op(&o.person, registry.Create, 0, "", o.orgRecord()))
	return o
}

func (w *world) provider(name string) *org {
	w.t.Helper()
	o := w.organisation(name)
	w.ok(w.status(o.id, o.head, registry.OrgActive, 1))
	return o
}

func (w *world) strand(id string, provider registry.ID) registry.Disclosure {
	w.t.Helper()
	d, err := registry.NewDisclosure(registry.Strand{ID: id, Provider: provider, Path: "s/" + id, Visibility: registry.Public,
		Class: []string{purchases}, Tags: []string{"frequent-flyer"}})
	must(w.t, err)
	return d
}

// dump is every replicated row and the two hashes.
func dump(t failer, s *Store) []string {
	t.Helper()
	var rows []string
	must(t, s.Scan(context.Background(), func(k, v []byte) error {
		rows = append(rows, fmt.Sprintf("%q = %x", k, v))
		return nil
	}))
	index, hash := s.StateHash()
	return append(rows, fmt.Sprintf("%d %x", index, hash))
}

func sameDump(t failer, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%s: rows differ at %d of %d and %d:\n%s\n%s", what, i, len(got), len(want), at(got, i), at(want, i))
		}
	}
}

func at(rows []string, i int) string {
	if i >= len(rows) {
		return "(none)"
	}
	return rows[i]
}

func sum256(b []byte) [32]byte { return sha256.Sum256(b) }
