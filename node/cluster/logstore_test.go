package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	berrors "go.etcd.io/bbolt/errors"
)

// newLog opens a log in which entries 1 to last are stored and the state is durable up to durable.
func newLog(t *testing.T, last, durable uint64) *logStore {
	t.Helper()
	path := filepath.Join(t.TempDir(), logFile)
	db, err := openLog(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	s := &logStore{path: path, db: db, durable: func() (uint64, error) { return durable, nil }, fail: func(err error) { t.Error(err) }, syncDir: syncDir, epoch: time.Now()}
	s.size.start(0, 0, 0)
	t.Cleanup(func() { _ = s.close() })
	if last > 0 {
		store(t, s, 1, last, 1)
	}
	return s
}

func store(t *testing.T, s raft.LogStore, from, to, term uint64) {
	t.Helper()
	var logs []*raft.Log
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: term, Data: []byte("entry")})
	}
	if err := s.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
}

func bounds(t *testing.T, s raft.LogStore) (first, last uint64) {
	t.Helper()
	first, err := s.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	last, err = s.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	return first, last
}

func TestDeleteRange(t *testing.T) {
	t.Parallel()
	const last, applied, durable = 2000, 1300, 1200
	for _, tt := range []struct {
		name                  string
		from, to              uint64
		wantFirst, wantLast   uint64
		unguarded             bool
		breaksTheRuleOnRemove bool
		stops                 bool
	}{
		{name: "a prefix up to what is durable", from: 1, to: 1000, wantFirst: 1001, wantLast: last},
		{name: "a prefix past what is durable is clamped", from: 1, to: 1500, wantFirst: durable + 1, wantLast: last},
		{name: "without the guard it loses entries", from: 1, to: 1500, unguarded: true, wantFirst: 1501, wantLast: last, breaksTheRuleOnRemove: true},
		{name: "a suffix passes", from: applied + 1, to: last, wantFirst: 1, wantLast: applied},
		{name: "a suffix of what is applied stops the node", from: applied, to: last, wantFirst: 1, wantLast: last, stops: true},
		{name: "everything stops the node", from: 1, to: last, wantFirst: 1, wantLast: last, stops: true},
		{name: "without the guard the state keeps what is overruled", from: applied, to: last, unguarded: true, wantFirst: 1, wantLast: applied - 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newLog(t, last, durable)
			s.applied = func() uint64 { return applied }
			var failed error
			s.fail = func(err error) { failed = err }
			s.noClamp, s.noHistory = tt.unguarded, tt.unguarded
			if err := s.DeleteRange(tt.from, tt.to); (err != nil) != tt.stops || (failed != nil) != tt.stops {
				t.Fatalf("DeleteRange: %v, the node was told %v", err, failed)
			}
			if err := s.StoreLog(&raft.Log{Index: last + 1, Term: 2}); (err != nil) != tt.stops {
				t.Errorf("StoreLog after that: %v", err)
			}
			if err := s.db.DeleteRange(last+1, last+1); err != nil {
				t.Fatal(err)
			}
			first, lastNow := bounds(t, s)
			if first != tt.wantFirst || lastNow != tt.wantLast {
				t.Errorf("the log is %d..%d: expected %d..%d", first, lastNow, tt.wantFirst, tt.wantLast)
			}
			if broken := first > durable+1; broken != tt.breaksTheRuleOnRemove {
				t.Errorf("F = %d, D = %d: rule broken is %v, expected %v", first, durable, broken, tt.breaksTheRuleOnRemove)
			}
		})
	}
}

// A commit that failed may have reached the disk after all. Raft gives the indexes to other entries; the
// rest must not follow upon those as a tail of an older term.
func TestTailOfAFailedWriteIsCut(t *testing.T) {
	t.Parallel()
	for _, guarded := range []bool{true, false} {
		s := newLog(t, 10, 0)
		store(t, s.db, 11, 15, 1) // written, but reported as failed
		s.suspect = guarded
		store(t, s, 11, 11, 2)
		if _, last := bounds(t, s); (last == 11) != guarded {
			t.Errorf("guarded %v: the log ends at %d", guarded, last)
		}
		if s.suspect {
			t.Error("still suspect after a good write")
		}
	}
}

func TestIsFull(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{&os.PathError{Op: "write", Err: syscall.ENOSPC}, true},
		{&os.PathError{Op: "write", Err: syscall.EDQUOT}, true},
		{errors.New("file resize error: no space left on device"), true},
		{&os.PathError{Op: "write", Err: syscall.EIO}, false},
		{&os.PathError{Op: "sync", Err: syscall.ENOSPC}, false},
		{syscall.ENOSPC, false}, // bolt's fdatasync: what it lost is not known
	} {
		if got := isFull(tt.err); got != tt.want {
			t.Errorf("isFull(%v) = %v", tt.err, got)
		}
	}
}

func TestAWriteThatFailsForGoodStopsTheLog(t *testing.T) {
	t.Parallel()
	var failed error
	s := newLog(t, 3, 0)
	s.fail = func(err error) { failed = err }
	if err := s.db.Close(); err != nil { // any error of Bolt that is not a full disk
		t.Fatal(err)
	}
	if err := s.StoreLog(&raft.Log{Index: 4}); !errors.Is(err, berrors.ErrDatabaseNotOpen) || failed == nil {
		t.Errorf("StoreLog: %v, reported %v", err, failed)
	}
	if err := s.DeleteRange(1, 2); err == nil {
		t.Error("the log is still written after a failure")
	}
}

func TestRewriteKeepsWhatTheLogHolds(t *testing.T) {
	t.Parallel()
	s := newLog(t, 300, 300)
	s.mapped = 1 << 20
	if err := s.DeleteRange(1, 100); err != nil {
		t.Fatal(err)
	}
	for i, key := range stableKeys {
		if err := s.set([]byte(key), bigEndian(uint64(i+7))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.rewrite(); err != nil {
		t.Fatal(err)
	}
	if first, last := bounds(t, s); first != 101 || last != 300 {
		t.Fatalf("the log is %d..%d: expected 101..300", first, last)
	}
	for i := uint64(101); i <= 300; i++ {
		var l raft.Log
		if err := s.GetLog(i, &l); err != nil || l.Index != i || string(l.Data) != "entry" || l.Term != 1 {
			t.Fatalf("entry %d is %+v, %v", i, l, err)
		}
	}
	for i, key := range stableKeys {
		if v, err := s.getUint64([]byte(key)); err != nil || v != uint64(i+7) {
			t.Errorf("%s is %d, %v", key, v, err)
		}
	}
	store(t, s, 301, 310, 2) // the file that is written now is the one at path
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	db, err := openLog(s.path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if first, last := bounds(t, db); first != 101 || last != 310 {
		t.Errorf("the file holds %d..%d: expected 101..310", first, last)
	}
}

// When the directory cannot be synced, the new file is at path now, and after a crash it is either. So
// nothing may be acknowledged into only one of them.
func TestRewriteWhoseRenameIsInDoubtStopsTheLog(t *testing.T) {
	t.Parallel()
	s := newLog(t, 3, 3)
	s.mapped = 1 << 20
	var failed error
	s.fail = func(err error) { failed = err }
	s.syncDir = func(string) error { return syscall.EIO }
	if err := s.rewrite(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("rewrite: %v: expected that it could not sync", err)
	}
	if err := s.StoreLog(&raft.Log{Index: 4}); err == nil {
		t.Error("an entry was acknowledged")
	}
	if err := s.set([]byte("LastVoteTerm"), bigEndian(7)); err == nil {
		t.Error("a vote was acknowledged")
	}
	if !errors.Is(failed, syscall.EIO) {
		t.Errorf("the node was told %v: expected to stop", failed)
	}
	if first, last := bounds(t, s); first != 1 || last != 3 {
		t.Errorf("the log reads %d..%d: expected 1..3", first, last)
	}
}

// A rename that fails leaves the log as it was, and nothing beside it that the next rewrite would keep.
func TestRewriteThatCannotRename(t *testing.T) {
	t.Parallel()
	s := newLog(t, 3, 3)
	s.mapped = 1 << 20
	path := s.path
	s.path = filepath.Join(filepath.Dir(path), "taken") // a directory that is not empty is not replaced
	if err := os.MkdirAll(filepath.Join(s.path, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.rewrite(); err == nil {
		t.Fatal("a directory was replaced")
	}
	if _, err := os.Stat(s.path + tmpSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new file is still there: %v", err)
	}
	store(t, s, 4, 5, 1)
	s.path = path
	if err := s.rewrite(); err != nil {
		t.Fatal(err)
	}
	if first, last := bounds(t, s); first != 1 || last != 5 {
		t.Errorf("the log is %d..%d: expected 1..5", first, last)
	}
}
