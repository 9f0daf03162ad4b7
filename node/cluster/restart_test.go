package cluster

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry"
)

func TestARestartKeepsEverything(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	var all []*passport
	for range 5 {
		for range 20 {
			p, op := create()
			n.mustSubmit(t, op)
			all = append(all, p)
		}
		index, term := n.AppliedIndex(), n.Status().Term
		n.restart(t, nil)
		if s := n.Status(); s.Applied <= index || s.Term <= term || s.Role != "leader" {
			t.Errorf("after the restart %+v: expected a new term past index %d", s, index)
		}
		n.mustKeepTheRule(t)
		for _, p := range all {
			n.mustHold(t, p)
		}
		p := all[len(all)-1]
		op := p.next(registry.Update)
		n.mustSubmit(t, op)
		p.moved(op)
	}
}

// A closed node has flushed: Raft starts at the state's index and replays nothing.
func TestAGracefulRestartReplaysNothing(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	for range 10 {
		_, op := create()
		n.mustSubmit(t, op)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	applied, _ := n.st.Applied()
	if durable, err := n.st.DurableIndex(); err != nil || durable != applied {
		t.Errorf("durable up to %d, %v: expected %d", durable, err, applied)
	}
	metas, err := (&snapshots{st: n.st}).List()
	if err != nil || len(metas) != 1 || metas[0].Index != applied {
		t.Errorf("List: %v, %v: expected one snapshot at %d", metas, err, applied)
	}
}

func TestTheSyntheticSnapshotIsTheState(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	store := &snapshots{st: n.st}
	metas, err := store.List()
	if err != nil || len(metas) != 1 {
		t.Fatalf("List: %v, %v", metas, err)
	}
	m := metas[0]
	index, term := n.st.Applied()
	if m.Index != index || m.Term != term || m.ConfigurationIndex != 1 || len(m.Configuration.Servers) != 1 || m.Configuration.Servers[0].ID != "a" {
		t.Errorf("%+v: expected index %d, term %d and the configuration of entry 1", m, index, term)
	}
	if _, _, err := store.Open(m.ID); err == nil {
		t.Error("Open returned no error, though there is nothing to send")
	}
	if err := n.cutLog(1); err != nil {
		t.Fatal(err)
	}
	if data, at := n.st.Configuration(); at != 1 || len(raft.DecodeConfiguration(data).Servers) != 1 {
		t.Error("an ordinary snapshot changed the configuration")
	}
}

// raft.RecoverCluster passes a new configuration to the snapshot it creates, and deletes the log.
func TestTheConfigurationOfARecoveryIsPersisted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, dir, nil)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	index, term := n.st.Applied()
	forced := raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}, {ID: "b", Address: "b", Suffrage: raft.Nonvoter}}}
	s, err := (&snapshots{st: n.st}).Create(1, index+1, term, forced, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&flushed{st: n.st, index: index}).Persist(s); err != nil {
		t.Fatal(err)
	}
	if err := n.closeState(); err != nil {
		t.Fatal(err)
	}
	again, err := open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if m := again.Status().Members; len(m) != 2 || m[1].Name != "b" || m[1].Voter {
		t.Errorf("members %+v: expected those of the recovery", m)
	}
}

func TestSnapshotsKeepTheRule(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	for range 10 {
		for range 10 {
			_, op := create()
			n.mustSubmit(t, op)
		}
		// A barrier is an entry that the state never sees: the snapshot's index lies past the durable one.
		if err := n.raft.Barrier(0).Error(); err != nil {
			t.Fatal(err)
		}
		if err := n.raft.Barrier(0).Error(); err != nil {
			t.Fatal(err)
		}
		if err := n.cutLog(1); err != nil {
			t.Fatal(err)
		}
		n.mustKeepTheRule(t)
		if s := n.Status(); s.LogFirst != s.Durable+1 {
			t.Errorf("the log begins at %d: expected it to be cut up to %d, and not past it", s.LogFirst, s.Durable)
		}
	}
	n.restart(t, nil)
}

func TestTheLogIsTrimmedByBytes(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	n := start(t, t.TempDir(), func(c *Config) { c.TrailingBytes = limit })
	for n.log.size.retained() <= limit {
		_, op := create()
		n.mustSubmit(t, op)
	}
	eventually(t, "the log is short again", func() bool { return n.log.size.retained() < limit })
	s := n.Status()
	if s.LogFirst == 1 || s.LogLast-s.LogFirst < 50 {
		t.Errorf("the log is %d..%d: expected it cut to three quarters", s.LogFirst, s.LogLast)
	}
	n.mustKeepTheRule(t)
}

func TestDataThatDoNotBelongTogetherAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, n *node) // n is closed; its log is not
		want  string
	}{
		{"the log begins past the state", func(t *testing.T, n *node) {
			index, _ := n.st.Applied()
			store(t, n.log.db, index+1, index+5, 9)
			if err := n.log.db.DeleteRange(1, index+1); err != nil {
				t.Fatal(err)
			}
		}, "the entries between are lost"},
		{"a log of another history", func(t *testing.T, n *node) {
			index, _ := n.st.Applied()
			store(t, n.log.db, index, index, 1000)
		}, "different histories"},
		{"a new log beside an old state", func(t *testing.T, n *node) {
			if err := n.log.db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(n.log.path); err != nil {
				t.Fatal(err)
			}
			db, err := openLog(n.log.path, 0)
			if err != nil {
				t.Fatal(err)
			}
			n.log.db = db
		}, "older copy"},
		{"the first entry needed is missing", func(t *testing.T, n *node) {
			index, _ := n.st.Applied()
			store(t, n.log.db, index+2, index+3, 9)
		}, "the first that the state needs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			n, err := open(t.Context(), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := n.prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			if n.log.db, err = openLog(n.log.path, 0); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, n)
			if err := n.log.db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := n.closeState(); err != nil {
				t.Fatal(err)
			}
			again, err := open(t.Context(), dir, nil)
			if err == nil {
				_ = again.close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "wipe") {
				t.Errorf("refused with %q: expected it to say %q and what to do", err, tt.want)
			}
		})
	}
}

func TestARenamedNodeIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, err := open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t.Context(), dir, func(c *Config) { c.Name = "b" }); err == nil || !strings.Contains(err.Error(), "renamed") {
		t.Errorf("open under another name: %v", err)
	}
}

func TestABootstrapCanBeCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "raft"), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := openLog(filepath.Join(dir, "raft", logFile), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetUint64(keyCurrentTerm, 1); err != nil { // and then the crash
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, nil)
}

func TestOneDirectoryServesOneNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, dir, nil)
	if _, err := Open(context.Background(), Config{Dir: filepath.Join(dir, "raft"), Name: "a"}, n.st, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another node") {
		t.Errorf("a second node on the same log: %v", err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Name: "a"}, {Dir: "x"}, {Dir: "x", Name: "A b"}, {Dir: "x", Name: "a", Pipeline: -1},
		{Dir: "x", Name: "a", BatchCommands: 1 << 20}, {Dir: "x", Name: "a", BatchBytes: 1},
		{Dir: "x", Name: "a", HeartbeatTimeout: 100e6, LeaseTimeout: 200e6}, {Dir: "x", Name: "a", FlushBytes: -1},
	} {
		if err := c.Validate(); err == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}
