package cluster

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// bareRaft is hashicorp/raft on the same log with the same settings, applying to nothing.
func bareRaft(b *testing.B) *raft.Raft {
	b.Helper()
	db, err := openLog(filepath.Join(b.TempDir(), logFile), 2*DefaultTrailingBytes)
	if err != nil {
		b.Fatal(err)
	}
	cfg := raftConfig(Config{Name: "a"}.withDefaults(), RaftLogger(slog.New(slog.DiscardHandler)))
	cfg.NotifyCh = make(chan bool, 1)
	leads := make(chan bool, 1)
	cfg.NotifyCh = leads
	addr, trans := raft.NewInmemTransport("a")
	servers := raft.Configuration{Servers: []raft.Server{{ID: "a", Address: addr}}}
	snaps := raft.NewDiscardSnapshotStore()
	if err := raft.BootstrapCluster(cfg, db, db, snaps, trans, servers); err != nil {
		b.Fatal(err)
	}
	r, err := raft.NewRaft(cfg, nothing{}, db, db, snaps, trans)
	if err != nil {
		b.Fatal(err)
	}
	<-leads
	b.Cleanup(func() {
		if err := errors.Join(r.Shutdown().Error(), db.Close()); err != nil {
			b.Error(err)
		}
	})
	return r
}

// nothing is a state machine without a state.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) ApplyBatch(logs []*raft.Log) []any   { return make([]any, len(logs)) }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("none") }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }
