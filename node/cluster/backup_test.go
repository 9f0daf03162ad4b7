package cluster

import (
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/registry"
)

// A backup of a node that was cut off, or had been removed, was made without a word, and lacked what the others had
// acknowledged.
func TestABackupOfANodeThatIsCutOffIsRefused(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(f *fleet, n3 *node){
		"cut off": func(f *fleet, _ *node) { f.net.isolate("n3") },
		"removed": func(f *fleet, n3 *node) {
			if err := f.leader().Remove(inTime(t), "n3"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "n3 knows", n3.gone.Load)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startCluster(t, 3, nil)
			f.settled()
			f.leads("n1")
			n3 := f.seat("n3").node()
			whole := f.backedUp(n3, false)
			if whole.AsOf != nil {
				t.Errorf("a backup with everything says that it is stale, as of %v", whole.AsOf)
			}
			began := time.Now()
			lose(f, n3)
			f.fill("n1", 5)
			if b, err := n3.Backup(inTime(t), false); err == nil {
				_ = b.Close()
				t.Fatalf("a backup of index %d, while the others have applied %d", b.Header().Index, f.leader("n3").AppliedIndex())
			} else if registry.KindOf(err) != registry.Unavailable {
				t.Errorf("refused with %v: expected kind unavailable", err)
			}
			if h := f.backedUp(n3, true); h.AsOf == nil {
				t.Error("a stale backup does not say that it is")
			} else if made := time.Now(); h.AsOf.Before(began.Add(-time.Minute)) || h.AsOf.After(made) {
				t.Errorf("a stale backup is as of %v: expected about %v", h.AsOf, began)
			}
			if h := f.backedUp(f.leader("n3"), true); h.AsOf != nil {
				t.Errorf("a backup of the leader, which may be stale, is as of %v: it is not", h.AsOf)
			}
		})
	}
}

// backedUp is the header of a backup, as who restores it reads it.
func (f *fleet) backedUp(n *node, stale bool) archive.Header {
	f.t.Helper()
	b, err := n.Backup(inTime(f.t), stale)
	if err != nil {
		f.t.Fatal(err)
	}
	defer b.Close()
	r, w := io.Pipe()
	go func() {
		_, err := b.WriteTo(w)
		w.CloseWithError(err)
	}()
	h, err := archive.Receive(vfs.NewMem(), r, "copy", archive.Limits{}, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}
