package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dcann/dcann/node/cluster"
)

// clusterCollector shows cluster.Status as metrics: one look for all of them.
type clusterCollector struct{ cluster *cluster.Cluster }

// clusterMetrics is the one list of these metrics.
var clusterMetrics = []clusterMetric{
	gaugeOf("dcann_raft_leader", "1 if this node leads.", func(s cluster.Status) float64 {
		if s.Role == "leader" {
			return 1
		}
		return 0
	}),
	gaugeOf("dcann_raft_members", "Members of the cluster.", func(s cluster.Status) float64 { return float64(len(s.Members)) }),
	gaugeOf("dcann_raft_term", "Raft term.", func(s cluster.Status) float64 { return float64(s.Term) }),
	gaugeOf("dcann_raft_commit_index", "Index that a majority has.", func(s cluster.Status) float64 { return float64(s.Commit) }),
	gaugeOf("dcann_raft_applied_index", "Index that the state shows.", func(s cluster.Status) float64 { return float64(s.Applied) }),
	gaugeOf("dcann_raft_durable_index", "Index that the state on disk holds.", func(s cluster.Status) float64 { return float64(s.Durable) }),
	gaugeOf("dcann_raft_log_bytes", "Bytes of the entries in the Raft log.", func(s cluster.Status) float64 { return float64(s.LogBytes) }),
	gaugeOf("dcann_raft_log_stalled_seconds", "How long the present write to the log has taken.", func(s cluster.Status) float64 { return s.LogStalled.Seconds() }),
	gaugeOf("dcann_raft_queued_commands", "Commands that wait for a batch.", func(s cluster.Status) float64 { return float64(s.Queued) }),
	gaugeOf("dcann_disk_free_bytes", "Bytes that may still be written where the data is.", func(s cluster.Status) float64 { return float64(s.Free) }),
	counterOf("dcann_raft_batches_total", "Batches proposed.", func(s cluster.Status) float64 { return float64(s.Batches) }),
	counterOf("dcann_raft_commands_total", "Commands proposed in them.", func(s cluster.Status) float64 { return float64(s.Commands) }),
}

type clusterMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(s cluster.Status) float64
}

func gaugeOf(name, help string, of func(cluster.Status) float64) clusterMetric {
	return clusterMetric{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, of}
}

func counterOf(name, help string, of func(cluster.Status) float64) clusterMetric {
	return clusterMetric{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, of}
}

// Describe implements prometheus.Collector.
func (c *clusterCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range clusterMetrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *clusterCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.cluster.Status()
	for _, m := range clusterMetrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s))
	}
}
