package api

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// limits are the limits per address of this node (DESIGN 6, rule 7; DESIGN 12). They live in memory only.
type limits struct {
	proxies     []netip.Prefix
	loopbackToo bool
	requests    *buckets // nil: no limit
	creations   *buckets // nil: no limit

	streams, batches, resolves *shares
}

func newLimits(c Config) *limits {
	l := &limits{proxies: c.TrustedProxies, loopbackToo: c.LimitLoopback}
	l.streams = newShares("streams of events", wire.MaxStreamsPerAddress)
	l.batches = newShares("batches of operations", wire.MaxBatchesPerAddress)
	l.resolves = newShares("batches of identifiers", wire.MaxResolvesPerAddress)
	if n := c.RequestsPerSecond; n > 0 {
		l.requests = newBuckets(float64(n), float64(2*n))
	}
	if n := c.CreationsPerHour; n > 0 {
		l.creations = newBuckets(float64(n)/3600, float64(n))
	}
	return l
}

// exempt reports whether r is not limited. It is asked by every request, so the usual case, a client on
// this machine and no proxies, parses nothing.
func (l *limits) exempt(r *http.Request) (netip.Addr, bool) {
	if !l.loopbackToo && len(l.proxies) == 0 && isLoopback(r.RemoteAddr) {
		return netip.Addr{}, true
	}
	addr, local := l.clientAddress(r)
	return network(addr), local && !l.loopbackToo
}

// request counts one request. The error's kind is Quota.
func (l *limits) request(r *http.Request) error {
	if l.requests == nil {
		return nil
	}
	addr, exempt := l.exempt(r)
	if exempt {
		return nil
	}
	if wait := l.requests.take(addr, 1, time.Now()); wait > 0 {
		return &registry.Error{Kind: registry.Quota, RetryAfter: wait,
			Detail: "more requests from this address than the registry's limit: see requestsPerSecond at /.well-known/dcann-registry"}
	}
	return nil
}

// charge counts the further work of a request that was let in; it never refuses.
func (l *limits) charge(r *http.Request, n int) {
	if l.requests == nil {
		return
	}
	if addr, exempt := l.exempt(r); !exempt {
		l.requests.give(addr, -float64(n), time.Now())
	}
}

// creation takes one of the records that an address may create; give undoes that when none was created. The
// error's kind is Quota.
func (l *limits) creation(r *http.Request) (give func(), err error) {
	if l.creations == nil {
		return func() {}, nil
	}
	addr, exempt := l.exempt(r)
	if exempt {
		return func() {}, nil
	}
	if wait := l.creations.take(addr, 1, time.Now()); wait > 0 {
		return nil, &registry.Error{Kind: registry.Quota, RetryAfter: wait,
			Detail: "more records created from this address than the registry's limit: see creationsPerHour at /.well-known/dcann-registry"}
	}
	return func() { l.creations.give(addr, 1, time.Now()) }, nil
}

// buckets are token buckets by address: rate tokens a second, burst at most. What x/time/rate does, but in
// a table of bounded size, and tokens can be given back.
type buckets struct {
	rate, burst float64
	seed        maphash.Seed
	shards      [bucketShards]bucketShard
}

const (
	bucketShards   = 64
	bucketsInShard = 2048 // in all about 130,000 addresses, 10 MB
)

type bucketShard struct {
	mu      sync.Mutex
	entries map[netip.Addr]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newBuckets(rate, burst float64) *buckets {
	b := &buckets{rate: rate, burst: burst, seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].entries = make(map[netip.Addr]bucket)
	}
	return b
}

// take takes n tokens, or says how long until there are so many.
func (b *buckets) take(a netip.Addr, n float64, now time.Time) (wait time.Duration) {
	s := b.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := b.fill(s, a, now)
	if e.tokens >= n {
		e.tokens -= n
	} else {
		wait = time.Duration((n - e.tokens) / b.rate * float64(time.Second))
	}
	s.entries[a] = e
	return wait
}

// give gives n tokens, or takes them if n is negative, down to a whole burst of debt.
func (b *buckets) give(a netip.Addr, n float64, now time.Time) {
	s := b.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := b.fill(s, a, now)
	e.tokens = max(min(e.tokens+n, b.burst), -b.burst)
	s.entries[a] = e
}

func (b *buckets) shard(a netip.Addr) *bucketShard {
	return &b.shards[maphash.Comparable(b.seed, a)%bucketShards]
}

// fill is the entry of a as it is now. The shard is locked.
func (b *buckets) fill(s *bucketShard, a netip.Addr, now time.Time) bucket {
	e, ok := s.entries[a]
	if !ok {
		if len(s.entries) >= bucketsInShard {
			b.forget(s, now)
		}
		return bucket{tokens: b.burst, at: now}
	}
	return b.refill(e, now)
}

func (b *buckets) refill(e bucket, now time.Time) bucket {
	if passed := now.Sub(e.at); passed > 0 {
		e.tokens, e.at = min(e.tokens+passed.Seconds()*b.rate, b.burst), now
	}
	return e
}

// forget makes room: of a few entries, taken as the map gives them, the fullest goes. Whoever is over the
// limit is therefore the last to be forgotten, however many addresses come along.
func (b *buckets) forget(s *bucketShard, now time.Time) {
	var victim netip.Addr
	most, looked := -b.burst-1, 0
	for a, e := range s.entries {
		if t := b.refill(e, now).tokens; t > most {
			victim, most = a, t
		}
		if looked++; looked == 16 || most >= b.burst {
			break
		}
	}
	delete(s.entries, victim)
}
