package api

import (
	"context"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// Config is what the server is told. The zero value of each field means its default.
type Config struct {
	// Version is that of the software, for /.well-known/dcann-registry. Default "dev".
	Version string

	// TrustedProxies are networks whose X-Forwarded-For is believed, from the right, up to the first
	// address that is in none of them. Default: none.
	TrustedProxies []netip.Prefix

	// LimitLoopback applies the limits per address, of rates and of what is answered at a time, to clients on
	// this machine too (DESIGN 6, rule 7).
	LimitLoopback bool

	// RequestsPerSecond is how many requests one address may make in the long run, twice as many at once;
	// an IPv6 address counts as its /64. Batches count for more: see wire.BatchCost and wire.ResolveCost.
	// Default 1000; negative: no limit.
	RequestsPerSecond int

	// CreationsPerHour is how many records one address may create, counted on this node alone and never
	// stored (DESIGN 6, rule 7). Default 100; negative: no limit.
	CreationsPerHour int

	// CacheBytes bounds the rendered answers kept in memory. Default 128 MiB; negative: none.
	CacheBytes int64

	// MaxStreams is how many events streams are served at a time. Default wire.MaxStreams.
	MaxStreams int

	// MaxBatches is how many batches of operations are taken in at a time. Default wire.MaxBatches.
	MaxBatches int

	// WriteTimeout is how long a reader of a stream may leave one write of at most 64 KiB waiting, and
	// ReadTimeout how long the sender of a batch of operations may be silent. Default those of wire.
	WriteTimeout time.Duration
	ReadTimeout  time.Duration

	// MaxBatchTime is how long sending a batch of operations may take in all. Default wire.MaxBatchTime.
	MaxBatchTime time.Duration

	// Heartbeat is how long a stream of events may be silent. Default wire.Heartbeat.
	Heartbeat time.Duration

	// Metrics is where this server's metrics are registered and what /metrics serves. Default: one of its own.
	Metrics *prometheus.Registry
}

// The defaults of Config.
const (
	DefaultRequestsPerSecond = 1000
	DefaultCreationsPerHour  = 100
	DefaultCacheBytes        = 128 << 20
)

// Cluster is what the server needs of Raft; *cluster.Cluster is one. All methods are safe for concurrent use.
type Cluster interface {
	// The writes return what Apply said, its refusal as the error. The error has a registry kind.
	SubmitOperation(context.Context, *registry.Operation) (state.Result, error)
	SubmitStatus(context.Context, *registry.StatusStatement) (state.Result, error)
	SubmitAcceptance(context.Context, *registry.Acceptance) (state.Result, error)

	Bounded() error                          // Unavailable unless the leader was heard from at most 5 s ago
	ReadIndex(context.Context) error         // returns when all that was acknowledged before is applied here
	WaitIndex(context.Context, uint64) error // returns when that index is applied here
	AppliedIndex() uint64

	// Staleness is how long ago everything that was acknowledged is certain to be in what this node shows, 0
	// if nobody else can have acknowledged anything; not known before a leader was heard from. Every read asks.
	Staleness() (age time.Duration, known bool)

	Ready() error // nil if this node may be sent requests, else why not
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "dev"
	}
	positive(&c.RequestsPerSecond, DefaultRequestsPerSecond)
	positive(&c.CreationsPerHour, DefaultCreationsPerHour)
	positive(&c.CacheBytes, DefaultCacheBytes)
	positive(&c.MaxStreams, wire.MaxStreams)
	positive(&c.MaxBatches, wire.MaxBatches)
	positive(&c.WriteTimeout, wire.WriteTimeout)
	positive(&c.ReadTimeout, wire.ReadTimeout)
	positive(&c.MaxBatchTime, wire.MaxBatchTime)
	positive(&c.Heartbeat, wire.Heartbeat)
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return c
}

// positive replaces 0 by the default, and what is negative by 0, which is "none" from here on.
func positive[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
	*v = max(*v, 0)
}
