package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

const country = registry.Country("zz")

// fixture is a registry of one real node: state and Raft in a directory of its own, served on loopback.
type fixture struct {
	testing.TB
	*Server
	store         *state.Store
	cluster       *cluster.Cluster
	accreditation jws.PrivateKey
	url           string
	client        *http.Client
	log           *syncBuffer
}

// setting changes what a fixture is made of.
type setting struct {
	api    func(*Config)
	policy func(*registry.Policy)
	raft   func(Cluster) Cluster
	server func(*http.Server)
}

// newServer starts a registry that has a policy and ends with the test.
func newServer(t testing.TB, with setting) *fixture {
	t.Helper()
	dir := t.TempDir()
	store, err := state.Open(filepath.Join(dir, "state"), state.Options{CacheBytes: 8 << 20, MemTableBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := cluster.Open(t.Context(), cluster.Config{Dir: filepath.Join(dir, "raft"), Name: "a", MinFree: 1}, store, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(errors.Join(err, store.Close()))
	}
	f := &fixture{TB: t, store: store, cluster: cl, accreditation: newKey(t), log: new(syncBuffer)}
	f.establish(with.policy)

	config := Config{Version: "test", Heartbeat: 50 * time.Millisecond}
	if with.api != nil {
		with.api(&config)
	}
	var raft Cluster = cl
	if with.raft != nil {
		raft = with.raft(cl)
	}
	if f.Server, err = New(config, raft, store, slog.New(slog.NewTextHandler(f.log, nil))); err != nil {
		t.Fatal(err)
	}
	f.serve(with.server)
	t.Cleanup(func() {
		if err := errors.Join(cl.Close(), store.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// establish gives the registry a first policy with wide quotas.
func (f *fixture) establish(change func(*registry.Policy)) {
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	if err := f.cluster.WaitReady(ctx); err != nil {
		f.Fatal(err)
	}
	p := registry.DefaultPolicy(country)
	p.Accreditation = []jws.Multikey{f.accreditation.Public().Multikey()}
	p.PerHour, p.PerDay, p.Deactivations, p.Iat = 1000, 1000, 1000, time.Now().Unix()
	if change != nil {
		change(&p)
	}
	msg, err := p.Sign(f.accreditation)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.cluster.SubmitPolicy(ctx, []byte(msg.Compact())); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) serve(change func(*http.Server)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	server := f.HTTPServer()
	if change != nil {
		change(server)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	f.url = "http://" + l.Addr().String()
	f.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	f.Cleanup(func() {
		f.Close()
		f.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			f.Errorf("shutdown: %v", err)
			_ = server.Close()
		}
		serving.Wait()
	})
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body []byte
}

// do makes a request; header alternates names and values.
func (f *fixture) do(method, path string, body []byte, header ...string) answer {
	f.Helper()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(f.Context(), method, f.url+path, r)
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := f.client.Do(req)
	if err != nil {
		f.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatalf("%s %s: body: %v", method, path, err)
	}
	a := answer{res, text}
	a.conforms(f)
	return a
}

func (f *fixture) get(path string, header ...string) answer {
	f.Helper()
	return f.do(http.MethodGet, path, nil, header...)
}

func (f *fixture) post(path, contentType string, body []byte, header ...string) answer {
	f.Helper()
	return f.do(http.MethodPost, path, body, append(header, "Content-Type", contentType)...)
}

// want checks the status and returns the answer.
func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, expected %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	return a
}

// problem checks status and kind of a problem document.
func (a answer) problem(t testing.TB, kind registry.Kind) wire.Problem {
	t.Helper()
	a.want(t, wire.StatusOf(kind))
	var p wire.Problem
	decode(t, a.body, &p)
	if got := a.Header.Get("Content-Type"); got != wire.TypeProblem || p.Type != wire.ProblemBase+string(kind) || p.Status != a.StatusCode {
		t.Fatalf("%s: content-type %s, problem %+v, expected kind %s", a.Request.URL, got, p, kind)
	}
	if p.Detail == "" && kind != registry.Internal {
		t.Errorf("%s: the problem has no detail", a.Request.URL)
	}
	return p
}

// decode reads what the server wrote, refusing members that the contract does not know.
func decode(t testing.TB, body []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}

func newKey(t testing.TB) jws.PrivateKey {
	t.Helper()
	k, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// party is a wallet or an organisation: it signs, and remembers its head.
type party struct {
	f        *fixture
	rotation []jws.PrivateKey
	signer   jws.PrivateKey // the listed key: grant of a passport, sign of an organisation
	record   registry.Record
	id       registry.ID
	head     registry.OpID
	seq      uint64
}

// sign makes the next operation of p without sending it.
func (p *party) sign(change func(*registry.Content), disclosures ...registry.Disclosure) *registry.Operation {
	p.f.Helper()
	c := registry.Content{Act: registry.Update, ID: p.id, Prev: p.head, Seq: p.seq + 1, Iat: time.Now().Unix(), Record: &p.record}
	if p.id == "" {
		c = registry.Content{Act: registry.Create, Country: country, Iat: c.Iat, Record: c.Record}
	}
	if change != nil {
		change(&c)
	}
	if c.Act == registry.Deactivate || c.Act == registry.Erase {
		c.Record = nil
	}
	op, err := c.Sign(p.rotation[0], disclosures...)
	if err != nil {
		p.f.Fatal(err)
	}
	return op
}

// send submits op and takes it as the head.
func (p *party) send(op *registry.Operation) wire.Submitted {
	p.f.Helper()
	a := p.f.post(wire.PathOperations, wire.TypeOperation, op.Bytes()).want(p.f, http.StatusCreated)
	var done wire.Submitted
	decode(p.f, a.body, &done)
	p.id, p.head, p.seq = done.ID, done.Op, done.Seq
	return done
}

// update changes the record, if change is not nil, and sends it.
func (p *party) update(change func(*registry.Record), disclosures ...registry.Disclosure) wire.Submitted {
	p.f.Helper()
	if change != nil {
		change(&p.record)
	}
	return p.send(p.sign(nil, disclosures...))
}

func (p *party) deactivate() wire.Submitted {
	p.f.Helper()
	return p.send(p.sign(func(c *registry.Content) { c.Act = registry.Deactivate }))
}

const dpvClass = "https://w3id.org/dpv/pd#Interest"

// passport makes a passport with a strand at each provider given: strand-1, strand-2, …
func (f *fixture) passport(providers ...*party) (*party, []registry.Disclosure) {
	f.Helper()
	p := &party{f: f, rotation: []jws.PrivateKey{newKey(f), newKey(f)}, signer: newKey(f)}
	auth := newKey(f)
	p.record = registry.Record{
		Kind:     registry.Passport,
		Rotation: []jws.Multikey{p.rotation[0].Public().Multikey(), p.rotation[1].Public().Multikey()},
		Keys: []registry.Key{
			{ID: "grant-1", Key: p.signer.Public().Multikey(), Use: []registry.Use{registry.UseGrant}},
			{ID: "auth-1", Key: auth.Public().Multikey(), Use: []registry.Use{registry.UseAuth}},
		},
	}
	var disclosures []registry.Disclosure
	var digests []registry.Digest
	for i, provider := range providers {
		d, err := registry.NewDisclosure(registry.Strand{
			ID: "strand-" + string(rune('1'+i)), Provider: provider.id, Path: "s/" + string(rune('a'+i)),
			Visibility: registry.Public, Class: []string{dpvClass}, Tags: []string{"reader"},
		})
		if err != nil {
			f.Fatal(err)
		}
		disclosures, digests = append(disclosures, d), append(digests, d.Digest)
	}
	p.record.Strands = registry.PadStrands(digests)
	p.send(p.sign(nil, disclosures...))
	return p, disclosures
}

// provider makes an accredited provider.
func (f *fixture) provider(endpoints ...string) *party {
	f.Helper()
	p := f.organisation("Vault "+rand.Text(), endpoints...)
	p.accredit(registry.OrgActive)
	return p
}

// organisation makes a provider that is pending.
func (f *fixture) organisation(name string, endpoints ...string) *party {
	f.Helper()
	p := &party{f: f, rotation: []jws.PrivateKey{newKey(f)}, signer: newKey(f)}
	p.record = registry.Record{
		Kind: registry.Organisation, Name: name, Jurisdiction: country, Roles: []registry.Role{registry.RoleProvider},
		Rotation: []jws.Multikey{p.rotation[0].Public().Multikey()},
		Keys:     []registry.Key{{ID: "sign-1", Key: p.signer.Public().Multikey(), Use: []registry.Use{registry.UseSign}}},
	}
	for _, e := range endpoints {
		p.record.Endpoints = append(p.record.Endpoints, registry.Endpoint{Protocol: "https://solidproject.org/TR/protocol", URL: e})
	}
	p.send(p.sign(nil))
	return p
}

// accredit gives p a status of epoch 1.
func (p *party) accredit(status registry.OrgStatus) wire.Submitted {
	p.f.Helper()
	msg, err := registry.StatusContent{Sub: p.id, Head: p.head, Status: status, Epoch: 1, Iat: time.Now().Unix()}.Sign(p.f.accreditation)
	if err != nil {
		p.f.Fatal(err)
	}
	a := p.f.post(wire.PathStatuses, wire.TypeStatement, []byte(msg.Compact())).want(p.f, http.StatusCreated)
	var done wire.Submitted
	decode(p.f, a.body, &done)
	return done
}

// accept makes the provider p accept a strand of holder, or withdraw.
func (p *party) accept(holder *party, d registry.Disclosure, accepted bool) wire.Submitted {
	p.f.Helper()
	msg, err := registry.AcceptanceContent{Iss: p.id, Sub: holder.id, Strand: d.Digest, Accepted: &accepted, Iat: time.Now().Unix()}.Sign(p.signer, "sign-1")
	if err != nil {
		p.f.Fatal(err)
	}
	a := p.f.post(wire.PathAcceptances, wire.TypeStatement, []byte(msg.Compact())).want(p.f, http.StatusCreated)
	var done wire.Submitted
	decode(p.f, a.body, &done)
	return done
}

// placed makes a passport with one strand that its provider has accepted.
func (f *fixture) placed(endpoints ...string) (holder, provider *party, d registry.Disclosure) {
	f.Helper()
	provider = f.provider(endpoints...)
	holder, disclosures := f.passport(provider)
	provider.accept(holder, disclosures[0], true)
	return holder, provider, disclosures[0]
}

// syncBuffer collects the log.
type syncBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
