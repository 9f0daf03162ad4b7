package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// follower reads a stream of events line by line.
type follower struct {
	t      testing.TB
	lines  chan string
	cancel context.CancelFunc
	ended  chan struct{}
}

func (f *fixture) followEvents(path string, header ...string) *follower {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", f.url+path, nil)
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := f.client.Do(req)
	if err != nil || res.StatusCode != 200 {
		f.Fatalf("follow: %v %v", res, err)
	}
	w := &follower{t: f, lines: make(chan string), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		defer res.Body.Close()
		for in := bufio.NewScanner(res.Body); in.Scan(); {
			select {
			case w.lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	f.Cleanup(func() { cancel(); <-w.ended })
	return w
}

// next is the next line that ok takes.
func (w *follower) next(ok func(string) bool) string {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line := <-w.lines:
			if ok(line) {
				return line
			}
		case <-w.ended:
			w.t.Fatal("the stream ended")
		case <-deadline:
			w.t.Fatal("waited in vain for an event")
		}
	}
}

// drain reads until the server ends the stream.
func (w *follower) drain() {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case <-w.lines:
		case <-w.ended:
			return
		case <-deadline:
			w.t.Fatal("the stream does not end")
		}
	}
}

func (w *follower) event() wire.Event {
	w.t.Helper()
	var e wire.Event
	decode(w.t, []byte(w.next(func(s string) bool { return s != "" })), &e)
	return e
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, provider, d := f.placed("https://v.example/")
	holder.update(nil)
	all := ndjson[wire.Event](t, f.get(wire.EventsPath(nil, 0, false)).want(t, 200).body)
	want := []struct {
		kind    wire.EventType
		subject registry.SubjectKey
		org     bool
	}{
		{wire.EventCreate, provider.id.Subject(), true}, {wire.EventPending, provider.id.Subject(), true}, {wire.EventActive, provider.id.Subject(), true},
		{wire.EventCreate, holder.id.Subject(), false}, {wire.EventAccepted, d.Subject(holder.id), false}, {wire.EventUpdate, holder.id.Subject(), false},
	}
	if len(all) < len(want) {
		t.Fatalf("%d events: %+v", len(all), all)
	}
	all = all[len(all)-len(want):]
	for i, e := range all {
		if e.Type != want[i].kind || registry.SubjectKey(e.Subject) != want[i].subject || (e.ID != "") != want[i].org || e.Time == 0 {
			t.Errorf("event %d: %+v, expected %+v", i, e, want[i])
		}
		if i > 0 && e.Position != all[i-1].Position+1 {
			t.Errorf("event %d has position %d after %d", i, e.Position, all[i-1].Position)
		}
		if (e.Operation+e.Statement != "") != want[i].org {
			t.Errorf("event %d: signed object %q %q", i, e.Operation, e.Statement)
		}
	}
	if op, err := registry.ParseOperation([]byte(all[0].Operation)); err != nil || op.Name != all[0].Op || op.ID != provider.id {
		t.Errorf("the provider's operation: %v", err)
	}
	if st, err := registry.ParseStatus([]byte(all[2].Statement)); err != nil || st.Name != all[2].Op {
		t.Errorf("the provider's status: %v", err)
	}
	raw := string(f.get(wire.EventsPath(nil, 0, false)).body)
	if strings.Contains(raw, string(holder.id)) || strings.Contains(raw, d.Text) || strings.Contains(raw, string(d.Digest)) {
		t.Error("events name a passport, or disclose a strand")
	}

	// Pages, and resuming by position, whatever the limit.
	var pieced []wire.Event
	after := (*uint64)(nil)
	for {
		page := ndjson[wire.Event](t, f.get(wire.EventsPath(after, 2, false)).want(t, 200).body)
		pieced = append(pieced, page...)
		if len(page) < 2 {
			break
		}
		after = &page[1].Position
	}
	if len(pieced) < len(want) || pieced[len(pieced)-1] != all[len(all)-1] {
		t.Errorf("in pages: %d events", len(pieced))
	}
	for _, q := range []string{"after=x", "after=-1", "limit=0", "follow=maybe", "follow=", "hello=1"} {
		f.get(wire.PathEvents+"?"+q).problem(t, registry.Invalid)
	}
	f.get(wire.PathEvents, "Last-Event-ID", "x").problem(t, registry.Invalid)
}

// TestEventsBeyondTheEnd: a position that this node has yet to reach is waited for.
func TestEventsBeyondTheEnd(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	p, _ := f.passport()
	end := p.update(nil).Position
	beyond := end + 1
	if a := f.get(wire.EventsPath(&beyond, 0, false)).want(t, 200); len(bytes.TrimSpace(a.body)) != 0 {
		t.Errorf("not following: %s", a.body)
	}
	w := f.followEvents(wire.EventsPath(&beyond, 0, true))
	p.update(nil)
	third := p.update(nil)
	if e := w.event(); e.Position != third.Position || third.Position != end+2 {
		t.Errorf("first event at %d, expected %d, the first after %d", e.Position, end+2, beyond)
	}
}

func TestEventsLive(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, _ := f.passport()
	start := f.store.NextPosition() - 1
	w := f.followEvents(wire.EventsPath(&start, 0, true))
	s := f.followEvents(wire.EventsPath(&start, 0, true), "Accept", "text/html, text/event-stream")
	w.next(func(line string) bool { return line == "" })  // a heartbeat
	s.next(func(line string) bool { return line == ":" }) // a heartbeat
	done := holder.update(nil)
	if e := w.event(); e.Position != done.Position || e.Type != wire.EventUpdate {
		t.Errorf("live: %+v, expected %+v", e, done)
	}
	starts := func(p string) func(string) bool { return func(line string) bool { return strings.HasPrefix(line, p) } }
	if id := s.next(starts("id: ")); id != "id: "+strconv.FormatUint(done.Position, 10) {
		t.Errorf("SSE: %s", id)
	}
	if kind := s.next(starts("event: ")); kind != "event: update" {
		t.Errorf("SSE: %s", kind)
	}
	var e wire.Event
	decode(t, []byte(strings.TrimPrefix(s.next(starts("data: ")), "data: ")), &e)
	if e.Position != done.Position {
		t.Errorf("SSE: %+v", e)
	}
	s.cancel()
	<-s.ended

	// A browser that lost its connection sends the first URL and the last position it saw.
	second, third := holder.update(nil), holder.update(nil)
	s = f.followEvents(wire.EventsPath(&start, 0, true), "Accept", "text/event-stream", "Last-Event-ID", strconv.FormatUint(second.Position, 10))
	if id := s.next(starts("id: ")); id != "id: "+strconv.FormatUint(third.Position, 10) {
		t.Errorf("resumed at %s, expected %d", id, third.Position)
	}
	limited := f.followEvents(wire.EventsPath(&start, 2, true))
	for range 2 {
		limited.event()
	}
	limited.drain()

	// A server that shuts down ends its streams.
	f.Close()
	w.drain()
	s.drain()
}

// TestEventsEndWhereTheNodeIsCutOff: a heartbeat of a node that no longer knows what happens would be a lie.
func TestEventsEndWhereTheNodeIsCutOff(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	end := f.store.NextPosition()
	path := wire.EventsPath(&end, 0, true)
	bounded := f.followEvents(path)
	linearizable := f.followEvents(path+"&consistency=linearizable", "Accept", wire.TypeEventStream)
	stale := f.followEvents(path + "&consistency=stale")
	beat := func(line string) bool { return line == "" || line == ":" }
	for _, w := range []*follower{bounded, linearizable, stale} {
		w.next(beat)
		w.next(beat) // not by the first alone
	}
	cl.cutOff.Store(true)
	bounded.drain()
	linearizable.drain()
	stale.next(beat)
	stale.next(beat)
	f.get(path).problem(t, registry.Unavailable)
}

func TestEventStreamsAreBounded(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{api: func(c *Config) { c.MaxStreams = 2 }})
	f.followEvents(wire.PathEvents)
	w := f.followEvents(wire.PathEvents)
	f.get(wire.PathEvents).problem(t, registry.Unavailable)
	w.cancel()
	eventually(t, "the place of a stream that ended", func() bool { return f.get(wire.EventsPath(nil, 0, false)).StatusCode == 200 })
}

// TestCloseEndsAReaderFarBehind: who has so much to read that the server never waits is ended too, and who
// wanted the journal as it is now is not told that this was all.
func TestCloseEndsAReaderFarBehind(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	var body []byte
	for range 2*eventPage + 10 {
		k := newKey(t)
		p := &party{f: f, rotation: []jws.PrivateKey{k}}
		p.record = registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{k.Public().Multikey()}, Strands: registry.PadStrands(nil)}
		body = fmt.Appendf(body, "%q\n", p.sign(nil).Bytes())
	}
	f.post(wire.PathBatch, wire.TypeNDJSON, body).want(t, http.StatusOK)
	if n := f.store.NextPosition(); n <= 2*eventPage {
		t.Fatalf("the journal has %d entries", n)
	}
	f.Close()
	if got := ndjson[wire.Event](t, f.get(wire.PathEvents).want(t, http.StatusOK).body); len(got) != eventPage {
		t.Errorf("%d events after Close, expected one page", len(got))
	}
	res, err := f.client.Get(f.url + wire.EventsPath(nil, 0, false))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("part of the journal, %d bytes, ends as if it were all", n)
	}
}

// TestSlowReader: who stops reading is cut off, however much there is to read, and the batch's goroutines end.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{api: func(c *Config) { c.WriteTimeout = 200 * time.Millisecond }})
	p, _ := f.passport()
	body := []byte("[" + strings.Repeat(`"`+string(p.id)+`",`, wire.MaxResolve-1) + `"` + string(p.id) + `"]`)
	req, err := http.NewRequestWithContext(t.Context(), "POST", f.url+wire.PathResolve, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", wire.TypeJSON)
	res, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the request of a reader that stopped", func() bool {
		return strings.Contains(string(f.get(wire.PathMetrics).body), `dcann_http_requests_total{route="/v1/resolve",status="200"} 1`)
	})
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("the reader still got everything, %d bytes", n)
	}
}
