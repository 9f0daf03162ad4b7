package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

func TestStaleness(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		age   time.Duration
		known bool
		want  string
	}{
		{0, true, "0"}, {-1, true, "0"}, {1, true, "1"}, {time.Second, true, "1"}, {time.Second + 1, true, "2"},
		{63 * time.Second, true, "63"}, {63*time.Second + 1, true, "64"}, {48 * time.Hour, true, "172800"},
		{0, false, wire.StalenessUnknown}, {time.Second, false, wire.StalenessUnknown},
	} {
		if got := stalenessValue(c.age, c.known); len(got) != 1 || got[0] != c.want {
			t.Errorf("%v, %v: %q, expected %s", c.age, c.known, got, c.want)
		}
	}
}

// TestReadsTellStaleness: every read does, as of before anything was looked up; a write does not.
func TestReadsTellStaleness(t *testing.T) {
	t.Parallel()
	cl := &faulty{staleness: func() (time.Duration, bool) { return 3500 * time.Millisecond, true }}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	told := func(a answer, want string) {
		t.Helper()
		a.want(t, a.StatusCode)
		if got := a.Header.Get("Dcann-Staleness"); got != want || a.Header.Get("Dcann-Index") == "" && want != "" {
			t.Errorf("%s %s: staleness %q, expected %q; %v", a.Request.Method, a.Request.URL, got, want, a.Header)
		}
	}
	did := string(p.id)
	absent := registry.ID(did[:len(did)-2] + "aa") // its last letter has bits to spare: a is always canonical
	all := func(query, want string) {
		t.Helper()
		for range 3 { // also from the cache
			told(f.get(wire.PathIdentifiers+did+query), want)
		}
		told(f.get(wire.RecordPath(p.id)+query), want)
		told(f.get(wire.HistoryPath(p.id, nil, 0)+query), want)
		told(f.get(wire.RecordPath(absent)+query).want(t, 404), want)
		told(f.get(wire.HistoryPath(absent, nil, 0)+query).want(t, 404), want)
		told(f.get(wire.PathIdentifiers+string(absent)+query).want(t, 404), want)
		told(f.get(wire.PathOrganisations+query), want)
		told(f.get(wire.PathEvents+"?follow=false"+strings.Replace(query, "?", "&", 1)), want)
		told(f.post(wire.PathResolve+query, wire.TypeJSON, fmt.Appendf(nil, "[%q]", did)), want)
		told(f.post(wire.PathIdentifiers+did+query, wire.TypeJSON, []byte("{}")), want)
	}
	all("", "4")
	all("?consistency=bounded", "4")
	all("?consistency=stale&min_index=1", "4")
	all("?consistency=linearizable", "0")
	cl.staleness = func() (time.Duration, bool) { return 0, false }
	all("?consistency=stale", wire.StalenessUnknown)
	told(f.get(wire.PathRegistry), wire.StalenessUnknown)
	etag := f.get(wire.RecordPath(p.id)).Header.Get("Etag")
	told(f.get(wire.RecordPath(p.id), "If-None-Match", etag).want(t, 304), wire.StalenessUnknown)
	told(f.post(wire.PathOperations, wire.TypeOperation, p.sign(nil).Bytes()).want(t, 201), "")
	if a := f.get(wire.PathRegistry); !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "Dcann-Staleness") {
		t.Errorf("not exposed to browsers: %v", a.Header)
	}
	cl.staleness = nil
	told(f.get(wire.RecordPath(p.id)), "0") // the only voter
}

// TestStalenessIsTakenFirst: what happens between the moment that the headers speak of and the look-up is seen.
func TestStalenessIsTakenFirst(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	for _, path := range []string{wire.RecordPath(p.id), wire.HistoryPath(p.id, nil, 0), wire.PathIdentifiers + string(p.id)} {
		f.get(path)
		f.get(path) // in the cache
		op := p.sign(nil)
		cl.staleness = func() (time.Duration, bool) {
			cl.staleness = nil
			if _, err := cl.Cluster.SubmitOperation(t.Context(), op); err != nil {
				t.Error(err)
			}
			return 0, true
		}
		if a := f.get(path).want(t, 200); !bytes.Contains(a.body, []byte(op.Name)) {
			t.Errorf("%s does not show what was written before it was looked up: %s", path, a.body)
		}
		p.head, p.seq = op.Name, p.seq+1
	}
}

// TestLengthIsTold whether we do it or net/http, and with no more headers than fit: see rendered.send.
func TestLengthIsTold(t *testing.T) {
	t.Parallel()
	for _, vary := range [][]string{nil, valueVaryAccept} {
		for _, size := range []int{0, 1, 1000, measured - 1, measured, measured + 1, 3 * measured} {
			a := newRendered(http.StatusOK, valueJSON, vary, make([]byte, size), &state.View{}, 1)
			headers := 0
			e := echo.New()
			e.Any("/", func(c echo.Context) error {
				err := a.send(c, asOf{index: []string{"7"}, staleness: valueUnknown})
				headers = len(c.Response().Header())
				return err
			})
			server := httptest.NewServer(e)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				if size == 0 && method == http.MethodHead {
					continue // no answer of ours is empty
				}
				req, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := server.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || method == http.MethodGet && len(body) != size || res.Header.Get("Content-Length") != strconv.Itoa(size) {
					t.Errorf("%s of %d bytes, vary %v: %d bytes, %v, %v", method, size, vary, len(body), res.Header, err)
				}
				if headers > 8 && size <= measured {
					t.Errorf("%d bytes, vary %v: %d headers do not fit", size, vary, headers)
				}
			}
			server.Close()
		}
	}
}

// TestIndexOfAWrite: on a node that did not apply it yet, the index is that of the entry all the same.
func TestIndexOfAWrite(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	op := p.sign(nil)
	index := func(a answer) uint64 {
		t.Helper()
		n, err := strconv.ParseUint(a.Header.Get("Dcann-Index"), 10, 64)
		if err != nil {
			t.Fatalf("%v in %v", err, a.Header)
		}
		return n
	}
	batch := fmt.Appendf(nil, "%q\n%q\n", op.Bytes(), "hello")
	for _, known := range []bool{false, true} {
		status := map[bool]int{false: 201, true: 200}[known]
		cl.submit = func() (state.Result, error) {
			return state.Result{ID: op.ID, Op: op.Name, Seq: 1, Position: 1, Index: 1 << 40, Known: known}, nil
		}
		if n := index(f.post(wire.PathOperations, wire.TypeOperation, op.Bytes()).want(t, status)); n != 1<<40 {
			t.Errorf("known %v: index %d", known, n)
		}
		a := f.post(wire.PathBatch, wire.TypeNDJSON, batch).want(t, 200)
		lines := ndjson[wire.BatchLine](t, a.body)
		if n := index(a); n != 1<<40 || len(lines) != 2 || lines[0].Index == nil || *lines[0].Index != 1<<40 || lines[1].Index != nil {
			t.Errorf("a batch, known %v: index %d, %s", known, n, a.body)
		}
	}
	cl.submit = func() (state.Result, error) { return state.Result{ID: op.ID, Op: op.Name, Index: 1, Known: true}, nil }
	if n := index(f.post(wire.PathOperations, wire.TypeOperation, op.Bytes()).want(t, 200)); n != f.cluster.AppliedIndex() {
		t.Errorf("an old entry: index %d, applied %d", n, f.cluster.AppliedIndex())
	}
	cl.submit = nil
	if n := index(f.post(wire.PathOperations, wire.TypeOperation, op.Bytes()).want(t, 201)); n < 3 || n > f.cluster.AppliedIndex() {
		t.Errorf("index %d, applied %d", n, f.cluster.AppliedIndex())
	}
}

// TestOverTheLimitOnALaggingNode: a creation beyond the limit of its address is judged by the state as it
// is, not as this node has it, and not at all when that cannot be known.
func TestOverTheLimitOnALaggingNode(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{
		api:  func(c *Config) { c.CreationsPerHour, c.LimitLoopback = 1, true },
		raft: func(c Cluster) Cluster { cl.Cluster = c; return cl },
	})
	f.passport() // uses the limit up
	draft := func() *registry.Operation {
		k := newKey(t)
		p := &party{f: f, rotation: []jws.PrivateKey{k}}
		p.record = registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{k.Public().Multikey()}, Strands: registry.PadStrands(nil)}
		return p.sign(nil)
	}
	op := draft()
	send := func() answer { return f.post(wire.PathOperations, wire.TypeOperation, op.Bytes()) }
	cl.read = &registry.Error{Kind: registry.Unavailable, Detail: "no leader", RetryAfter: 3 * time.Second}
	if p := send().problem(t, registry.Unavailable); p.RetryAfter != 3 {
		t.Errorf("without a leader: %+v", p)
	}
	cl.read = context.DeadlineExceeded
	send().problem(t, registry.Unavailable)
	cl.read = nil
	send().problem(t, registry.Quota)
	cl.reading = func() { // meanwhile another node takes it, and this one catches up
		if _, err := cl.Cluster.SubmitOperation(t.Context(), op); err != nil {
			t.Error(err)
		}
	}
	send().want(t, 200)
}

// TestUnavailableSaysWhen: every 503 has Retry-After, and no wait for the cluster is without an end.
func TestUnavailableSaysWhen(t *testing.T) {
	t.Parallel()
	cl := &faulty{bounding: func(ctx context.Context) {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > wire.MaxWait {
			t.Errorf("the cluster may take until %v", deadline)
		}
	}}
	f := newServer(t, setting{raft: func(c Cluster) Cluster { cl.Cluster = c; return cl }})
	p, _ := f.passport()
	did := string(p.id)
	status, err := registry.StatusContent{Sub: p.id, Head: p.head, Status: registry.OrgActive, Epoch: 1, Iat: time.Now().Unix()}.Sign(f.accreditation)
	if err != nil {
		t.Fatal(err)
	}
	acceptance, err := registry.AcceptanceContent{Iss: p.id, Sub: p.id, Strand: registry.PadStrands(nil)[0], Accepted: new(bool), Iat: time.Now().Unix()}.Sign(newKey(t), "sign-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]error{
		"a refusal":   &registry.Error{Kind: registry.Unavailable, Detail: "no leader"},
		"a time-out":  context.DeadlineExceeded,
		"a given up":  context.Canceled,
		"with a time": &registry.Error{Kind: registry.Unavailable, Detail: "no leader", RetryAfter: 1500 * time.Millisecond},
	} {
		cl.bounded = &registry.Error{Kind: registry.Unavailable, Detail: "not heard from a leader"}
		if own, ok := errors.AsType[*registry.Error](fault); ok {
			cl.bounded = own
		}
		cl.read, cl.wait, cl.ready, cl.fault = fault, fault, fault, fault
		for _, q := range []string{"", "?consistency=linearizable", "?consistency=stale&min_index=99999999"} {
			batch := fmt.Appendf(nil, "[%q]", did)
			for _, a := range []answer{
				f.get(wire.PathIdentifiers + did + q), f.get(wire.RecordPath(p.id) + q), f.get(wire.HistoryPath(p.id, nil, 0) + q),
				f.get(wire.PathOrganisations + q), f.get(wire.PathEvents + q), f.post(wire.PathResolve+q, wire.TypeJSON, batch),
				f.post(wire.PathIdentifiers+did+q, wire.TypeJSON, []byte("{}")), f.get(wire.PathReady),
				f.post(wire.PathOperations, wire.TypeOperation, p.sign(nil).Bytes()),
				f.post(wire.PathStatuses, wire.TypeStatement, []byte(status.Compact())), f.post(wire.PathAcceptances, wire.TypeStatement, []byte(acceptance.Compact())),
			} {
				pr := a.problem(t, registry.Unavailable)
				if seconds := a.Header.Get("Retry-After"); pr.RetryAfter < 1 || seconds != strconv.FormatInt(pr.RetryAfter, 10) || name == "with a time" && seconds != "2" {
					t.Errorf("%s, %s %s: Retry-After %q, %+v", name, a.Request.Method, a.Request.URL, seconds, pr)
				}
			}
		}
		a := f.post(wire.PathBatch, wire.TypeNDJSON, fmt.Appendf(nil, "%q\n", p.sign(nil).Bytes())).want(t, 200)
		if got := ndjson[wire.BatchLine](t, a.body); len(got) != 1 || got[0].Status != 503 || got[0].Problem.RetryAfter < 1 {
			t.Errorf("%s, a line of a batch: %s", name, a.body)
		}
	}
}

// TestServerOfAnotherHandler has the same caps; what is switched off stays off.
func TestServerOfAnotherHandler(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{api: func(c *Config) { c.ReadTimeout = -1 }})
	own, other := f.HTTPServer(), HTTPServer(Config{ReadTimeout: -1}, http.NotFoundHandler(), f.Server.log)
	if own.ReadTimeout != 0 || other.ReadTimeout != 0 || own.MaxHeaderBytes != other.MaxHeaderBytes || own.WriteTimeout != other.WriteTimeout || other.WriteTimeout == 0 {
		t.Errorf("read %v and %v, write %v and %v", own.ReadTimeout, other.ReadTimeout, own.WriteTimeout, other.WriteTimeout)
	}
}
