package cluster

import (
	"testing"
	"time"
)

// TestReadyMeansCaughtUp: a node is ready when it has applied, lately, all that its leader had committed, and
// writes its log in time.
func TestReadyMeansCaughtUp(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Hour)
	c := &Cluster{cfg: Config{LogStall: 10 * time.Second, Clock: time.Now}, log: &logStore{epoch: began}, done: make(chan struct{})}
	c.fresh.epoch = began
	ago := func(d time.Duration) instant { return c.instant().back(d) }
	expect := func(ready bool, when string) {
		t.Helper()
		if err := c.Ready(); (err == nil) != ready {
			t.Errorf("%s: got %v, expected ready to be %t", when, err, ready)
		}
	}
	expect(false, "before a leader was heard")
	c.fresh.heard(ago(2*MaxContactAge), 10, 9)
	expect(false, "behind what the leader had committed when it was first heard")
	c.fresh.heard(ago(time.Second), 12, 9)
	expect(false, "in touch with the leader, and still behind")
	c.fresh.reached(10)
	expect(false, "at what the leader had committed long ago")
	c.fresh.heard(ago(time.Second), 12, 11)
	expect(false, "not at what it had committed a moment ago")
	c.fresh.reached(12)
	expect(true, "at what it had committed a moment ago")
	c.log.writing.Store(int64(time.Since(began) - 6*time.Second))
	expect(false, "while a log write has hung for more than half of what a node is given up for")
	c.log.writing.Store(0)
	expect(true, "when the write has ended")
	c.fresh.epoch = began.Add(-2 * MaxContactAge) // all that is known is older now
	expect(false, "out of touch with the leader")
}

func TestLeaderChanges(t *testing.T) {
	t.Parallel()
	var r reign
	for i, step := range []struct {
		leader string
		term   uint64
		want   bool
	}{
		{"", 0, false},
		{"a", 2, false}, // the first that is known
		{"a", 2, false},
		{"", 3, false}, // an election
		{"b", 3, true},
		{"b", 3, false},
		{"", 4, false},
		{"b", 5, true}, // elected again
		{"c", 6, true},
	} {
		if got := r.changed(step.leader, step.term); got != step.want {
			t.Errorf("step %d, %q in term %d: %t, expected %t", i, step.leader, step.term, got, step.want)
		}
	}
}

// TestStatusKnows: what metrics are made of is filled in.
func TestStatusKnows(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), nil)
	_, op := create()
	n.mustSubmit(t, op)
	s := n.Status()
	if !s.Fresh || s.Staleness != 0 || !s.ClockKnown || s.ClockOffset != 0 {
		t.Errorf("staleness %s (known: %t), clock %s off (known: %t): expected 0 of both, known", s.Staleness, s.Fresh, s.ClockOffset, s.ClockKnown)
	}
	if s.LogWrites.Count == 0 || s.LogWrites.Sum == 0 {
		t.Errorf("%d log writes took %s: expected some", s.LogWrites.Count, s.LogWrites.Sum)
	}
	if k := n.Known(); len(k.Nodes) != 1 || k.Nodes[0].Name != s.Name || !k.Nodes[0].Healthy || !k.Nodes[0].Leader {
		t.Errorf("known are %+v: expected one healthy leader", k.Nodes)
	}
}
