package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dcann/dcann/registry"
)

// backup is an archive of the leader, taken while it works.
func (f *fleet) backup() []byte {
	f.t.Helper()
	backup, err := f.settled().Backup(inTime(f.t), false)
	if err != nil {
		f.t.Fatal(err)
	}
	data, err := io.ReadAll(backup)
	if err := backup.Close(); err != nil {
		f.t.Error(err)
	}
	if err != nil || int64(len(data)) != backup.Size() {
		f.t.Fatalf("%d bytes of %d: %v", len(data), backup.Size(), err)
	}
	return data
}

// onDisk gives a node that is stopped an empty disk: an archive is restored to no other.
func (s *seat) onDisk() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir, s.fs = s.f.t.TempDir(), nil
}

// restore fills the disk of a node that is stopped.
func (s *seat) restore(ctx context.Context, r io.Reader) error {
	_, err := Restore(ctx, s.config(s.dir), s.dir, r, s.f.founders, nil, nil)
	return err
}

// A backup taken while writes go on becomes a registry of one node, and one of three.
func TestABackupIsRestored(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	all := f.fill("n3", 50)
	data := f.backup()
	for _, count := range []int{1, 3} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			t.Parallel()
			g := newFleet(t, count, newNet(), nil)
			for _, s := range g.seats {
				s.onDisk()
				bad := bytes.Clone(data)
				bad[len(bad)/2] ^= 1
				for what, r := range map[string]io.Reader{"altered": bytes.NewReader(bad), "truncated": bytes.NewReader(data[:len(data)-1]), "too long": bytes.NewReader(append(bytes.Clone(data), 0))} {
					if err := s.restore(inTime(t), r); err == nil {
						t.Errorf("an archive that is %s was taken", what)
					}
				}
				if err := s.restore(inTime(t), bytes.NewReader(data)); err != nil {
					t.Fatal(err)
				}
				if err := s.restore(inTime(t), bytes.NewReader(data)); err == nil {
					t.Error("restored over data")
				}
				s.start()
			}
			p, op := create()
			g.write("n1", op)
			for _, s := range g.seats {
				g.mustHold(s.name, append(all[:len(all):len(all)], p)...)
			}
			g.mustAgree()

			// That was asked once: later a majority is enough, and it begins without the rest.
			for _, s := range g.seats {
				s.halt()
			}
			for _, s := range g.seats[:count/2+1] {
				s.start()
			}
			p, op = create()
			g.write("n1", op)
			g.mustHold("n1", append(all[:len(all):len(all)], p)...)
		})
	}
}

// A member of a running registry that is restored from a backup has forgotten what it acknowledged since: it does
// not vote with that. Wiped, it is let in again.
func TestAMemberThatWasRestoredAloneDoesNotVote(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	all := f.fill("n1", 20)
	data := f.backup()
	all = append(all, f.fill("n2", 5)...) // with n3's help, which will be forgotten
	n3 := f.seat("n3")
	f.mustHold("n3", all...)
	n3.halt()
	n3.onDisk()
	if err := n3.restore(inTime(t), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	n3.start()
	eventually(t, "n3 gives up", func() bool { return n3.err() != nil })
	if err := n3.err(); !errors.Is(err, registry.Invalid) || !strings.Contains(err.Error(), "empty its data directory") {
		t.Fatalf("n3 ended with %v, expected an error of kind invalid that says what to do", err)
	}
	n3.halt()
	n3.onDisk()
	n3.start()
	f.mustHold("n3", all...)
	f.mustAgree()
}

// Who was restored twice is not the one that the others began with, although the backup is the same; who was
// restored and has not begun waits for the rest.
func TestARestoredRegistryBeginsTogether(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	all := f.fill("n1", 10)
	data := f.backup()
	g := newFleet(t, 3, newNet(), nil)
	again := func(s *seat) {
		t.Helper()
		s.onDisk()
		if err := s.restore(inTime(t), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		s.start()
	}
	n1, n2, n3 := g.seats[0], g.seats[1], g.seats[2]
	again(n1)
	again(n2)
	n3.onDisk()
	n3.start() // without data: it must not be founded either
	waits := func(s *seat, what string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Contains(s.waiting, what)
	}
	eventually(t, "all wait", func() bool {
		return waits(n1, "n3 (it has no data") && waits(n2, "n3 (it has no data") && waits(n3, "a leader of the cluster that")
	})
	for _, s := range g.seats {
		if s.node() != nil {
			t.Fatalf("%s runs Raft before n3 has the backup too", s.name)
		}
	}
	n3.halt()
	again(n3)
	_, op := create()
	g.write("n3", op)
	for _, s := range g.seats {
		g.mustHold(s.name, all...)
	}
	n2.halt()
	again(n2)
	eventually(t, "n2 gives up", func() bool { return n2.err() != nil })
	if err := n2.err(); !errors.Is(err, registry.Invalid) {
		t.Errorf("n2, restored once more, ended with %v", err)
	}
}

// One of those that a restored node was to begin with has lost its data since, and was let in again: it knows nothing of
// the backup. That is no reason to refuse who was late to begin, as long as another counts on it.
func TestWhoIsLateToBeginIsCountedOnByOthers(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 1, nil)
	all := f.fill("n1", 5)
	data := f.backup()
	network := newNet()
	var late atomic.Bool
	late.Store(true)
	network.onCall = func(from, _, _ string, _ []byte) error {
		if from == "n5" && late.Load() {
			return errors.New("connection refused")
		}
		return nil
	}
	g := newFleet(t, 5, network, nil)
	for _, s := range g.seats {
		s.onDisk()
		if err := s.restore(inTime(t), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		s.start()
	}
	n1, n5 := g.seat("n1"), g.seat("n5")
	p, op := create()
	for _, s := range g.seats[:4] {
		eventually(t, s.name+" begins", func() bool { return s.node() != nil })
	}
	g.write("n2", op)
	n1.halt()
	n1.onDisk()
	n1.start()
	g.mustHold("n1", append(all, p)...)
	late.Store(false)
	eventually(t, "n5 begins", func() bool { return n5.node() != nil || n5.err() != nil })
	if err := n5.err(); err != nil {
		t.Fatalf("n5 ended with %v, although the others count on it", err)
	}
	g.mustHold("n5", append(all, p)...)
}
