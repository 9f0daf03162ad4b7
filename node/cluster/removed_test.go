package cluster

import (
	"strings"
	"sync"
	"testing"
)

// Who was removed says so, once in its log and to everybody who asks, also when it was down meanwhile or is started
// again; and not any more when it is a member again.
func TestARemovedNodeSaysSo(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]bool{"while it runs": false, "while it is down": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			said := 0
			f := startCluster(t, 3, func(name string, c *Config) {
				c.OnChange = func(what string) {
					mu.Lock()
					defer mu.Unlock()
					if name == "n3" && strings.Contains(what, "node n3 was removed") {
						said++
					}
				}
			})
			leader := f.leads("n1")
			f.settled()
			n3 := f.seat("n3")
			if down {
				n3.halt()
			}
			if err := leader.Remove(inTime(t), "n3"); err != nil {
				t.Fatal(err)
			}
			if down {
				n3.start()
			}
			saysSo := func(times int) {
				t.Helper()
				eventually(t, "n3 knows that it was removed", func() bool {
					mu.Lock()
					defer mu.Unlock()
					n := n3.node()
					return said == times && n != nil && n.gone.Load()
				})
				_, backup := n3.node().Backup(inTime(t), false)
				for what, err := range map[string]error{"ready": n3.node().Ready(), "backup": backup, "transfer": n3.node().TransferLeadership(inTime(t), "")} {
					if err == nil || !strings.Contains(err.Error(), Removal("n3")) {
						t.Errorf("%s: %v: expected it to say that n3 was removed", what, err)
					}
				}
				if o, err := n3.node().Overview(inTime(t)); err != nil || !o.Removed {
					t.Errorf("overview: %+v, %v: expected it to say that n3 was removed", o, err)
				}
			}
			saysSo(1)
			n3.halt()
			n3.start()
			saysSo(2)

			if err := leader.Join(inTime(t), Peer{"n3", addressOf("n3")}, false); err != nil {
				t.Fatal(err)
			}
			eventually(t, "n3 is ready", func() bool { n := n3.node(); return n != nil && n.Ready() == nil })
			mu.Lock()
			defer mu.Unlock()
			if said != 2 {
				t.Errorf("n3 said %d times that it was removed: expected once after each start", said)
			}
		})
	}
}
