package cluster

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/node/archive"
)

// slowFS is a file system that lets the first file of a state that is being received be made when open is closed.
type slowFS struct {
	vfs.FS
	once          sync.Once
	reached, open chan struct{}
}

func (fs *slowFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.Contains(name, ".partial") {
		fs.once.Do(func() { close(fs.reached) })
		<-fs.open
	}
	return fs.FS.Create(name, c)
}

// A node whose own disk took long while it installed a state took its sender for silent, cut it off, and was sent the
// state anew, for ever.
func TestAReceiverWithASlowDiskBlamesNoSender(t *testing.T) {
	t.Parallel()
	fs := &slowFS{FS: vfs.NewMem(), reached: make(chan struct{}), open: make(chan struct{})}
	place, err := OpenPlace(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, t.TempDir(), nil)
	own, err := OpenPlace(vfs.Default, n.dir)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := openCheckpoint(n.st, own, archive.Header{Kind: "checkpoint"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	whole, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	h := stream.Header()
	snaps := &snapshots{st: n.st, place: place, term: func() (uint64, error) { return h.Term, nil }}
	silent := func(when string, want bool) {
		t.Helper()
		if got := snaps.stalledAt(time.Now().Add(time.Hour)); got != want {
			t.Errorf("%s, an hour later: the sender is taken for silent: %t", when, got)
		}
	}
	silent("nothing is received", false)
	s, err := snaps.Create(1, h.Index+1, h.Term, raft.DecodeConfiguration(h.Configuration), h.ConfigurationIndex, nil)
	if err != nil {
		t.Fatal(err)
	}
	silent("before the first byte", true)
	written := make(chan error, 1)
	go func() {
		_, err := s.Write(whole)
		written <- err
	}()
	<-fs.reached
	silent("while the disk is busy", false)
	close(fs.open)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	silent("when the disk is done", true)
	if err := s.Cancel(); err != nil {
		t.Error(err)
	}
	silent("when it was given up", false)
}
