package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
)

// node is a cluster of one on a directory of its own, with its state.
type node struct {
	*Cluster
	st     *state.Store
	dir    string
	closed bool // the state is

	looking *sync.RWMutex // held for reading by who looks into the state while the node may be closed
}

// small is a state that takes little memory, of which many tests run at once.
var small = state.Options{CacheBytes: 8 << 20, MemTableBytes: 4 << 20}

// open starts a node on dir without waiting for it to be ready.
func open(ctx context.Context, dir string, change func(*Config)) (*node, error) {
	return openWith(ctx, dir, small, change)
}

func openWith(ctx context.Context, dir string, o state.Options, change func(*Config)) (*node, error) {
	return openAt(ctx, dir, filepath.Join(dir, "state"), o, change)
}

func openAt(ctx context.Context, dir, stateDir string, o state.Options, change func(*Config)) (*node, error) {
	cfg := Config{Dir: filepath.Join(dir, "raft"), Name: "a", MinFree: 1}
	if change != nil {
		change(&cfg)
	}
	st, err := state.Open(stateDir, o)
	if err != nil {
		return nil, err
	}
	c, err := Open(ctx, cfg, st, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &node{looking: new(sync.RWMutex), Cluster: c, st: st, dir: dir}, nil
}

func (n *node) close() error { return errors.Join(n.Cluster.Close(), n.closeState()) }

func (n *node) closeState() error {
	if n.closed {
		return nil
	}
	n.closed = true
	return n.st.Close()
}

// start opens a node that is ready, has a policy and is closed at the end of the test.
func start(t testing.TB, dir string, change func(*Config)) *node {
	t.Helper()
	return startWith(t, dir, small, change)
}

func startWith(t testing.TB, dir string, o state.Options, change func(*Config)) *node {
	t.Helper()
	n, err := openWith(t.Context(), dir, o, change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil && n.Err() == nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := n.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// restart closes n and opens it again on the same directory.
func (n *node) restart(t *testing.T, change func(*Config)) *node {
	t.Helper()
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	fresh, err := open(t.Context(), n.dir, change)
	if err != nil {
		t.Fatal(err)
	}
	*n = *fresh
	if err := n.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

var accreditation = sync.OnceValue(func() jws.PrivateKey { return newKey() })

func newKey() jws.PrivateKey {
	k, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		panic(err)
	}
	return k
}

// prepare waits until n is ready and gives it a first policy with wide quotas and a short recovery window.
func (n *node) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := n.WaitReady(ctx); err != nil || n.st.Policy() != nil {
		return err
	}
	p := registry.DefaultPolicy("zz")
	p.Accreditation = []jws.Multikey{accreditation().Public().Multikey()}
	p.RecoveryWindow, p.PerHour, p.PerDay, p.Deactivations, p.Iat = 1, 1000, 1000, 1000, time.Now().Unix()
	msg, err := p.Sign(accreditation())
	if err != nil {
		return err
	}
	_, err = n.SubmitPolicy(ctx, []byte(msg.Compact()))
	return err
}

// passport is a wallet: it signs and remembers the head.
type passport struct {
	key  jws.PrivateKey
	id   registry.ID
	head registry.OpID
	seq  uint64
}

var serial atomic.Int64

// create makes a passport; its create differs from all others by its key.
func create() (*passport, *registry.Operation) {
	p := &passport{key: newKey()}
	op := p.sign(registry.Content{Act: registry.Create, Country: "zz", Record: p.record("first")})
	p.id, p.head = op.ID, op.Name
	return p, op
}

func (p *passport) record(keyID string) *registry.Record {
	return &registry.Record{
		Kind: registry.Passport, Rotation: []jws.Multikey{p.key.Public().Multikey()},
		Keys: []registry.Key{{ID: keyID, Key: p.spare(), Use: []registry.Use{registry.UseAuth}}},
	}
}

func (p *passport) spare() jws.Multikey { return newKey().Public().Multikey() }

// next signs an operation upon the head that p knows; p does not move.
func (p *passport) next(act registry.Act) *registry.Operation {
	c := registry.Content{Act: act, ID: p.id, Prev: p.head, Seq: p.seq + 1}
	if act == registry.Update {
		c.Record = p.record(fmt.Sprintf("k%d", serial.Add(1)))
	}
	return p.sign(c)
}

func (p *passport) sign(c registry.Content, disclosed ...registry.Disclosure) *registry.Operation {
	c.Iat = time.Now().Unix()
	op, err := c.Sign(p.key, disclosed...)
	if err != nil {
		panic(err)
	}
	return op
}

func (p *passport) moved(op *registry.Operation) { p.head, p.seq = op.Name, op.Seq }

// submit has op accepted or fails the test.
func (n *node) mustSubmit(t testing.TB, op *registry.Operation) state.Result {
	t.Helper()
	r, err := n.SubmitOperation(t.Context(), op)
	if err != nil {
		t.Fatalf("submit %s: %v", op.Act, err)
	}
	return r
}

func (n *node) mustHold(t testing.TB, p *passport) {
	t.Helper()
	v, err := n.st.Record(p.id)
	if err != nil {
		t.Fatalf("acknowledged record %s: %v", p.id, err)
	}
	if v.Head != p.head {
		t.Fatalf("record %s has head %s: expected %s", p.id, v.Head, p.head)
	}
}

// mustKeepTheRule checks F <= D+1 (DESIGN 9, rule 2).
func (n *node) mustKeepTheRule(t testing.TB) {
	t.Helper()
	if s := n.Status(); s.LogFirst > s.Durable+1 {
		t.Fatalf("the log begins at %d and the state is durable up to %d", s.LogFirst, s.Durable)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: it did not come in 90 s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
