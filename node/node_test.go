package node

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// patience bounds how long a test waits for something that must come.
const patience = 90 * time.Second

// running is a node that answers, and how to stop it.
type running struct {
	*Node
	stop  context.CancelFunc
	ended chan error
}

// runNode opens a dev node on a directory of its own and runs it until the test ends.
func runNode(t *testing.T, change func(*Config)) *running {
	t.Helper()
	c := Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Admin: AdminOff, Dev: true, MinFree: 1 << 20}
	if change != nil {
		change(&c)
	}
	n, err := Open(t.Context(), c, "test", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Node: n, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		r.wait(t)
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-n.Ready():
	case err := <-r.ended:
		r.ended <- err
		t.Fatal(err)
	}
	return r
}

// wait expects the node to have ended well.
func (r *running) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the node does not stop")
	}
}

func (r *running) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(r.URL(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newPassport is a create operation by a key of its own.
func newPassport(t *testing.T) *registry.Operation {
	t.Helper()
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	op, err := registry.Content{
		Act: registry.Create, Country: DefaultDevCountry, Iat: time.Now().Unix(),
		Record: &registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{key.Public().Multikey()}, Strands: registry.PadStrands(nil)},
	}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func TestClientAndNode(t *testing.T) {
	t.Parallel()
	n := runNode(t, nil)
	c := n.client(t)
	const many = 200
	var ids []registry.ID
	var ops [][]byte
	for range many {
		op := newPassport(t)
		ids, ops = append(ids, op.ID), append(ops, op.Bytes())
	}

	// Followed live from before the first write on.
	seen := make(chan wire.Event, many)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	followed := make(chan error, 1)
	go func() {
		followed <- c.Events(ctx, client.Follow{Live: true}, func(e wire.Event) error { seen <- e; return nil })
	}()

	var got []registry.ID
	if err := c.SubmitBatch(t.Context(), slices.Values(ops), func(l wire.BatchLine) error {
		if l.Status != http.StatusCreated {
			t.Errorf("line %d: status %d: %v", len(got), l.Status, l.Problem)
		}
		got = append(got, l.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, ids) {
		t.Fatalf("%d answers: expected those of %d operations in their order", len(got), many)
	}
	subjects := map[wire.Subject]bool{}
	for _, id := range ids {
		subjects[wire.Subject(id.Subject())] = true
	}
	for i := range many {
		select {
		case e := <-seen:
			if e.Position != uint64(i) || !subjects[e.Subject] || e.ID != "" {
				t.Fatalf("event %d: %+v", i, e)
			}
			delete(subjects, e.Subject)
		case <-time.After(patience):
			t.Fatalf("event %d does not come", i)
		}
	}
	stop()
	if err := <-followed; !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended with %v", err)
	}

	unknown := newPassport(t).ID
	found, at := 0, 0
	asked := slices.Insert(slices.Clone(ids), many/2, unknown)
	if err := c.Resolve(t.Context(), asked, func(l wire.ResolveLine) error {
		if l.Record != nil && l.Record.ID == asked[at] {
			found++
		} else if asked[at] != unknown || !errors.Is(l.Problem.Err(), registry.NotFound) {
			t.Errorf("answer %d: %+v", at, l)
		}
		at++
		return nil
	}); err != nil || found != many || at != many+1 {
		t.Errorf("%d found of %d answered, %v", found, at, err)
	}
	result, err := c.ResolveDID(t.Context(), string(ids[0]))
	if err != nil || !bytes.Contains(result.Document, []byte(ids[0])) {
		t.Errorf("got %s, %v", result.Document, err)
	}
	again, err := c.Submit(t.Context(), ops[0])
	if err != nil || !again.Known || again.Op != ids[0].Create() {
		t.Errorf("submitted again: %+v, %v: expected the first result", again, err)
	}
}

// TestStopDoesNotWaitForStreams: a stream of events never ends by itself, so a stop ends it.
func TestStopDoesNotWaitForStreams(t *testing.T) {
	t.Parallel()
	n := runNode(t, func(c *Config) { c.ShutdownGrace = 10 * patience })
	res, err := http.Get(n.URL() + wire.PathEvents)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n.stop()
	n.wait(t)
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Errorf("the stream was cut: %v: expected its end", err)
	}
}

// TestStopLetsRequestsEnd: an operation that is being sent when the node is stopped is still answered.
func TestStopLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	n := runNode(t, func(c *Config) { c.ShutdownGrace = patience })
	conn, err := net.Dial("tcp", n.public.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := newPassport(t).Bytes()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", wire.PathOperations, wire.TypeOperation, len(body))
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("got %q, %v: expected to be told to go on", line, err)
	}
	n.stop() // the handler has the request now, and waits for its body
	for {    // the listener is closed first
		probe, err := net.Dial("tcp", n.public.Addr().String())
		if err != nil {
			break
		}
		probe.Close()
	}
	if _, err := conn.Write(body); err != nil {
		t.Fatal(err)
	}
	if _, err := answers.ReadString('\n'); err != nil { // the empty line after 100
		t.Fatal(err)
	}
	res, err := http.ReadResponse(answers, nil)
	if err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("got %v, %v: expected 201", res, err)
	}
	res.Body.Close()
	n.wait(t)
}

func TestSecondNodeOnTheSameData(t *testing.T) {
	t.Parallel()
	n := runNode(t, nil)
	second := n.config
	second.HTTP = "127.0.0.1:0"
	if _, err := Open(t.Context(), second, "test", slog.New(slog.DiscardHandler)); !errors.Is(err, registry.Unavailable) || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("got %v: expected unavailable, and by whom", err)
	}
	// It did no harm to the first.
	if _, err := n.client(t).Submit(t.Context(), newPassport(t).Bytes()); err != nil {
		t.Error(err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	n := runNode(t, nil)
	c := Config{Data: t.TempDir(), HTTP: n.public.Addr().String(), Admin: AdminOff, Dev: true}
	if _, err := Open(t.Context(), c, "test", slog.New(slog.DiscardHandler)); !errors.Is(err, ErrAddressInUse) || !strings.Contains(err.Error(), c.HTTP) {
		t.Errorf("got %v: expected to be told which address is in use", err)
	}
}

func TestTLSWithReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writeCertificate(t, certFile, keyFile, 1)
	n := runNode(t, func(c *Config) { c.TLSCert, c.TLSKey = certFile, keyFile })
	if !strings.HasPrefix(n.URL(), "https://") {
		t.Errorf("URL is %s", n.URL())
	}
	serial := func() int64 {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		res, err := c.Get(n.URL() + wire.PathReady)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
			t.Errorf("got %s by %s: expected 200 by HTTP/2", res.Status, res.Proto)
		}
		return res.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("serial %d: expected 1", got)
	}
	writeCertificate(t, certFile, keyFile, 2)
	n.cert.follow(slog.New(slog.DiscardHandler))
	if got := serial(); got != 2 {
		t.Errorf("serial %d after a change: expected 2", got)
	}
	// Who does not believe the certificate is told so, and not that the registry is away.
	if _, err := n.client(t).Registry(t.Context()); !errors.Is(err, registry.Unverifiable) {
		t.Errorf("got %v: expected unverifiable", err)
	}
}

func TestCloseWithoutRun(t *testing.T) {
	t.Parallel()
	c := Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Dev: true, MinFree: 1 << 20}
	for range 2 { // the second finds what the first left
		n, err := Open(t.Context(), c, "test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(n.Close(), n.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiskLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	d := diskLog{min: 10}
	for _, free := range []uint64{20, 5, 4, 30, 30} {
		d.look(free, log)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2 || !strings.Contains(out.String(), "refusing writes") || !strings.Contains(out.String(), "taking writes") {
		t.Errorf("logged %d lines: expected one when it got low and one when it was well again:\n%s", lines, &out)
	}
}

func TestStartNeedsSpace(t *testing.T) {
	t.Parallel()
	if err := checkSpace(t.TempDir(), 1<<62); !errors.Is(err, registry.Unavailable) || !strings.Contains(err.Error(), "make space") {
		t.Errorf("got %v: expected unavailable, and what to do", err)
	}
	if err := checkSpace(os.TempDir(), 1); err != nil {
		t.Error(err)
	}
}
