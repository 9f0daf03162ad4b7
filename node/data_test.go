package node

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

func openNode(t *testing.T, c Config) (*Node, error) {
	t.Helper()
	n, err := Open(t.Context(), c, "test", slog.New(slog.DiscardHandler))
	if err == nil {
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return n, err
}

// TestOthersCannotRead: granted strands are in the files, so nobody else may look into them, whatever
// permissions the directories and files had that the node found.
func TestOthersCannotRead(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	c := Config{Data: data, HTTP: "127.0.0.1:0", Admin: AdminOff, Dev: true, MinFree: 1 << 20}
	for _, first := range []bool{true, false} {
		n, err := openNode(t, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"state", raftDir} {
			info, err := os.Stat(filepath.Join(data, dir))
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("first %v: %s has mode %v, %v: expected 0700", first, dir, info.Mode(), err)
			}
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		seen := 0
		if err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == data || filepath.Base(path) == "LOCK" {
				return err
			}
			seen++
			if first { // as an older version might have left it
				if d.IsDir() {
					return os.Chmod(path, 0o755)
				}
				return os.Chmod(path, 0o644)
			}
			return nil
		}); err != nil || seen < 4 {
			t.Fatalf("%d files, %v", seen, err)
		}
	}
	kept, err := filepath.Glob(filepath.Join(data, "state", "OPTIONS-*"))
	if err != nil || len(kept) == 0 {
		t.Fatal("no file of the state is kept", err)
	}
	if err := os.Chmod(kept[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := closeDir(filepath.Join(data, "state")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file that others could read has mode %v, %v: expected 0600", info.Mode(), err)
	}
}

// TestNotReadyWithoutPolicy: a registry that has no policy yet refuses everything, so nobody is sent there.
func TestNotReadyWithoutPolicy(t *testing.T) {
	t.Parallel()
	n, err := openNode(t, Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Admin: AdminOff, Dev: true, MinFree: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.current.Load().cluster.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	status := func() int {
		w := httptest.NewRecorder()
		n.current.Load().api.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, wire.PathReady, nil))
		return w.Code
	}
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d before there is a policy: expected 503", got)
	}
	if err := n.establish(t.Context(), n.current.Load()); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("/readyz says %d: expected 200", got)
	}
}

// TestRaftLogIsMissing: what is missing is said, and no new key or policy is asked for or made.
func TestRaftLogIsMissing(t *testing.T) {
	t.Parallel()
	c := Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Admin: AdminOff, Dev: true, MinFree: 1 << 20}
	n, err := openNode(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.establish(t.Context(), n.current.Load()); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(c.Data, AccreditationFile)
	for _, path := range []string{key, filepath.Join(c.Data, raftDir)} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, c.Dev = range []bool{true, false} {
		if _, err := openNode(t, c); !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), "Raft log beside it") {
			t.Errorf("dev %v: got %v: expected to be told that the Raft log is missing", c.Dev, err)
		}
	}
	if _, err := devKey(c.Data); !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("got %v: expected to be told that the key is missing", err)
	}
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a new accreditation key was made for a registry that would not know it")
	}
}
