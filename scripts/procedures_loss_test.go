package scripts_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry/wire"
)

// lead has a node lead.
func (d *desk) lead(name string) {
	d.t.Helper()
	d.typed("dcann cluster transfer --config D/n1/node.yaml --to " + name)
	d.await(name+" leads", func() bool { o, _ := d.overview("D/n2"); return o.Leader == name })
}

func procedureMinority(t *testing.T) {
	d := found(t)
	d.lead("n3")
	w := d.write("7401", "7402", "7403")
	g := d.open("Losing a minority")
	d.kill("n3")
	w.more(5)
	if d.counted("dcann_forward_errors_total", "7401", "7402") == 0 {
		t.Error("a write was on its way to n3 or was sent there before another led, and no node counted a forward that failed")
	}
	g.run("dcann cluster status")
	d.await("the leader misses n3", func() bool { return d.metric(leads(d), `dcann_member_healthy{member="n3"}`, "0") == nil })
	g.run("systemctl start")
	g.run("until curl")
	g.end()
	d.awaitHealthy("D/n1", 3)
	d.holds(w.end(), "7401", "7402", "7403")
}

// leads is the public address, in the guide, of whoever leads.
func leads(d *desk) string {
	o, _ := d.overview("D/n1")
	return "740" + strings.TrimPrefix(o.Leader, "n")
}

// metric returns nil if a node tells this value of a metric.
func (d *desk) metric(address, name, value string) error {
	told, err := d.told(address, name)
	if err == nil && told != value {
		err = notYet(name + " " + told)
	}
	return err
}

// told is the value of a metric, as a node tells it.
func (d *desk) told(address, name string) (string, error) {
	res, err := http.Get(d.url(address) + "/metrics")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return value, nil
		}
	}
	return "", notYet(name + " is not told")
}

// counted is the sum of a counter over nodes.
func (d *desk) counted(name string, addresses ...string) (sum float64) {
	d.t.Helper()
	for _, a := range addresses {
		told, err := d.told(a, name)
		if err != nil {
			d.t.Fatal(err)
		}
		n, err := strconv.ParseFloat(told, 64)
		if err != nil {
			d.t.Fatalf("%s of %s: %v", name, a, err)
		}
		sum += n
	}
	return sum
}

type notYet string

func (n notYet) Error() string { return string(n) }

// procedureDeadDisk types the section for n2, and when it ends at once for n3: by then n2 must have its vote back, since
// n1 alone is no majority.
func procedureDeadDisk(t *testing.T) {
	d := found(t)
	w := d.write("7401", "7402", "7403")
	d.kill("n2")
	w.more(5)
	g := d.open("Replacing a dead disk")
	g.run("rm -rf")
	g.run("systemctl start")
	g.run("until curl")
	if out := g.run("dcann cluster join"); !strings.Contains(out, "n2 is a member that votes") {
		t.Errorf("the guide goes on before n2 votes:\n%s", out)
	}
	g.run("dcann cluster status")
	g.end()
	if said := d.nodes["D/n1/node.yaml"].log.String() + d.nodes["D/n3/node.yaml"].log.String(); !strings.Contains(said, "node n2 has lost its data") {
		t.Error("nobody took the vote of a node that has lost its data")
	}

	d.kill("n3")
	forN3 := strings.NewReplacer("n2", "n3", "7402", "7403", "7502", "7503")
	for _, line := range d.open("Replacing a dead disk").left {
		g.do(forN3.Replace(line))
	}
	d.awaitHealthy("D/n1", 3)
	d.holds(w.end(), "7402", "7403")
}

func procedureNewName(t *testing.T) {
	d := found(t)
	w := d.write("7401", "7402", "7403")
	d.kill("n3")
	w.more(5)
	g := d.open("Replacing a machine by one with a new name")
	g.run("dcann cluster init")
	g.run("systemctl start")
	g.run("dcann cluster join")
	g.run("dcann cluster remove")
	g.run("dcann cluster status")
	g.end()
	o := d.awaitHealthy("D/n1", 3)
	for _, n := range o.Nodes {
		if n.Name == "n3" {
			t.Error("n3 is still a member")
		}
	}
	// The new node counts: with it, one of the others can be lost.
	d.kill("n2")
	w.more(5)
	d.holds(w.end(), "7401", "7405")
}

func procedureTakingOut(t *testing.T) {
	d := found(t)
	g := d.open("Taking a node out")
	remove := g.next("dcann cluster remove")
	d.kill("n2")
	d.refused(remove, "expected a majority")
	d.start("D/n2/node.yaml")
	d.awaitHealthy("D/n1", 3)
	d.lead("n3")
	w := d.write("7401", "7402")
	g.do(remove)
	d.awaitHealthy("D/n1", 2)
	d.await("n3 is not ready, since it is no member", func() bool { return d.status(d.url("7403")+"/readyz") == http.StatusServiceUnavailable })
	g.run("systemctl stop")
	g.end()
	w.more(5)
	d.typed("rm -rf D/n3/data")
	d.start("D/n3/node.yaml")
	d.typed("dcann cluster join --config D/n1/node.yaml n3=127.0.0.1:7503")
	d.awaitHealthy("D/n1", 3)
	d.holds(w.end(), "7401", "7402", "7403")
}

func procedureMajority(t *testing.T) {
	d := found(t)
	ids := d.write("7401", "7402", "7403").end()
	d.holds(ids, "7403") // n3 has everything
	d.kill("n1")
	d.kill("n2")
	d.await("n3 finds that nobody leads", func() bool { o, ok := d.overview("D/n3"); return ok && o.Leader == "" })

	op, err := newcomer()
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(d.url("7403")+wire.PathOperations, wire.TypeOperation, strings.NewReader(string(op.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a write without a majority: %s, Retry-After %q: expected 503 with one", res.Status, res.Header.Get("Retry-After"))
	}
	record := d.url("7403") + "/v1/records/" + string(ids[0])
	d.await("bounded reads are refused", func() bool { return d.status(record) == http.StatusServiceUnavailable })
	if status := d.status(record + "?consistency=stale"); status != http.StatusOK {
		t.Errorf("a stale read: %d, expected 200", status)
	}

	g := d.open("Losing the majority")
	var o cluster.Overview
	if out := g.run("dcann -o json cluster status"); json.Unmarshal([]byte(out), &o) != nil || len(o.Nodes) != 3 || o.Nodes[2].Name != "n3" || o.Nodes[2].Last == 0 {
		t.Errorf("status does not tell how far n3 is:\n%s", out)
	}
	g.run("systemctl stop")
	g.run("dcann cluster recover")
	g.run("systemctl start")
	g.run("until curl")
	d.holds(ids, "7403")
	w := d.write("7403")
	g.upTo("dcann cluster join")
	g.upTo("dcann cluster join")
	if out := g.run("dcann cluster check"); !strings.Contains(out, "equal: hashes of 3 nodes") {
		t.Errorf("the nodes are not equal:\n%s", out)
	}
	g.end()
	d.awaitHealthy("D/n3", 3)
	d.holds(append(ids, w.end()...), "7401", "7402", "7403")
}
