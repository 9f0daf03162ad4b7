package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

func TestSubmit(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	p, _ := f.passport()
	op := p.sign(nil)
	a := f.post(wire.PathOperations, wire.TypeOperation+"; charset=utf-8", op.Bytes()).want(t, http.StatusCreated)
	var first, again wire.Submitted
	decode(t, a.body, &first)
	if first.ID != p.id || first.Op != op.Name || first.Seq != 1 || first.Position == 0 || a.Header.Get("Dcann-Index") == "" {
		t.Errorf("submitted: %s %v", a.body, a.Header)
	}
	a = f.post(wire.PathOperations, wire.TypeOperation, op.Bytes()).want(t, http.StatusOK)
	decode(t, a.body, &again)
	if again != first {
		t.Errorf("again: %+v, expected %+v", again, first)
	}
	var h wire.History
	decode(t, f.get(wire.HistoryPath(p.id, nil, 0)).want(t, 200).body, &h)
	if len(h.Operations) != 2 || h.Operations[1].Op != op.Name || h.Operations[1].Seq != 1 || h.Operations[1].Operation != string(op.Bytes()) || h.Next != nil {
		t.Errorf("history: %+v", h)
	}
}

// TestWriteRefusals has every refusal of DESIGN 6 with its status, and of two that apply the first.
func TestWriteRefusals(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{policy: func(p *registry.Policy) { p.PerHour, p.PerDay = 3, 3 }})
	p, _ := f.passport()
	stranger := newKey(t)
	// broken gives op another signature than the one that fits. It is of a content that op never has: one that only
	// has another time is op's own when a second ends between the two.
	broken := func(op *registry.Operation) []byte {
		raw := op.Bytes()
		dot, tilde := bytes.LastIndexByte(raw, '.'), bytes.IndexByte(raw, '~')
		other := p.sign(func(c *registry.Content) { c.Seq += 100 }).Bytes()
		return append(append(bytes.Clone(raw[:dot]), other[bytes.LastIndexByte(other, '.'):bytes.IndexByte(other, '~')]...), raw[tilde:]...)
	}
	send := func(raw []byte) answer { return f.post(wire.PathOperations, wire.TypeOperation, raw) }
	by := func(k jws.PrivateKey, change func(*registry.Content)) []byte {
		other := *p
		other.rotation = []jws.PrivateKey{k}
		return other.sign(change).Bytes()
	}
	gone, _ := f.passport()
	gone.deactivate()

	send(make([]byte, wire.MaxOperation+1)).problem(t, registry.TooLarge)
	send([]byte("hello")).problem(t, registry.Invalid)
	send(nil).problem(t, registry.Invalid)
	f.post(wire.PathOperations, "application/json", p.sign(nil).Bytes()).want(t, http.StatusUnsupportedMediaType)
	f.post(wire.PathOperations, "", p.sign(nil).Bytes()).want(t, http.StatusUnsupportedMediaType)
	f.post(wire.PathOperations, wire.TypeOperation, p.sign(nil).Bytes(), "Content-Encoding", "gzip").want(t, http.StatusUnsupportedMediaType)
	f.post(wire.PathOperations+"?dry=1", wire.TypeOperation, p.sign(nil).Bytes()).problem(t, registry.Invalid)
	foreign := "did:dcann:de:" + string(p.id[13:])
	if pr := send(p.sign(func(c *registry.Content) { c.ID = registry.ID(foreign) }).Bytes()).problem(t, registry.Misdirected); pr.Country != "de" {
		t.Errorf("misdirected: %+v", pr)
	}
	send(p.sign(func(c *registry.Content) { c.ID = registry.NewID(country, p.sign(nil).Name) }).Bytes()).problem(t, registry.NotFound)
	send(gone.sign(nil).Bytes()).problem(t, registry.Gone)
	if pr := send(p.sign(func(c *registry.Content) { c.Prev = gone.head }).Bytes()).problem(t, registry.Conflict); pr.Head != p.head {
		t.Errorf("conflict: %+v, expected head %s", pr, p.head)
	}
	send(by(stranger, func(c *registry.Content) { c.Prev = gone.head })).problem(t, registry.Conflict)
	send(broken(p.sign(func(c *registry.Content) { c.Prev = gone.head }))).problem(t, registry.Conflict)
	send(by(stranger, func(c *registry.Content) { c.Seq = 7 })).problem(t, registry.Invalid)
	send(by(stranger, nil)).problem(t, registry.Forbidden)
	send(broken(p.sign(nil))).problem(t, registry.BadSignature)
	send(p.sign(func(c *registry.Content) { c.Iat -= 3600 }).Bytes()).problem(t, registry.Invalid)
	p.update(nil)
	p.update(nil)
	a := send(p.sign(nil).Bytes())
	if pr := a.problem(t, registry.Quota); pr.RetryAfter < 60 || a.Header.Get("Retry-After") == "" {
		t.Errorf("quota: %+v %v", pr, a.Header)
	}
	if strings.Contains(f.log.String(), string(p.id)) {
		t.Errorf("the log names an identifier: %s", f.log)
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	org := f.organisation("A & Söhne", "https://v.example/")
	head := org.head
	sign := func(change func(*registry.StatusContent), key jws.PrivateKey) []byte {
		c := registry.StatusContent{Sub: org.id, Head: head, Status: registry.OrgActive, Epoch: 1, Iat: time.Now().Unix()}
		if change != nil {
			change(&c)
		}
		msg, err := c.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(msg.Compact())
	}
	post := func(raw []byte) answer { return f.post(wire.PathStatuses, wire.TypeStatement, raw) }
	post(sign(nil, newKey(t))).problem(t, registry.Forbidden)
	other := f.organisation("Other", "https://o.example/")
	if pr := post(sign(func(c *registry.StatusContent) { c.Head = other.head }, f.accreditation)).problem(t, registry.Conflict); pr.Head != head {
		t.Errorf("a head of another: %+v", pr)
	}
	post([]byte("x.y.z")).problem(t, registry.Invalid)
	post(make([]byte, wire.MaxStatement+1)).problem(t, registry.TooLarge)
	f.post(wire.PathStatuses, wire.TypeOperation, nil).want(t, http.StatusUnsupportedMediaType)
	good := sign(nil, f.accreditation)
	var first, again wire.Submitted
	decode(t, post(good).want(t, http.StatusCreated).body, &first)
	decode(t, post(good).want(t, http.StatusOK).body, &again)
	if first != again || first.ID != org.id {
		t.Errorf("status: %+v then %+v", first, again)
	}
	var r wire.Record
	decode(t, f.get(wire.RecordPath(org.id)).want(t, 200).body, &r)
	if r.Organisation == nil || r.Organisation.Status != registry.OrgActive || r.Organisation.Epoch != 1 || r.Position != first.Position {
		t.Errorf("record: %+v", r)
	}

	holder, d := f.passport(org)
	done := org.accept(holder, d[0], true)
	if done.ID != holder.id {
		t.Errorf("acceptance: %+v", done)
	}
	msg, err := registry.AcceptanceContent{Iss: org.id, Sub: holder.id, Strand: d[0].Digest, Accepted: new(bool), Iat: time.Now().Unix()}.Sign(newKey(t), "sign-1")
	if err != nil {
		t.Fatal(err)
	}
	f.post(wire.PathAcceptances, wire.TypeStatement, []byte(msg.Compact())).problem(t, registry.BadSignature)
	f.post(wire.PathAcceptances, wire.TypeStatement, good).problem(t, registry.Invalid)
	f.post(wire.PathAcceptances, wire.TypeStatement, make([]byte, wire.MaxStatement+1)).problem(t, registry.TooLarge)
}

// faulty is a cluster whose answers a test chooses.
type faulty struct {
	Cluster
	bounded, read, wait, ready error
	cutOff                     atomic.Bool           // while requests are served: Bounded refuses
	fault                      error                 // of every write
	reading                    func()                // what happens during ReadIndex
	bounding                   func(context.Context) // sees the contexts of all that waits
	staleness                  func() (time.Duration, bool)
	submit                     func() (state.Result, error)
	delay                      time.Duration // of SubmitOperation, as long as its context lasts
}

func (c *faulty) Bounded() error {
	if c.cutOff.Load() {
		return &registry.Error{Kind: registry.Unavailable, Detail: "cut off"}
	}
	return c.bounded
}
func (c *faulty) ReadIndex(ctx context.Context) error {
	c.see(ctx)
	if c.reading != nil {
		c.reading()
	}
	return c.read
}
func (c *faulty) WaitIndex(ctx context.Context, _ uint64) error {
	c.see(ctx)
	return c.wait
}
func (c *faulty) Ready() error { return c.ready }
func (c *faulty) Staleness() (time.Duration, bool) {
	if c.staleness != nil {
		return c.staleness()
	}
	return c.Cluster.Staleness()
}
func (c *faulty) see(ctx context.Context) {
	if c.bounding != nil {
		c.bounding(ctx)
	}
}
func (c *faulty) SubmitStatus(ctx context.Context, s *registry.StatusStatement) (state.Result, error) {
	if c.see(ctx); c.fault != nil {
		return state.Result{}, c.fault
	}
	return c.Cluster.SubmitStatus(ctx, s)
}
func (c *faulty) SubmitAcceptance(ctx context.Context, a *registry.Acceptance) (state.Result, error) {
	if c.see(ctx); c.fault != nil {
		return state.Result{}, c.fault
	}
	return c.Cluster.SubmitAcceptance(ctx, a)
}
func (c *faulty) SubmitOperation(ctx context.Context, op *registry.Operation) (state.Result, error) {
	if c.see(ctx); c.fault != nil {
		return state.Result{}, c.fault
	}
	if c.submit != nil {
		return c.submit()
	}
	if c.delay > 0 {
		select {
		case <-ctx.Done():
			return state.Result{}, ctx.Err()
		case <-time.After(c.delay):
		}
	}
	return c.Cluster.SubmitOperation(ctx, op)
}

// TestGate: each level asks the cluster what it should, and passes the refusal on.
func TestGate(t *testing.T) {
	t.Parallel()
	away := &registry.Error{Kind: registry.Unavailable, Detail: "no leader", RetryAfter: 3 * time.Second}
	cl := &faulty{}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	paths := []string{wire.RecordPath(p.id), wire.PathIdentifiers + string(p.id), wire.HistoryPath(p.id, nil, 5), wire.PathOrganisations, wire.PathEvents + "?follow=false"}
	with := func(path, query string) string {
		if strings.Contains(path, "?") {
			return path + "&" + query
		}
		return path + "?" + query
	}
	for _, path := range paths {
		cl.bounded, cl.read, cl.wait = nil, away, context.DeadlineExceeded
		f.get(path).want(t, 200)
		f.get(with(path, "consistency=stale")).want(t, 200)
		a := f.get(with(path, "consistency=linearizable"))
		if pr := a.problem(t, registry.Unavailable); pr.RetryAfter != 3 || a.Header.Get("Retry-After") != "3" {
			t.Errorf("%s: %+v", path, pr)
		}
		if pr := f.get(with(path, "min_index=999999999")).problem(t, registry.Unavailable); pr.RetryAfter < 1 {
			t.Errorf("%s: %+v", path, pr)
		}
		f.get(with(path, "min_index=1")).want(t, 200)
		cl.bounded, cl.read, cl.wait = away, nil, nil
		f.get(path).problem(t, registry.Unavailable)
		f.get(with(path, "consistency=bounded")).problem(t, registry.Unavailable)
		f.get(with(path, "consistency=linearizable")).want(t, 200)
		f.get(with(path, "consistency=stale&min_index=999999999")).want(t, 200)
	}
	f.get(with(paths[0], "consistency=soon")).problem(t, registry.Invalid)
	f.get(with(paths[0], "consistency=stale&consistency=stale")).problem(t, registry.Invalid)
	f.get(with(paths[0], "min_index=x")).problem(t, registry.Invalid)
	f.get(with(paths[0], "hello=1")).problem(t, registry.Invalid)

	cl.ready = errors.New("catching up")
	if pr := f.get(wire.PathReady).problem(t, registry.Unavailable); pr.Detail != "not ready: catching up" || pr.RetryAfter < 1 {
		t.Errorf("readyz: %+v", pr)
	}
	cl.ready = away
	if pr := f.get(wire.PathReady).problem(t, registry.Unavailable); !strings.Contains(pr.Detail, "no leader") || pr.RetryAfter != 3 {
		t.Errorf("readyz: %+v", pr)
	}
	f.get(wire.PathLive).want(t, 200)
}

// TestInternalErrorsTellNothing: what a defect says stays in the log, under the request's identifier.
func TestInternalErrorsTellNothing(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	for name, fail := range map[string]func() (state.Result, error){
		"an error": func() (state.Result, error) { return state.Result{}, errors.New("secret of pebble") },
		"a panic":  func() (state.Result, error) { panic("secret of raft") },
	} {
		cl.submit = fail
		a := f.post(wire.PathOperations, wire.TypeOperation, p.sign(nil).Bytes(), "X-Request-Id", "my-name.1")
		pr := a.problem(t, registry.Internal)
		if strings.Contains(string(a.body), "secret") || pr.Instance != "urn:request:my-name.1" || a.Header.Get("X-Request-Id") != "my-name.1" {
			t.Errorf("%s: %s %v", name, a.body, a.Header)
		}
		if log := f.log.String(); !strings.Contains(log, "secret") || !strings.Contains(log, "my-name.1") {
			t.Errorf("%s: log %q", name, log)
		}
	}
	cl.submit = func() (state.Result, error) { return state.Result{}, context.DeadlineExceeded }
	f.post(wire.PathOperations, wire.TypeOperation, p.sign(nil).Bytes()).problem(t, registry.Unavailable)
	if a := f.post(wire.PathOperations, wire.TypeOperation, p.sign(nil).Bytes(), "X-Request-Id", "a b"); a.Header.Get("X-Request-Id") == "a b" || a.Header.Get("X-Request-Id") == "" {
		t.Errorf("a name of another form: %v", a.Header)
	}
}

// TestPanicInABatch: a defect that one line meets is that line's failure. In a goroutine of its own it would
// end the process.
func TestPanicInABatch(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	check := func(what string, status int, problem *wire.Problem, name string) {
		t.Helper()
		if status != http.StatusInternalServerError || problem == nil || problem.Detail != "" || problem.Instance != "urn:request:"+name {
			t.Errorf("%s: status %d, problem %+v", what, status, problem)
		}
		if log := f.log.String(); !strings.Contains(log, "panic: ") || !strings.Contains(log, name) || !strings.Contains(log, "goroutine") {
			t.Errorf("%s: log %q", what, log)
		}
	}
	cl.submit = func() (state.Result, error) { panic("secret of raft") }
	a := f.post(wire.PathBatch, wire.TypeNDJSON, fmt.Appendf(nil, "%q\n%q\n", p.sign(nil).Bytes(), "hello"), "X-Request-Id", "writes").want(t, http.StatusOK)
	lines := ndjson[wire.BatchLine](t, a.body)
	if len(lines) != 2 || lines[1].Status != http.StatusBadRequest {
		t.Fatalf("lines: %s", a.body)
	}
	check("a batch of operations", lines[0].Status, lines[0].Problem, "writes")

	f.Server.state = nil // whatever is looked up now panics
	a = f.post(wire.PathResolve, wire.TypeJSON, fmt.Appendf(nil, "[%q,%q]", p.id, "hello"), "X-Request-Id", "reads").want(t, http.StatusOK)
	found := ndjson[wire.ResolveLine](t, a.body)
	if len(found) != 2 || found[1].Status != http.StatusBadRequest || found[0].ID != string(p.id) {
		t.Fatalf("lines: %s", a.body)
	}
	check("a batch of identifiers", found[0].Status, found[0].Problem, "reads")
}

// TestResolutionFailureIsLogged: what DID Resolution says of a defect of ours is a code; the log has the cause.
func TestResolutionFailureIsLogged(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	cl.bounded = errors.New("secret of raft")
	for name, q := range map[string]string{"first": "", "second": "?versionId=" + string(p.head)} {
		a := f.get(wire.PathIdentifiers+string(p.id)+q, "X-Request-Id", name)
		failed(t, a, wire.InternalError)
		if strings.Contains(string(a.body), "secret") {
			t.Errorf("the client is told: %s", a.body)
		}
		if log := f.log.String(); !strings.Contains(log, "secret of raft") || !strings.Contains(log, name) {
			t.Errorf("log: %q", log)
		}
	}
}

func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	for _, c := range []struct {
		method, path, allow string
		status              int
	}{
		{"GET", "/", "", 404}, {"GET", "/v2/records/x", "", 404}, {"GET", "/v1/records/", "", 404}, {"POST", "/nothing", "", 404},
		{"DELETE", wire.RecordPath(testID), "GET", 405}, {"GET", wire.PathOperations, "POST", 405}, {"PUT", wire.PathIdentifiers + "x", "GET", 405},
		{"HEAD", wire.PathEvents, "GET", 405},
	} {
		a := f.do(c.method, c.path, nil).want(t, c.status)
		if !strings.Contains(a.Header.Get("Allow"), c.allow) {
			t.Errorf("%s %s: allow %q", c.method, c.path, a.Header.Get("Allow"))
		}
		if c.method == "HEAD" {
			continue
		}
		var p wire.Problem
		decode(t, a.body, &p)
		if p.Type != wire.TypeBlank || p.Status != c.status || a.Header.Get("Content-Type") != wire.TypeProblem {
			t.Errorf("%s %s: %s", c.method, c.path, a.body)
		}
	}
	a := f.do("OPTIONS", wire.PathOperations, nil, "Origin", "https://wallet.example", "Access-Control-Request-Method", "POST").want(t, 204)
	if a.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %v", a.Header)
	}
}
