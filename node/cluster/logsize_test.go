package cluster

import (
	"testing"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

func TestLogSizeCutsToTheLimit(t *testing.T) {
	t.Parallel()
	var s logSize
	s.start(0, 0, 0)
	const entry = 1000
	for i := uint64(1); i <= 10_000; i++ {
		s.stored(i, entry)
	}
	if got := s.retained(); got != 10_000*entry {
		t.Fatalf("retained %d: expected %d", got, 10_000*entry)
	}
	for _, limit := range []int64{entry, 2_000_000, 5_000_000, 20_000_000} {
		n := s.trailing(limit)
		if n < 1 || int64(n)*entry > max(limit, entry) {
			t.Errorf("trailing(%d) = %d entries of %d bytes", limit, n, entry)
		}
		if limit >= markEvery && limit < 10_000*entry && int64(n)*entry < limit-2*markEvery {
			t.Errorf("trailing(%d) = %d entries: far too few", limit, n)
		}
	}
	s.removed(8000)
	if got := s.retained(); got < 2000*entry || got > 2000*entry+markEvery+entry {
		t.Errorf("after removing 8000, retained %d: expected about %d", got, 2000*entry)
	}
}

func TestLogSizeFoundAtStart(t *testing.T) {
	t.Parallel()
	var s logSize
	s.start(1001, 2000, 10<<20)
	if got := s.retained(); got < 9<<20 || got > 10<<20 {
		t.Errorf("retained %d: expected about the file's size", got)
	}
	if n := s.trailing(5 << 20); n < 450 || n > 510 {
		t.Errorf("trailing half the size is %d entries: expected about 500", n)
	}
}

func TestBoltCostIsWhatTheFileGrowsBy(t *testing.T) {
	t.Parallel()
	for _, size := range []int{50, 700, 3000, 45_000} {
		s := newLog(t, 0, 0)
		n := (4 << 20) / size
		var logs []*raft.Log
		for i := range n {
			logs = append(logs, &raft.Log{Index: uint64(i + 1), Term: 1, Data: make([]byte, size)})
			if len(logs) == 64 || i == n-1 {
				if err := s.StoreLogs(logs); err != nil {
					t.Fatal(err)
				}
				logs = nil
			}
		}
		used := usedBytes(t, s)
		if got := s.size.retained(); got < used*3/4 || got > used*3/2 {
			t.Errorf("%d entries of %d bytes: reckoned with %d bytes, the file uses %d", n, size, got, used)
		}
	}
}

// usedBytes is how much of the file the log's tree takes.
func usedBytes(t *testing.T, s *logStore) int64 {
	t.Helper()
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(s.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var used int
	err = db.View(func(tx *bbolt.Tx) error {
		st := tx.Bucket([]byte("logs")).Stats()
		used = st.LeafAlloc + st.BranchAlloc
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return int64(used)
}
