package node

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dcann/dcann/node/cluster"
)

// metrics are those of a node, beside what api has of requests. DESIGN.md has a table of them all.
type metrics struct {
	node    *Node
	session *session
}

// look is what one collection is made of, taken once for all metrics.
type look struct {
	metrics
	cluster.Status
	ready bool
	known cluster.Overview
}

// metric is one family. of is called for each collection and tells values, none if there is nothing to say.
type metric struct {
	desc *prometheus.Desc
	name string
	help string
	kind prometheus.ValueType // 0: a histogram
	of   func(l look, tell func(value float64, labels ...string))
}

func gauge(name, help string, of func(look) float64) metric {
	return metricOf(name, help, prometheus.GaugeValue, func(l look, tell func(float64, ...string)) { tell(of(l)) })
}

func counter(name, help string, of func(look) float64) metric {
	return metricOf(name, help, prometheus.CounterValue, func(l look, tell func(float64, ...string)) { tell(of(l)) })
}

func metricOf(name, help string, kind prometheus.ValueType, of func(look, func(float64, ...string)), labels ...string) metric {
	return metric{prometheus.NewDesc(name, help, labels, nil), name, help, kind, of}
}

// ofMembers is told by the node that leads, once for each member; of one that it has never heard from only if
// silent says so.
func ofMembers(name, help string, silent bool, of func(cluster.NodeStatus) float64) metric {
	return metricOf(name, help, prometheus.GaugeValue, func(l look, tell func(float64, ...string)) {
		if l.Role != "leader" {
			return
		}
		for _, m := range l.known.Nodes {
			if silent || m.Heard != nil {
				tell(of(m), m.Name)
			}
		}
	}, "member")
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// nodeMetrics is the one list of them.
var nodeMetrics = slices.Concat(healthMetrics, raftMetrics, diskMetrics)

var healthMetrics = []metric{
	gauge("dcann_node_ready", "1 if /readyz says that this node may be sent requests. Page when 0 for 2 minutes.", func(l look) float64 { return is(l.ready) }),
	metricOf("dcann_build_info", "1, with the release that runs.", prometheus.GaugeValue,
		func(l look, tell func(float64, ...string)) { tell(1, l.node.version) }, "version"),
	gauge("dcann_staleness_seconds", "What this node shows may be so old; +Inf before it has caught up. Page when above 5 for a minute: it refuses reads.", func(l look) float64 {
		if !l.Fresh {
			return math.Inf(1)
		}
		return l.Staleness.Seconds()
	}),
	counter("dcann_forwards_total", "Writes that this node sent to the leader.", func(l look) float64 { return float64(l.Forwarded) }),
	counter("dcann_forward_errors_total", "Those that failed, or of which no answer came. Page when more than 1 in 100 for 5 minutes.", func(l look) float64 { return float64(l.ForwardErrors) }),
	counter("dcann_pauses_total", "Times that the process stood still while it led, longer than half a lease. Look when more than 3 an hour.", func(l look) float64 { return float64(l.Pauses) }),
	metricOf("dcann_clock_offset_seconds", "How far this clock is ahead of the voters' median, as the leader finds. Page when beyond 2 either way: beyond 5 it stops leading.", prometheus.GaugeValue,
		func(l look, tell func(float64, ...string)) {
			if l.ClockKnown {
				tell(l.ClockOffset.Seconds())
			}
		}),
	ofMembers("dcann_member_clock_offset_seconds", "How far a member's clock is ahead of the leader's. Page when beyond 2 either way.", false, func(m cluster.NodeStatus) float64 {
		return (time.Duration(m.ClockOffset) * time.Millisecond).Seconds()
	}),
	ofMembers("dcann_member_healthy", "1 if the leader has heard from a member lately and it has caught up. Page when 0 for 5 minutes.", true, func(m cluster.NodeStatus) float64 { return is(m.Healthy) }),
	ofMembers("dcann_member_lag_entries", "Entries that a member has yet to apply, as it last said.", false, func(m cluster.NodeStatus) float64 { return float64(m.Lag) }),
	metricOf("dcann_certificate_expiry_timestamp_seconds", "When a certificate in use ends: node for the other nodes, public for HTTPS. Page 14 days before.", prometheus.GaugeValue, certificates, "certificate"),
}

func certificates(l look, tell func(float64, ...string)) {
	if m := l.node.mesh; m != nil {
		tell(float64(m.Expires().Unix()), "node")
	}
	if c := l.node.cert; c != nil {
		tell(float64(c.current.Load().Leaf.NotAfter.Unix()), "public")
	}
}

var raftMetrics = []metric{
	gauge("dcann_raft_leader", "1 if this node leads. Their sum is 1.", func(l look) float64 { return is(l.Role == "leader") }),
	gauge("dcann_raft_leader_known", "1 if this node knows who leads. Page when 0 for 30 seconds: nothing can be written here.", func(l look) float64 { return is(l.Leader != "") }),
	counter("dcann_raft_leader_changes_total", "Changes of who leads, or of its term. Look when more than 3 an hour.", func(l look) float64 { return float64(l.LeaderChanges) }),
	gauge("dcann_raft_term", "Raft term.", func(l look) float64 { return float64(l.Term) }),
	gauge("dcann_raft_voters", "Members that vote. Look when not what it was set up to be: a dead one is removed after 10 minutes.", func(l look) float64 { return members(l, true) }),
	gauge("dcann_raft_nonvoters", "Members that do not vote: read replicas, and who has not caught up.", func(l look) float64 { return members(l, false) }),
	gauge("dcann_raft_commit_index", "Index that a majority has, as far as this node knows.", func(l look) float64 { return float64(l.Commit) }),
	gauge("dcann_raft_applied_index", "Index that the state shows.", func(l look) float64 { return float64(l.Applied) }),
	gauge("dcann_raft_durable_index", "Index that the state on disk holds.", func(l look) float64 { return float64(l.Durable) }),
	gauge("dcann_raft_apply_lag_entries", "Entries committed and not applied. Page when above 10000 for 5 minutes.", func(l look) float64 { return behind(l.Applied, l.Commit) }),
	gauge("dcann_raft_durable_lag_entries", "Entries applied and not flushed, to be replayed after a crash. Page when it grows for 10 minutes: flushing fails.", func(l look) float64 { return behind(l.Durable, l.Applied) }),
	metricOf("dcann_raft_log_write_seconds", "Time of a write to the Raft log, fsync included. Page when 99 in 100 are not below 0.5 for 10 minutes.", 0, nil),
	gauge("dcann_raft_log_stalled_seconds", "How long the write to the log under way has taken. Page when above 3: at 5 the node is not ready, at 10 it ends.", func(l look) float64 { return l.LogStalled.Seconds() }),
	gauge("dcann_raft_log_bytes", "Bytes of the entries in the Raft log. Look when above 600 MB for an hour: it is to be cut at 268 MB.", func(l look) float64 { return float64(l.LogBytes) }),
	gauge("dcann_raft_queued_commands", "Commands that wait for a batch.", func(l look) float64 { return float64(l.Queued) }),
	counter("dcann_raft_batches_total", "Batches proposed.", func(l look) float64 { return float64(l.Batches) }),
	counter("dcann_raft_commands_total", "Commands proposed in them.", func(l look) float64 { return float64(l.Commands) }),
	counter("dcann_raft_states_sent_total", "Whole states made for nodes that the log does not reach. Look when more than 3 an hour: somebody starts over and over.", func(l look) float64 { return float64(l.StatesSent) }),
	counter("dcann_raft_states_installed_total", "Whole states taken from other nodes. Look when more than 3 an hour.", func(l look) float64 { return float64(l.node.installed.Load()) }),
}

func members(l look, voters bool) float64 {
	n := 0
	for _, m := range l.Members {
		if m.Voter == voters {
			n++
		}
	}
	return float64(n)
}

// behind is how many entries lie between two indexes, which were not read at one moment.
func behind(index, of uint64) float64 { return float64(of - min(index, of)) }

var diskMetrics = []metric{
	gauge("dcann_disk_free_bytes", "Bytes that may still be written where the data is. Page when below 4 times min-free (1 GiB unless set).", func(l look) float64 { return float64(l.Free) }),
	gauge("dcann_disk_low", "1 if writes are refused for want of free disk. Page at once.", func(l look) float64 { return is(l.Free < l.node.config.MinFree) }),
	gauge("dcann_state_disk_bytes", "Bytes of the state on disk.", func(l look) float64 { return float64(l.session.store.Metrics().DiskBytes) }),
	gauge("dcann_state_level", "Level of the state (dcann cluster upgrade).", func(l look) float64 { return float64(l.session.store.Level()) }),
	gauge("dcann_journal_entries", "Entries of the journal.", func(l look) float64 { return float64(l.session.store.NextPosition()) }),
}

// registerMetrics adds what is the node's to the metrics that api has of requests.
func (n *Node) registerMetrics(s *session) {
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.metrics.MustRegister(metrics{n, s})
}

// Describe implements prometheus.Collector.
func (m metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range nodeMetrics {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	l := look{metrics: m, Status: m.session.cluster.Status(), ready: m.session.cluster.Ready() == nil && m.session.store.Policy() != nil, known: m.session.cluster.Known()}
	for _, f := range nodeMetrics {
		if f.kind == 0 {
			h := l.LogWrites
			ch <- prometheus.MustNewConstHistogram(f.desc, h.Count, h.Sum.Seconds(), h.Counts)
			continue
		}
		f.of(l, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
		})
	}
}
