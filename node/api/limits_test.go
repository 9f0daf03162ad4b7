package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.0/8")}
	for name, c := range map[string]struct {
		remote  string
		header  []string
		proxies []netip.Prefix
		want    string
		local   bool
	}{
		"direct":                   {"192.0.2.1:5", nil, nil, "192.0.2.1", false},
		"loopback":                 {"127.0.0.1:5", nil, nil, "127.0.0.1", true},
		"loopback of six":          {"[::1]:5", nil, nil, "::1", true},
		"mapped":                   {"[::ffff:192.0.2.1]:5", nil, nil, "192.0.2.1", false},
		"untrusted header":         {"192.0.2.1:5", []string{"198.51.100.7"}, proxies, "192.0.2.1", false},
		"no proxies at all":        {"10.0.0.1:5", []string{"198.51.100.7"}, nil, "10.0.0.1", false},
		"one proxy":                {"10.0.0.1:5", []string{"198.51.100.7"}, proxies, "198.51.100.7", false},
		"forged on the left":       {"10.0.0.1:5", []string{"1.1.1.1, 198.51.100.7"}, proxies, "198.51.100.7", false},
		"two proxies":              {"10.0.0.1:5", []string{"1.1.1.1, 198.51.100.7,10.2.3.4"}, proxies, "198.51.100.7", false},
		"two headers":              {"10.0.0.1:5", []string{"198.51.100.7", "10.2.3.4"}, proxies, "198.51.100.7", false},
		"with port":                {"10.0.0.1:5", []string{"198.51.100.7:80"}, proxies, "198.51.100.7", false},
		"six with port":            {"[fd00::1]:5", []string{"[2001:db8::1]:80"}, proxies, "2001:db8::1", false},
		"all trusted":              {"10.0.0.1:5", []string{"10.1.1.1"}, proxies, "10.1.1.1", false},
		"trusted, says nothing":    {"10.0.0.1:5", nil, proxies, "10.0.0.1", false},
		"a proxy here":             {"127.0.0.1:5", []string{"127.0.0.9"}, proxies, "127.0.0.9", false},
		"nonsense from a proxy":    {"10.0.0.1:5", []string{"hello"}, proxies, "invalid IP", false},
		"nonsense behind a client": {"10.0.0.1:5", []string{"hello, 198.51.100.7"}, proxies, "198.51.100.7", false},
		"a unix socket":            {"@", nil, nil, "invalid IP", true},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.header}}
		got, local := (&limits{proxies: c.proxies}).clientAddress(r)
		if got.String() != c.want || local != c.local {
			t.Errorf("%s: %s %v, expected %s %v", name, got, local, c.want, c.local)
		}
	}
	if network(netip.MustParseAddr("2001:db8::1")) != network(netip.MustParseAddr("2001:db8::ffff:1")) || network(netip.MustParseAddr("2001:db8:0:1::1")) == network(netip.MustParseAddr("2001:db8::1")) {
		t.Error("an IPv6 address counts as its /64")
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := newBuckets(10, 20)
	a := netip.MustParseAddr("192.0.2.1")
	for i := range 20 {
		if wait := b.take(a, 1, now); wait != 0 {
			t.Fatalf("take %d: wait %v", i, wait)
		}
	}
	if wait := b.take(a, 1, now); wait != 100*time.Millisecond {
		t.Errorf("over the burst: wait %v", wait)
	}
	if wait := b.take(netip.MustParseAddr("192.0.2.2"), 1, now); wait != 0 {
		t.Errorf("another address: wait %v", wait)
	}
	if wait := b.take(a, 1, now.Add(100*time.Millisecond)); wait != 0 {
		t.Errorf("after the wait: %v", wait)
	}
	b.give(a, 1, now.Add(100*time.Millisecond))
	if wait := b.take(a, 1, now.Add(100*time.Millisecond)); wait != 0 {
		t.Errorf("given back: wait %v", wait)
	}
	b.give(a, -1000, now.Add(100*time.Millisecond))
	if wait := b.take(a, 1, now.Add(100*time.Millisecond)); wait != 2100*time.Millisecond {
		t.Errorf("in debt: wait %v, expected no more than a burst of it", wait)
	}
	if wait := b.take(a, 1, now); wait == 0 {
		t.Error("a clock that goes back gives tokens")
	}
}

// TestBucketsForgetTheInnocent: however many addresses come, the table stays small and the one over its
// limit is not forgotten.
func TestBucketsForgetTheInnocent(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := newBuckets(1, 2)
	bad := netip.MustParseAddr("192.0.2.1")
	for range 3 {
		b.take(bad, 1, now)
	}
	addr := netip.MustParseAddr("10.0.0.0")
	for range 3 * bucketShards * bucketsInShard {
		addr = addr.Next()
		b.take(addr, 1, now)
	}
	total := 0
	for i := range b.shards {
		total += len(b.shards[i].entries)
	}
	if total > bucketShards*bucketsInShard {
		t.Errorf("%d addresses are remembered", total)
	}
	if wait := b.take(bad, 1, now); wait == 0 {
		t.Error("an address over its limit was forgotten")
	}
}

func TestRequestLimit(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{api: func(c *Config) {
		c.RequestsPerSecond, c.TrustedProxies = 1, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}})
	from := func(addr string) answer { return f.get(wire.PathRegistry, "X-Forwarded-For", addr) }
	for range 2 {
		from("192.0.2.1").want(t, 200)
	}
	a := from("192.0.2.1")
	if p := a.problem(t, registry.Quota); p.RetryAfter != 1 || a.Header.Get("Retry-After") != "1" {
		t.Errorf("over the limit: %+v %v", p, a.Header)
	}
	from("192.0.2.2").want(t, 200)
	for range 5 {
		f.get(wire.PathLive, "X-Forwarded-For", "192.0.2.1").want(t, 200)
	}
	if !strings.Contains(string(f.get(wire.PathMetrics).body), `dcann_http_limited_total{limit="requests"} 1`) {
		t.Error("the refusal is not counted")
	}
}

// TestCreationLimit: 429 comes last; what is known, or refused anyway, is answered as always, and only
// records that came to be are counted.
func TestCreationLimit(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{api: func(c *Config) { c.CreationsPerHour, c.LimitLoopback = 2, true }})
	first, _ := f.passport()
	created := f.get(wire.HistoryPath(first.id, nil, 1)).want(t, 200)
	var h wire.History
	decode(t, created.body, &h)
	again := []byte(h.Operations[0].Operation)
	draft := func(change func(*registry.Content)) []byte {
		k := newKey(t)
		p := &party{f: f, rotation: []jws.PrivateKey{k}}
		p.record = registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{k.Public().Multikey()}, Strands: registry.PadStrands(nil)}
		return p.sign(change).Bytes()
	}
	old := func(c *registry.Content) { c.Iat -= 3600 }
	send := func(raw []byte) answer { return f.post(wire.PathOperations, wire.TypeOperation, raw) }
	for range 3 {
		send(again).want(t, 200)
		send(draft(old)).problem(t, registry.Invalid)
	}
	send(draft(nil)).want(t, 201)
	a := send(draft(nil))
	if p := a.problem(t, registry.Quota); p.RetryAfter < 60 || !strings.Contains(p.Detail, "creationsPerHour") {
		t.Errorf("over the limit: %+v", p)
	}
	send(again).want(t, 200)
	send(draft(old)).problem(t, registry.Invalid)
	first.update(nil) // others than creations are not counted
	batch := fmt.Appendf(nil, "%q\n%q\n", again, draft(nil))
	if got := ndjson[wire.BatchLine](t, f.post(wire.PathBatch, wire.TypeNDJSON, batch).want(t, 200).body); got[0].Status != 200 || got[1].Status != 429 {
		t.Errorf("in a batch: %+v", got)
	}
}

// A node whose clock is not quite the leader's refused a creation over the limit for its date, falsely and for good,
// where the leader would not have. Whether it is dated wrongly is the leader's to say.
func TestOverTheLimitTheLeaderJudgesTheDate(t *testing.T) {
	t.Parallel()
	var leader *judge
	f := newServer(t, setting{
		api:  func(c *Config) { c.CreationsPerHour, c.LimitLoopback = 1, true },
		raft: func(c Cluster) Cluster { leader = &judge{Cluster: c}; return leader },
	})
	f.passport()
	skew := time.Duration(f.store.Policy().MaxClockSkew) * time.Second
	for _, tt := range []struct {
		what  string
		off   time.Duration
		asked bool
		kind  registry.Kind
	}{
		{"a little too old", -skew - clockDoubt/2, false, registry.Quota},
		{"a little too new", skew + clockDoubt/2, false, registry.Quota},
		{"too old", -skew - 2*clockDoubt, true, registry.Invalid},
		{"too new", skew + 2*clockDoubt, true, registry.Invalid},
	} {
		k := newKey(t)
		p := &party{f: f, rotation: []jws.PrivateKey{k}}
		p.record = registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{k.Public().Multikey()}, Strands: registry.PadStrands(nil)}
		raw := p.sign(func(c *registry.Content) { c.Iat += int64(tt.off / time.Second) }).Bytes()
		before := leader.asked.Load()
		f.post(wire.PathOperations, wire.TypeOperation, raw).problem(t, tt.kind)
		if asked := leader.asked.Load() > before; asked != tt.asked {
			t.Errorf("%s: the leader was asked: %v, expected %v", tt.what, asked, tt.asked)
		}
	}
}

// judge counts what the leader is asked.
type judge struct {
	Cluster
	asked atomic.Int64
}

func (j *judge) SubmitOperation(ctx context.Context, op *registry.Operation) (state.Result, error) {
	j.asked.Add(1)
	return j.Cluster.SubmitOperation(ctx, op)
}
