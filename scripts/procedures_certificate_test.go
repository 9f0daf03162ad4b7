package scripts_test

import (
	"strings"
	"testing"
)

func procedureCertificate(t *testing.T) {
	d := found(t)
	w := d.write("7401", "7402", "7403")
	reloads := map[string]int{}
	// taken waits until a node has taken up files that were changed.
	taken := func(names ...string) {
		t.Helper()
		for _, name := range names {
			reloads[name]++
			d.await(name+" takes up its files", func() bool {
				return strings.Count(d.nodes["D/"+name+"/node.yaml"].log.String(), "node certificate reloaded") >= reloads[name]
			})
		}
		w.more(5)
	}
	before := d.typed(`curl -sf http://127.0.0.1:7401/metrics | grep '^dcann_certificate_expiry'`)
	g := d.open("Renewing a node's certificate")
	show := g.left[len(g.left)-1]
	g.left = g.left[:len(g.left)-1]
	for len(g.left) > 0 {
		g.run("")
	}
	taken("n1")
	if after := g.do(show); !strings.Contains(after, `{certificate="node"}`) || strings.Contains(after, strings.TrimSpace(before)) {
		t.Errorf("the certificate in use has the end of the old one: %s", after)
	}

	g = d.open("A new authority")
	all := []string{"n1", "n2", "n3"}
	g.upTo("dcann cluster renew --dir D --add-authority")
	taken(all...)
	d.awaitHealthy("D/n1", 3)
	g.upTo("dcann cluster renew --dir D")
	taken(all...)
	d.awaitHealthy("D/n1", 3)
	g.upTo("dcann cluster renew --dir D --drop-authorities")
	taken(all...)
	g.upTo("dcann cluster status")
	g.end()
	// No node was restarted until here. One that is has to find the others by the new certificates alone.
	d.stop("D/n3/node.yaml")
	d.start("D/n3/node.yaml")
	d.awaitHealthy("D/n1", 3)
	d.holds(w.end(), "7401", "7402", "7403")
}
