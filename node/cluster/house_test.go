package cluster

import (
	"testing"
	"time"

	"github.com/dcann/dcann/registry/state"
)

// grow writes to the log until it holds more than size bytes, by commands that the state refuses.
func (n *node) grow(t *testing.T, size int64) {
	t.Helper()
	batch := state.Batch{Time: n.now(), Commands: []state.Command{{Type: state.OperationCommand, Bytes: make([]byte, 128<<10)}}}
	data, err := batch.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n.log.size.retained() <= size {
		if err := n.raft.Apply(data, 0).Error(); err != nil {
			t.Fatal(err)
		}
	}
}

// kept waits until the house of a node that flushes all the time was kept twice: what the log held before was looked
// at once at least.
func (n *node) kept(t *testing.T) {
	t.Helper()
	for range 2 {
		_, op := create()
		n.mustSubmit(t, op)
		n.becomesDurable(t)
	}
}

// becomesDurable waits until what is applied now would outlive a crash of the state alone.
func (n *node) becomesDurable(t *testing.T) {
	t.Helper()
	applied := n.AppliedIndex()
	eventually(t, "what is applied is durable", func() bool { return n.Status().Durable >= applied })
}

func TestAStateBecomesDurableByItself(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir(), func(c *Config) { c.FlushInterval = 10 * time.Millisecond })
	for range 3 {
		_, op := create()
		n.mustSubmit(t, op)
		n.becomesDurable(t)
	}
}

// While another node is sent the state, and until it asks for what follows, the log is kept beyond its bound, from where
// that state ends; but not without any.
func TestTheLogIsKeptWhileAStateIsSent(t *testing.T) {
	t.Parallel()
	const limit = 512 << 10
	f := startCluster(t, 1, func(_ string, c *Config) { c.TrailingBytes, c.FlushInterval = limit, time.Millisecond })
	n := f.settled()
	_, sent, err := n.machine.snaps.Open("for another node")
	if err != nil {
		t.Fatal(err)
	}
	mustKeep := func(when string) {
		t.Helper()
		n.grow(t, 2*limit)
		first := n.Status().LogFirst
		n.kept(t)
		if s := n.Status(); s.LogFirst != first || s.LogBytes <= 2*limit {
			t.Errorf("%s the log was cut from %d to %d, and holds %d bytes", when, first, s.LogFirst, s.LogBytes)
		}
	}
	mustCut := func(when string) {
		t.Helper()
		eventually(t, when+" the log is cut", func() bool { return n.log.size.retained() <= limit })
		n.mustKeepTheRule(t)
	}
	mustKeep("while a checkpoint is open")
	n.grow(t, keptAtMost*limit)
	mustCut("beyond its utmost")
	if err := sent.Close(); err != nil {
		t.Fatal(err)
	}
	n.machine.snaps.settled.Add(int64(time.Hour)) // however long this takes
	mustKeep("after a checkpoint was sent")
	n.machine.snaps.settled.Store(0) // as when afterSending is over
	mustCut("after that")
}
