package cluster

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry/state"
)

// machine lets Raft apply to the state. Raft calls ApplyBatch, Snapshot and Restore from one goroutine.
type machine struct {
	st      *state.Store
	applied *appliedIndex
	fail    func(error) // the node cannot go on
	snaps   *snapshots
	guards  guards
	// replaced ends the node, as soon as whoever sent the state has been told that it is installed.
	replaced func()

	failed    error // of ApplyBatch; from then on nothing is applied
	unflushed atomic.Int64
}

// ApplyBatch implements raft.BatchingFSM: the entries become one batch of the store. The response to a
// command is a []state.Result, or an error once the store has failed: such an entry is committed and
// will be applied by a node that can.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	responses := make([]any, len(logs))
	results, err := m.apply(logs)
	for i := range logs {
		if err != nil {
			responses[i] = err
		} else {
			responses[i] = results[i]
		}
	}
	return responses
}

func (m *machine) apply(logs []*raft.Log) ([][]state.Result, error) {
	if m.failed != nil {
		return nil, m.failed
	}
	entries := make([]state.Entry, len(logs))
	var size int64
	for i, l := range logs {
		entries[i] = state.Entry{Index: l.Index, Term: l.Term, Data: l.Data, Configuration: l.Type == raft.LogConfiguration}
		size += int64(len(l.Data))
	}
	results, err := m.st.ApplyBatch(entries)
	if err == nil && len(results) != len(logs) {
		err = fmt.Errorf("%d results for %d entries", len(results), len(logs))
	}
	if err != nil {
		m.failed = fmt.Errorf("apply entries %d to %d: %w", logs[0].Index, logs[len(logs)-1].Index, err)
		m.fail(m.failed)
		return nil, m.failed
	}
	m.unflushed.Add(size)
	m.applied.advance(logs[len(logs)-1].Index)
	return results, nil
}

// Apply implements raft.FSM.
func (m *machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// Snapshot implements raft.FSM. It copies nothing: the state itself is the snapshot (DESIGN 9, rule 4).
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.failed != nil {
		return nil, m.failed
	}
	index, _ := m.st.Applied()
	return &flushed{st: m.st, index: index, flush: !m.guards.noFlush}, nil
}

// Restore implements raft.FSM: the state that was received is put in force, durably. This one is over then:
// nothing is applied to it any more, and the node is opened anew on the other.
func (m *machine) Restore(r io.ReadCloser) error {
	if err := errors.Join(m.snaps.install(unwrap(r)), r.Close()); err != nil {
		return fmt.Errorf("put another node's state in force: %w", err)
	}
	m.failed = ErrReplaced
	m.replaced()
	return nil
}

// ErrReplaced is why a Cluster has ended when another node's state was put in force: close it and its
// Store, and open both anew at once.
var ErrReplaced = errors.New("the state was replaced by that of another node")

// unwrap is what Snapshots.Open returned, which Raft wraps to count what is read.
func unwrap(r io.ReadCloser) io.ReadCloser {
	if w, ok := r.(raft.ReadCloserWrapper); ok {
		return w.WrappedReadCloser()
	}
	return r
}

// flushed is a snapshot that is taken by making the state durable.
type flushed struct {
	st    *state.Store
	index uint64
	flush bool // false in tests only
}

// Persist implements raft.FSMSnapshot. Raft truncates its log when it returns nil, so it must not before
// everything applied up to the snapshot is durable (DESIGN 9, rule 2).
func (f *flushed) Persist(sink raft.SnapshotSink) error {
	if !f.flush {
		return sink.Close()
	}
	if err := f.st.Flush(); err != nil {
		return fmt.Errorf("flush the state: %w", err)
	}
	durable, err := f.st.DurableIndex()
	if err != nil {
		return err
	}
	if durable < f.index {
		return fmt.Errorf("the state is durable up to %d only after a flush: expected %d", durable, f.index)
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (f *flushed) Release() {}
