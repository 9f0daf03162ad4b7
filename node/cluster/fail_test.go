package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

// An entry of a newer version cannot be applied and must not be skipped: the node stops, and says why.
func TestAnEntryThatCannotBeAppliedStopsTheNode(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	index := n.AppliedIndex()
	if err := n.raft.Apply([]byte{0xff, 0xff}, 0).Error(); err != nil {
		t.Fatal(err)
	}
	<-n.Done()
	if n.Err() == nil {
		t.Fatal("done without an error")
	}
	t.Log(n.Err())
	_, op := create()
	if _, err := n.SubmitOperation(t.Context(), op); registry.KindOf(err) != registry.Unavailable {
		t.Errorf("submit: %v", err)
	}
	if err := n.Bounded(); registry.KindOf(err) != registry.Unavailable {
		t.Errorf("bounded: %v", err)
	}
	if n.Ready() == nil {
		t.Error("it says that it is ready")
	}
	// Raft goes on, and later entries must not be applied past the hole.
	responses := n.machine.ApplyBatch([]*raft.Log{{Index: index + 2, Type: raft.LogCommand}})
	if _, failed := responses[0].(error); !failed || n.AppliedIndex() != index {
		t.Errorf("an entry after the one that failed: %v, applied %d", responses[0], n.AppliedIndex())
	}
	if err := n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestAStalledLogIsNoticed(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{true, false} {
		n := start(t, t.TempDir(), func(c *Config) { c.LogStall = 40 * time.Millisecond })
		if !alone {
			n.raft.AddVoter("b", "b", 0, 0) // never committed, for want of b: the configuration counts at once
			eventually(t, "there is another voter", func() bool {
				return !soleVoter(n.raft.GetConfiguration().Configuration(), n.cfg.Name)
			})
		}
		n.log.writing.Store(1) // a write began when the log was opened, and hangs
		if alone {
			eventually(t, "it says so", func() bool { return n.Ready() != nil })
			if n.Err() != nil {
				t.Error("the only voter gave up, though nobody else could lead")
			}
		} else {
			<-n.Done()
		}
		n.log.writing.Store(0)
	}
}
