package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/dcann/dcann/registry/state"
)

// oneStopped is a cluster in which all agree, and of which one that follows was stopped, to be tampered with.
func oneStopped(t *testing.T) (f *fleet, leader *node, stopped *seat) {
	t.Helper()
	f = startCluster(t, 3, nil)
	f.fill("n1", 10)
	f.mustAgree()
	leader = f.settled()
	stopped = f.seat(f.followers(leader)[0])
	stopped.halt()
	return f, leader, stopped
}

// A state that is not that of the others is found.
func TestCheckFindsWhoDiffers(t *testing.T) {
	t.Parallel()
	f, leader, s := oneStopped(t)
	place, err := s.place(s.dir, s.fs)
	if err != nil {
		t.Fatal(err)
	}
	o := small
	o.FS = s.fs
	st, err := state.Open(place.State(), o)
	if err != nil {
		t.Fatal(err)
	}
	index, term := st.Applied()
	batch := state.Batch{Time: leader.now(), Seed: [32]byte{1}, Commands: []state.Command{state.TickProposal().Command()}}
	_, op := create()
	batch.Commands = append(batch.Commands, state.Command{Type: state.OperationCommand, Bytes: op.Bytes()})
	data, err := batch.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.ApplyBatch([]state.Entry{{Index: index + 1, Term: term, Data: data}}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	f.fill(leader.cfg.Name, 3) // the entry that it will take for its own
	s.start()
	f.settled()
	report, err := leader.Check(inTime(t), false)
	if err != nil || report.Equal || report.Full || len(report.Nodes) != 3 {
		t.Fatalf("%+v, %v: expected three nodes of which one differs", report, err)
	}
	for _, n := range report.Nodes {
		if (n.Problem != "") != (n.Name == s.name) || n.Hash == "" {
			t.Errorf("%+v: expected a problem of %s only", n, s.name)
		}
	}
}

// An operator's check directly after a transfer was refused, as nobody led at that moment.
func TestCheckWaitsForTheNextLeader(t *testing.T) {
	t.Parallel()
	f := startCluster(t, 3, nil)
	f.fill("n1", 3)
	for range 3 {
		leader := f.settled()
		asked := f.seat(f.followers(leader)[0]).node()
		if err := leader.TransferLeadership(inTime(t), ""); err != nil {
			t.Fatal(err)
		}
		for _, n := range []*node{leader, asked} {
			if report, err := n.Check(inTime(t), false); err != nil || !report.Equal {
				t.Errorf("%s after a transfer: %+v, %v", n.cfg.Name, report, err)
			}
		}
	}
}

// A row that is not what was written there does not show in the hash of the state. A full check reads it.
func TestAFullCheckFindsDamage(t *testing.T) {
	t.Parallel()
	f, leader, s := oneStopped(t)
	s.damage()
	s.start()
	f.settled()
	if report, err := leader.Check(inTime(t), false); err != nil || !report.Equal {
		t.Errorf("a check that is not full: %+v, %v: expected equal states", report, err)
	}
	report, err := leader.Check(inTime(t), true)
	if err != nil || report.Equal || !report.Full || len(report.Nodes) != 3 {
		t.Fatalf("%+v, %v: expected three nodes of which one is damaged", report, err)
	}
	for _, n := range report.Nodes {
		if (n.Problem != "") != (n.Name == s.name) || strings.Contains(n.Problem, "differs") || n.Hash != report.Nodes[0].Hash {
			t.Errorf("%+v: expected that only the rows of %s are not what its hash says", n, s.name)
		}
	}
}

// damage flips a bit of a record in the state of a node that is stopped.
func (s *seat) damage() {
	s.f.t.Helper()
	place, err := s.place(s.dir, s.fs)
	if err != nil {
		s.f.t.Fatal(err)
	}
	db, err := pebble.Open(place.State(), &pebble.Options{FS: s.fs, DisableWAL: true, Logger: silent{pebble.DefaultLogger}})
	if err != nil {
		s.f.t.Fatal(err)
	}
	rows, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte("r"), UpperBound: []byte("s")})
	if err != nil {
		s.f.t.Fatal(err)
	}
	if !rows.First() {
		s.f.t.Fatal("there are no records")
	}
	key, value := slices.Clone(rows.Key()), slices.Clone(rows.Value())
	value[len(value)-1] ^= 1
	if err := errors.Join(rows.Close(), db.Set(key, value, pebble.NoSync), db.Flush(), db.Close()); err != nil {
		s.f.t.Fatal(err)
	}
}

// silent says nothing of what goes well.
type silent struct{ pebble.Logger }

func (silent) Infof(string, ...any) {}
