package node

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var metricRow = regexp.MustCompile("(?m)^\\| `(dcann_\\w+)` \\| (\\w+) \\| (.*) \\|$")

// TestMetricsTable holds the table of metrics in DESIGN.md to the code, and sees that every page is explained.
func TestMetricsTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n## Metrics\n")
	table, pages, _ := strings.Cut(after, "\n## Pages\n")
	listed := map[string]string{}
	for _, row := range metricRow.FindAllStringSubmatch(table, -1) {
		listed[row[1]] = row[2] + ": " + row[3]
	}

	n := runNode(t, nil)
	if res, err := http.Get(n.URL() + "/v1/records/did:dcann:none"); err != nil { // some metrics need an answer first
		t.Fatal(err)
	} else {
		res.Body.Close()
	}
	families, err := n.current.Load().metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "dcann_") {
			have[f.GetName()] = strings.ToLower(f.GetType().String()) + ": " + f.GetHelp()
		}
	}
	for _, m := range nodeMetrics { // those too that a node which is alone has nothing to tell of
		have[m.name] = map[prometheus.ValueType]string{0: "histogram", prometheus.GaugeValue: "gauge", prometheus.CounterValue: "counter"}[m.kind] + ": " + m.help
	}
	var rows []string
	for name, what := range have {
		kind, help, _ := strings.Cut(what, ": ")
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", name, kind, help))
		if listed[name] != what {
			t.Errorf("%s is %q: the table in DESIGN.md says %q", name, what, listed[name])
		}
		if strings.Contains(help, "Page ") && !strings.Contains(pages, "\n| `"+name+"` ") {
			t.Errorf("%s: DESIGN.md does not say, under Pages, what to do", name)
		}
	}
	for name := range listed {
		if have[name] == "" && !strings.HasPrefix(name, "dcann_http_") { // of which some need more than one request
			t.Errorf("%s is in DESIGN.md, and no node has it", name)
		}
	}
	if t.Failed() {
		slices.Sort(rows)
		t.Logf("the table should be\n%s", strings.Join(rows, "\n"))
	}
}

// TestMetricsOfANodeAlone: what a single node in good health says.
func TestMetricsOfANodeAlone(t *testing.T) {
	t.Parallel()
	n := runNode(t, nil)
	if _, err := n.client(t).Submit(t.Context(), newPassport(t).Bytes()); err != nil {
		t.Fatal(err)
	}
	families, err := n.current.Load().metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch {
			case m.GetGauge() != nil:
				got[f.GetName()] = m.GetGauge().GetValue()
			case m.GetHistogram() != nil:
				got[f.GetName()] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	for name, want := range map[string]float64{
		"dcann_node_ready": 1, "dcann_raft_leader": 1, "dcann_raft_leader_known": 1, "dcann_raft_voters": 1, "dcann_raft_nonvoters": 0,
		"dcann_staleness_seconds": 0, "dcann_raft_apply_lag_entries": 0, "dcann_member_healthy": 1, "dcann_disk_low": 0, "dcann_state_level": 1,
		"dcann_clock_offset_seconds": 0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v (told: %t): expected %v", name, value, ok, want)
		}
	}
	if got["dcann_raft_log_write_seconds"] == 0 {
		t.Error("no write to the log was counted")
	}
}
