package scripts_test

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dcann/dcann/registry/state"
)

func procedureFounding(t *testing.T) {
	d := newDesk(t)
	g := d.open("Founding a registry")
	if out := g.run("dcann cluster init"); !strings.Contains(out, "accreditation.pem") {
		t.Errorf("init does not say which keys to keep away from the nodes:\n%s", out)
	}
	starts := []string{g.next("systemctl start"), g.next("systemctl start"), g.next("systemctl start")}
	g.do(starts[2]) // any order
	d.await("n3, alone, answers that it is not ready", func() bool { return d.status(d.url("7403")+"/readyz") == http.StatusServiceUnavailable })
	d.await("n3 says in its log what it waits for", func() bool {
		return strings.Contains(d.nodes["D/n3/node.yaml"].log.String(), "the other nodes")
	})
	g.do(starts[0])
	g.do(starts[1])
	g.run("until curl")
	d.awaitHealthy("D/n2", 3)
	if out := g.run("dcann cluster status"); strings.Count(out, " voter ") != 2 || strings.Count(out, " leader ") != 1 {
		t.Errorf("expected a leader and two that vote:\n%s", out)
	}
	if out := g.run("dcann cluster check"); !strings.Contains(out, "equal: hashes of 3 nodes") {
		t.Errorf("the nodes are not equal:\n%s", out)
	}
	g.end()
	for _, address := range []string{"7401", "7402", "7403"} {
		d.await("who does not lead counts what it forwards", func() bool {
			d.holds(nil, address)
			return d.counted("dcann_raft_leader", address) == 1 || d.counted("dcann_forwards_total", address) > 0
		})
	}
}

func procedureReplica(t *testing.T) {
	d := found(t)
	ids := d.write("7401", "7402", "7403").end()
	g := d.open("Adding a read replica")
	g.run("dcann cluster init")
	g.run("systemctl start")
	d.await("the replica answers that it is not ready before it was joined", func() bool { return d.status(d.url("7404")+"/readyz") == http.StatusServiceUnavailable })
	g.run("dcann cluster join")
	g.run("until curl")
	d.awaitHealthy("D/r1", 4)
	if out := g.run("dcann cluster status"); strings.Count(out, " replica ") != 1 || strings.Count(out, " voter ") != 2 {
		t.Errorf("expected three that vote, and a replica:\n%s", out)
	}
	g.end()
	d.holds(ids, "7404")
	if err := d.metric("7404", "dcann_raft_nonvoters", "1"); err != nil {
		t.Error(err)
	}
}

func procedurePromotion(t *testing.T) {
	d := found(t)
	join := d.open("Adding a read replica")
	for range 4 {
		join.run("")
	}
	w := d.write("7401", "7402", "7403")
	g := d.open("Making a read replica vote")
	g.upTo("dcann cluster join")
	if out := g.run("dcann cluster status"); strings.Count(out, " voter ") != 3 || strings.Contains(out, " replica ") {
		t.Errorf("expected a leader and three that vote:\n%s", out)
	}
	g.end()
	// Its vote counts: with it, one of the others can be taken out, and another be lost.
	d.typed("dcann cluster remove --config D/n1/node.yaml n3")
	d.kill("n2")
	w.more(5)
	d.holds(w.end(), "7401", "7404")
}

func procedurePolicy(t *testing.T) {
	d := found(t)
	w := d.write("7401", "7402", "7403")
	g := d.open("Changing the policy")
	key := strings.Fields(g.run("dcann key new"))
	made := key[len(key)-1]
	g.run("dcann policy next")
	if out := g.run("dcann policy show"); !strings.Contains(out, made) {
		t.Errorf("the next policy does not name the key %s:\n%s", made, out)
	}
	g.run("dcann cluster policy")
	says := g.next("curl")
	d.await("n2 goes by the next policy", func() bool { return strings.Contains(g.do(says), made) })
	g.end()
	// A node that has the first policy in its settings comes back with the next one; who lost the first key goes on.
	d.stop("D/n3/node.yaml")
	d.start("D/n3/node.yaml")
	d.awaitHealthy("D/n1", 3)
	d.typed("mv D/accreditation.pem lost.pem")
	d.typed("dcann policy next --registry http://127.0.0.1:7403 --key D/accreditation-2.pem --accreditation D/accreditation-2.pem --out xa-3.jwt")
	d.typed("dcann cluster policy --config D/n3/node.yaml xa-3.jwt")
	d.await("n2 goes by the third policy", func() bool { return strings.Contains(g.do(says), `"version":3`) })
	d.refused("dcann policy next --registry http://127.0.0.1:7402 --key lost.pem --per-hour 20 --out xa-4.jwt", made)
	d.holds(w.end(), "7401", "7402", "7403")
}

func procedureRollingRestart(t *testing.T) {
	d := found(t)
	w := d.write("7401", "7402", "7403")
	g := d.open("Rolling restart")
	for range 3 {
		g.run("systemctl restart")
		g.run("until curl")
		w.more(5)
	}
	g.run("dcann cluster status")
	d.awaitHealthy("D/n1", 3)
	g.run("dcann cluster transfer")
	d.await("n1 leads", func() bool { o, _ := d.overview("D/n2"); return o.Leader == "n1" })
	w.more(5)
	g.end()
	d.holds(w.end(), "7401", "7402", "7403")
}

func procedureRollingUpgrade(t *testing.T) {
	const release = "v9.9.9"
	d := found(t)
	out, err := exec.Command("go", "build", "-ldflags", "-X main.version="+release, "-o", filepath.Join(d.dir, "dcann-new"), "../cmd/dcann").CombinedOutput()
	if err != nil {
		t.Fatalf("build the next release: %v\n%s", err, out)
	}
	w := d.write("7401", "7402", "7403")
	g := d.open("Rolling upgrade")
	for _, name := range []string{"n1", "n2", "n3"} {
		g.run("install")
		g.run("systemctl restart")
		g.run("until curl")
		w.more(5)
		o := d.awaitHealthy("D/n1", 3)
		for _, n := range o.Nodes {
			if upgraded := n.Version == release; upgraded != (n.Name <= name) {
				t.Errorf("after the upgrade of %s, %s runs release %s", name, n.Name, n.Version)
			}
		}
	}
	g.run("dcann cluster status")
	// Both releases know the same level here: nothing is to be raised, and that is no error.
	if out := g.run("dcann cluster upgrade"); !strings.Contains(out, "the state has level") || !strings.Contains(out, "all members know no higher one") {
		t.Errorf("upgrade says\n%s", out)
	}
	if o, _ := d.overview("D/n2"); o.Level != state.MaxLevel {
		t.Errorf("the state has level %d: expected %d", o.Level, state.MaxLevel)
	}
	g.end()
	d.holds(w.end(), "7401", "7402", "7403")
}

func procedureMoving(t *testing.T) {
	d := found(t)
	join := d.open("Replacing a machine by one with a new name")
	for range 3 {
		join.run("")
	}
	d.awaitHealthy("D/n1", 4)
	w := d.write("7401", "7402", "7403", "7405")
	g := d.open("Moving a node to another address")
	g.upTo("dcann cluster join")
	w.more(5)
	at := func(name, address string) {
		t.Helper()
		for _, n := range d.awaitHealthy("D/n1", 4).Nodes {
			if n.Name == name && n.Address != d.here(address) {
				t.Errorf("%s is at %s: expected %s", name, n.Address, d.here(address))
			}
		}
	}
	at("n4", "127.0.0.1:7506")
	g.upTo("dcann cluster status")
	g.end()
	w.more(5)
	at("n3", "127.0.0.1:7507")
	d.holds(w.end(), "7401", "7402", "7403", "7405")
}
