package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// termsOf are the terms of all entries, by index.
func termsOf(t *testing.T, s raft.LogStore) map[uint64]uint64 {
	t.Helper()
	terms := make(map[uint64]uint64)
	first, last := bounds(t, s)
	for i := first; i <= last && last > 0; i++ {
		var l raft.Log
		if err := s.GetLog(i, &l); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		terms[i] = l.Term
	}
	return terms
}

// mustBe compares the log, and its file as the next start finds it, with the terms that it must have.
func (s *logStore) mustBe(t *testing.T, want map[uint64]uint64) {
	t.Helper()
	if got := termsOf(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the log has entries of terms %v: expected %v", got, want)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	db, err := openLog(s.path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := termsOf(t, db); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the file has entries of terms %v: expected %v", got, want)
	}
}

// Most is copied while the log is written: what changes meanwhile is in the new file, too.
func TestRewriteFollowsWhatIsWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, s *logStore) error
	}{
		{"nothing", func(*testing.T, *logStore) error { return nil }},
		{"appended", func(t *testing.T, s *logStore) error { store(t, s, 301, 350, 2); return nil }},
		{"a prefix goes", func(t *testing.T, s *logStore) error { return s.DeleteRange(1, 200) }},
		{"all goes", func(t *testing.T, s *logStore) error { return s.DeleteRange(1, 300) }},
		{"the end goes", func(t *testing.T, s *logStore) error { return s.DeleteRange(250, 300) }},
		{"the end is overruled", func(t *testing.T, s *logStore) error {
			err := s.DeleteRange(250, 300)
			store(t, s, 250, 320, 2)
			return err
		}},
		{"it is overruled twice", func(t *testing.T, s *logStore) error {
			err := s.DeleteRange(290, 300)
			store(t, s, 290, 320, 2)
			if err == nil {
				err = s.DeleteRange(280, 320)
			}
			store(t, s, 280, 290, 3)
			return err
		}},
		{"a failed write is cut off", func(t *testing.T, s *logStore) error {
			s.suspect = true
			store(t, s, 280, 305, 2)
			return nil
		}},
		{"a term is voted in", func(t *testing.T, s *logStore) error { return s.set(keyCurrentTerm, bigEndian(9)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newLog(t, 300, 300)
			s.mapped = 1 << 20
			if err := s.set(keyCurrentTerm, bigEndian(7)); err != nil {
				t.Fatal(err)
			}
			path := s.path + tmpSuffix
			db, err := openLog(path, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.copyAhead(db); err != nil {
				t.Fatal(err)
			}
			if got, _ := db.LastIndex(); got != 300 {
				t.Fatalf("copied up to %d ahead: expected all, 300", got)
			}
			if err := tt.change(t, s); err != nil {
				t.Fatal(err)
			}
			want := termsOf(t, s)
			term, err := s.getUint64(keyCurrentTerm)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.exclusively(func() error { return s.replace(db, path) }); err != nil {
				t.Fatal(err)
			}
			if got, err := s.getUint64(keyCurrentTerm); got != term {
				t.Errorf("the term is %d, %v: expected %d", got, err, term)
			}
			s.mustBe(t, want)
		})
	}
}

// Entries are appended, overruled and cut away while the file is written anew, again and again.
func TestRewriteBesideAWriter(t *testing.T) {
	t.Parallel()
	s := newLog(t, 500, 1<<40)
	s.mapped = 1 << 24
	want := termsOf(t, s)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		first, last := uint64(1), uint64(500)
		for term := uint64(2); ; term++ {
			select {
			case <-stop:
				return
			default:
			}
			from := last - 5*(term%3)
			if from < last {
				if err := s.DeleteRange(from+1, last); err != nil {
					t.Error(err)
					return
				}
			}
			var logs []*raft.Log
			for last = from; last < from+20; {
				last++
				logs = append(logs, &raft.Log{Index: last, Term: term, Data: make([]byte, 2000)})
				want[last] = term
			}
			err := s.StoreLogs(logs)
			if last-first > 600 && err == nil {
				err = s.DeleteRange(first, first+99)
				for range 100 {
					delete(want, first)
					first++
				}
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 10 {
		if err := s.rewrite(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writer.Wait()
	s.mustBe(t, want)
}

// Who uses the log is not kept out while it is copied.
func TestRewriteCopiesBesideOthers(t *testing.T) {
	t.Parallel()
	s := newLog(t, 300, 300)
	db, err := openLog(s.path+tmpSuffix, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s.mu.RLock() // somebody does
	defer s.mu.RUnlock()
	if _, left, err := s.copySome(db); err != nil || left != 0 {
		t.Errorf("%d entries are left, %v", left, err)
	}
}

// What hangs while the log is held by a scrub is noticed like an append that hangs.
func TestALeaderWhoseScrubHangsMakesRoom(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 3, func(_ string, c *Config) {
			c.LogStall, c.guards.noStall = 300*time.Millisecond, off
		})
		leader := f.settled()
		name := leader.cfg.Name
		gate, hangs, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		leader.log.syncDir = func(dir string) error { close(hangs); <-gate; return syncDir(dir) }
		t.Cleanup(func() { close(gate); <-ended })
		go func() { defer close(ended); _ = leader.log.rewrite() }()
		<-hangs
		if off {
			f.mustBeStuck(name)
			return
		}
		f.mustMakeRoom(leader)
	})
}

// Whoever waits for the log is timed, whatever it is that keeps it waiting.
func TestWaitingForTheLogIsTimed(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*logStore) error{
		"an append":      func(s *logStore) error { return s.StoreLog(&raft.Log{Index: 4, Term: 1}) },
		"a vote":         func(s *logStore) error { return s.set([]byte("LastVoteTerm"), bigEndian(7)) },
		"a scrub's turn": func(s *logStore) error { return s.exclusively(func() error { return nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLog(t, 3, 0)
			s.mu.Lock() // held by another
			release := sync.OnceFunc(s.mu.Unlock)
			t.Cleanup(release)
			done := make(chan error, 1)
			go func() { done <- write(s) }()
			eventually(t, "it is timed", func() bool { return s.stalled() > 0 })
			release()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if d := s.stalled(); d != 0 {
				t.Errorf("%s after its end", d)
			}
		})
	}
}
