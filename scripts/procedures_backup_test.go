package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func procedureBackup(t *testing.T) {
	d := found(t)
	w := d.write("7401", "7402", "7403")
	d.holds(w.acknowledged(), "7402")
	before := w.acknowledged()
	d.holds(before, "7402") // n2, which is asked for the backup, has it all now
	if out := d.open("Backup").run("dcann backup"); !strings.Contains(out, "verified") {
		t.Errorf("backup says\n%s", out)
	}
	w.more(5)
	w.end()
	for _, name := range []string{"n1", "n2", "n3"} {
		d.stop("D/" + name + "/node.yaml")
	}

	g := d.open("Restoring to a single node")
	g.run("printf")
	d.damaged("single.yaml", "S/data")
	g.upTo("until curl")
	g.end()
	d.holds(before, "7408")

	g = d.open("Restoring a registry")
	g.run("dcann cluster init")
	g.run("dcann restore")
	d.refused("dcann restore --config E/n1/node.yaml xa.backup", "expected no data")
	g.upTo("until curl")
	if out := g.run("dcann cluster check"); !strings.Contains(out, "equal: hashes and all rows of 3 nodes") {
		t.Errorf("the nodes are not equal:\n%s", out)
	}
	g.end()
	d.awaitHealthy("E/n1", 3)
	d.holds(before, "7411", "7412", "7413")

	// The log of a restored registry does not reach back: who is wiped is sent the whole state.
	d.stop("E/n3/node.yaml")
	d.typed("rm -rf E/n3/data")
	d.start("E/n3/node.yaml")
	d.awaitHealthy("E/n1", 3)
	d.holds(before, "7413")
	if d.counted("dcann_raft_states_sent_total", "7411", "7412") == 0 {
		t.Error("no node counted the state that it sent")
	}
	if d.counted("dcann_raft_states_installed_total", "7413") == 0 {
		t.Error("n3 did not count the state that it took")
	}
}

// damaged expects archives that are cut off, longer, or altered anywhere to be refused, and nothing to be left.
func (d *desk) damaged(settings, data string) {
	d.t.Helper()
	whole, err := os.ReadFile(filepath.Join(d.dir, "xa.backup"))
	if err != nil {
		d.t.Fatal(err)
	}
	bad := map[string][]byte{"empty": nil, "longer": append(whole[:len(whole):len(whole)], 'x')}
	for name, at := range map[string]int{"in the middle": len(whole) / 2, "near the end": len(whole) - 2, "in the header": 40} {
		bad["cut "+name] = whole[:at]
		altered := append([]byte(nil), whole...)
		altered[at] ^= 1
		bad["altered "+name] = altered
	}
	for name, content := range bad {
		if err := os.WriteFile(filepath.Join(d.dir, "bad.backup"), content, 0o600); err != nil {
			d.t.Fatal(err)
		}
		out, err := d.shell("dcann restore --config " + settings + " bad.backup")
		if err == nil {
			d.t.Fatalf("an archive that is %s was restored:\n%s", name, out)
		}
		left, err := filepath.Glob(filepath.Join(d.dir, data, "*"))
		if err != nil {
			d.t.Fatal(err)
		}
		for _, path := range left {
			if filepath.Base(path) != "LOCK" {
				d.t.Errorf("an archive that is %s was refused, and left %s", name, path)
			}
		}
	}
}
