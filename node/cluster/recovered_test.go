package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// recover has a node that is stopped go on alone, and starts it.
func (s *seat) recover() {
	s.f.t.Helper()
	place, err := s.place(s.dir, s.fs)
	if err != nil {
		s.f.t.Fatal(err)
	}
	if err := Recover(s.config(s.dir), place); err != nil {
		s.f.t.Fatal(err)
	}
	s.start()
}

// recoveredTooSoon is a registry of three that was believed lost but for n1, which went on and acknowledged p; the
// other two are back with their old data, a majority of what was.
func recoveredTooSoon(t *testing.T, g guards) (f *fleet, p *passport) {
	t.Helper()
	f = startCluster(t, 3, func(_ string, c *Config) { c.guards = g })
	f.fill("n2", 5)
	f.settled()
	f.leads("n2")
	for _, s := range f.seats {
		s.halt()
	}
	f.seat("n1").recover()
	p, op := create()
	f.write("n1", op)
	f.seat("n2").start()
	f.seat("n3").start()
	f.leader("n1")
	return f, p
}

// A leader of another history has a node take back what it had applied. The state cannot do so: the node stops, rather
// than to go on with what no other has.
func TestANodeWhoseAppliedEntriesAreOverruledStops(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f, p := recoveredTooSoon(t, guards{noHistory: off})
		n1 := f.seat("n1")
		if !off {
			eventually(t, "n1 stops", func() bool { return n1.err() != nil && n1.node() == nil })
			if err := n1.err(); errors.Is(err, ErrReplaced) || !strings.Contains(err.Error(), "overrules entry") {
				t.Errorf("n1 ended with %v, expected that it was overruled", err)
			}
			return
		}
		var n *node
		eventually(t, "n1 follows", func() bool {
			_, op := create()
			_ = f.tryWrite("n2", op, time.Second)
			n = n1.node()
			return n != nil && n.leader() != "" && n.leader() != "n1" && n.ReadIndex(inTime(t)) == nil
		})
		if !n.holds(p) || f.leader("n1").holds(p) {
			t.Error("n1 shows what the others do: the test shows nothing")
		}
	})
}
