package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A leader is writing an entry when it hears from one of the next term: it must not go on with that as if it had been
// elected in it. Once it has written it follows.
func TestANewerTermWaitsForItsTurn(t *testing.T) {
	twice(t, func(t *testing.T, off bool) {
		f := startCluster(t, 3, func(name string, c *Config) {
			patient(name, c)
			c.guards.noTurn = off
		})
		f.allUp()
		f.fill("n1", 3)
		n1, n2 := f.leads("n1"), f.seat("n2").node()
		term, last := n1.raft.CurrentTerm(), n1.raft.LastIndex()
		written := n1.hold(t)
		_, op := create()
		go func() { _ = f.tryWrite("n1", op, time.Second) }()
		eventually(t, "n1 writes an entry", func() bool { index, err := n1.log.LastIndex(); return err == nil && index > last })

		self := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("n2"), Addr: []byte(addressOf("n2"))}
		answered := make(chan raft.AppendEntriesResponse, 1)
		go func() {
			var a raft.AppendEntriesResponse
			if err := n2.trans.trans.AppendEntries("n1", raft.ServerAddress(addressOf("n1")), &raft.AppendEntriesRequest{RPCHeader: self, Term: term + 1}, &a); err != nil {
				t.Error(err)
			}
			answered <- a
		}()
		if off {
			eventually(t, "n1 is of the next term while it writes", func() bool { return n1.raft.CurrentTerm() > term })
			if index, err := n1.log.LastIndex(); err != nil || n1.raft.LastIndex() >= index {
				t.Errorf("n1 has written by then: the log ends at %d, for Raft at %d, %v", index, n1.raft.LastIndex(), err)
			}
			written()
			<-answered
			return
		}
		select {
		case a := <-answered:
			t.Errorf("n1 answered %+v while it wrote", a)
		case <-time.After(300 * time.Millisecond):
		}
		if n1.raft.State() != raft.Leader || n1.raft.CurrentTerm() != term {
			t.Errorf("n1 is %v in term %d while it writes: expected it to lead in %d", n1.raft.State(), n1.raft.CurrentTerm(), term)
		}
		written()
		if a := <-answered; a.Term != term+1 {
			t.Errorf("n1 answered %+v: expected term %d", a, term+1)
		}
		p, op := create()
		f.write("n1", op)
		f.mustHold("n1", p)
		f.mustAgree()
	})
}
