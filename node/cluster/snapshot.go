package cluster

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/registry/state"
)

// snapshots is the snapshot store that Raft sees (DESIGN 9, rule 3). It stores nothing: it lists one
// synthetic snapshot made from the live state's own index, term and configuration, so that Raft starts
// where the state is and replays only what the state has not made durable. Only when another node needs the
// whole state is a checkpoint made, and streamed (rule 4).
type snapshots struct {
	st    *state.Store
	place *Place
	term  func() (uint64, error) // the newest that this node knows of

	mu       sync.Mutex
	received map[string]receivedState // by ID: whole on disk, and not in force yet

	sent    atomic.Uint64 // checkpoints that were made
	sending atomic.Int64  // checkpoints that are open
	came    atomic.Int64  // unix ns since when bytes of a state are waited for; 0: they are not
	settled atomic.Int64  // unix ns until which the log is kept although none is
}

// afterSending is how long the log is kept whole after a checkpoint was sent: until the other node has opened it
// and asks for the entries that follow.
const afterSending = 30 * time.Second

// keepLog reports whether another node is about to need the log from where its checkpoint ends: were it cut
// meanwhile, that node would be sent another checkpoint, and so on for ever.
func (s *snapshots) keepLog() bool {
	return s.sending.Load() > 0 || time.Now().UnixNano() < s.settled.Load()
}

// receivedState is a state of another node, unpacked, synced, and not in force.
type receivedState struct {
	name      string // of the directory
	meta      raft.SnapshotMeta
	io.Reader // Raft wants one: there is nothing to read
	io.Closer // nothing to close
}

// List implements raft.SnapshotStore.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	index, term := s.st.Applied()
	if index == 0 {
		return nil, nil
	}
	data, at := s.st.Configuration()
	if len(data) == 0 {
		return nil, fmt.Errorf("the state at index %d holds no Raft configuration: %s", index, wipe)
	}
	return []*raft.SnapshotMeta{metaOf(fmt.Sprintf("%d-%d", term, index), index, term, data, at, 0)}, nil
}

func metaOf(id string, index, term uint64, configuration []byte, at uint64, size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: id, Index: index, Term: term,
		Configuration: raft.DecodeConfiguration(configuration), ConfigurationIndex: at, Size: size,
	}
}

// Open implements raft.SnapshotStore: what was received, for Raft to have it put in force; else the state
// as it is now, for another node. That is newer than what List told, which Raft does not mind.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	r, ok := s.received[id]
	s.mu.Unlock()
	if ok {
		return &r.meta, r, nil
	}
	if s.place == nil {
		return nil, nil, errNoInstall
	}
	s.sending.Add(1)
	stream, err := openCheckpoint(s.st, s.place, archive.Header{Kind: "checkpoint"})
	if err != nil {
		s.sending.Add(-1)
		return nil, nil, fmt.Errorf("make a checkpoint for another node: %w", err)
	}
	s.sent.Add(1)
	h := stream.Header()
	return metaOf(id, h.Index, h.Term, h.Configuration, h.ConfigurationIndex, stream.Size()), &sentCheckpoint{Checkpoint: stream, snaps: s}, nil
}

// sentCheckpoint keeps the log for as long as it is open. Raft closes it once.
type sentCheckpoint struct {
	*Checkpoint
	snaps *snapshots
}

func (s *sentCheckpoint) Close() error {
	s.snaps.settled.Store(time.Now().Add(afterSending).UnixNano())
	s.snaps.sending.Add(-1)
	return s.Checkpoint.Close()
}

// Checkpoint is a copy of a state on its way elsewhere. Close removes it.
type Checkpoint struct {
	*archive.Source
	io.Reader
	closers func() error
}

// Close removes the copy.
func (c *Checkpoint) Close() error { return c.closers() }

// openCheckpoint makes a copy of st by hard links, which costs a flush, and describes it.
func openCheckpoint(st *state.Store, place *Place, h archive.Header) (*Checkpoint, error) {
	dir := place.checkpoint()
	if err := st.Checkpoint(dir); err != nil {
		return nil, errors.Join(err, place.fs.RemoveAll(dir))
	}
	remove := func() error { return place.fs.RemoveAll(dir) }
	// What it holds exactly is only known from the copy itself: entries are applied and flushed meanwhile.
	copied, err := state.Open(dir, state.Options{FS: place.fs, ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	index, hash := copied.StateHash()
	h.Index, h.StateHash = index, hex.EncodeToString(hash[:])
	_, h.Term = copied.Applied()
	h.Configuration, h.ConfigurationIndex = copied.Configuration()
	h.Position, h.Level, h.Created = copied.NextPosition(), copied.Level(), time.Now().UTC()
	if p := copied.Policy(); p != nil {
		h.Country = string(p.Country)
	}
	if err := copied.Close(); err != nil {
		return nil, errors.Join(err, remove())
	}
	source, err := archive.New(place.fs, dir, h)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	r := source.Reader()
	return &Checkpoint{Source: source, Reader: r, closers: func() error { return errors.Join(r.Close(), remove()) }}, nil
}

// Create implements raft.SnapshotStore. When this node takes a snapshot nothing is written to the sink, but a
// configuration that the state does not know is persisted when it is closed: Raft deletes the log in which
// the old one stands. When another node's state is installed, it is written to the sink as it comes.
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, at uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if applied, _ := s.st.Applied(); index > applied {
		s.came.Store(time.Now().UnixNano()) // of another node's state: it may stall before its first byte
	}
	return &sink{snaps: s, id: fmt.Sprintf("%d-%d-%d", term, index, time.Now().UnixNano()), index: index, term: term, configuration: raft.EncodeConfiguration(c), at: at}, nil
}

// sink belongs to one goroutine of Raft.
type sink struct {
	snaps         *snapshots
	id            string
	index, term   uint64
	configuration []byte
	at            uint64

	receiver *archive.Receiver // nil until something is written
	name     string
	size     int64
	closed   bool
}

// stallAfter is how long nothing may come of a state that is being received. Raft's main loop receives it, so that
// this node neither votes nor leads meanwhile: were its sender to stand still, others would wait for its vote. Only
// waiting for the sender counts: to have it sent anew helps nothing when it is our own disk that is slow.
const stallAfter = 5 * time.Second

// stalled reports whether a state is being received of which nothing has come for too long.
func (s *snapshots) stalled() bool { return s.stalledAt(time.Now()) }

func (s *snapshots) stalledAt(now time.Time) bool {
	last := s.came.Load()
	return last != 0 && now.UnixNano()-last > int64(stallAfter)
}

// ID implements raft.SnapshotSink.
func (s *sink) ID() string { return s.id }

// Write implements raft.SnapshotSink: only an installation from another node writes.
func (s *sink) Write(p []byte) (int, error) {
	if s.receiver == nil {
		place := s.snaps.place
		if place == nil {
			return 0, errNoInstall
		}
		if index, _ := s.snaps.st.Applied(); s.index < index {
			return 0, fmt.Errorf("another node sends its state as of index %d: this node has applied %d already", s.index, index)
		}
		// Raft knows the sender's term by now, so the sender is none of the leaders that its state knows of: it was
		// deposed, and sends what it was taught since. This node would not know the term of its own state.
		if term, err := s.snaps.term(); err != nil || s.term > term {
			return 0, errors.Join(err, fmt.Errorf("a leader of term %d or before sends its state as of term %d: expected the new leader's", term, s.term))
		}
		s.name = place.receiving(s.index, s.term)
		s.receiver = archive.NewReceiver(place.fs, place.fs.PathJoin(place.dir, s.name), archive.Limits{Reserve: receiveReserve}, nil)
	}
	s.snaps.came.Store(0) // a disk that takes its time is not the sender's fault
	n, err := s.receiver.Write(p)
	s.size += int64(n)
	s.snaps.came.Store(time.Now().UnixNano())
	return n, err
}

// receiveReserve is how many bytes of the disk an installation leaves free.
const receiveReserve = 64 << 20

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	s.snaps.came.Store(0)
	if s.receiver != nil {
		s.receiver.Abort()
	}
	return nil
}

// Close implements raft.SnapshotSink. Raft closes a sink twice.
func (s *sink) Close() error {
	s.snaps.came.Store(0)
	switch {
	case s.closed:
		return nil
	case s.receiver != nil:
		s.closed = true
		return s.take()
	}
	data, at := s.snaps.st.Configuration()
	if bytes.Equal(data, s.configuration) || at > s.index {
		return nil // the usual case; or the state has applied a newer one while the snapshot was taken
	}
	if err := s.snaps.st.SetConfiguration(s.configuration, s.at); err != nil {
		return fmt.Errorf("persist the Raft configuration: %w", err)
	}
	return s.snaps.st.Flush()
}

// take ends an installation: the files are whole and synced, and not in force yet.
func (s *sink) take() error {
	h, err := s.receiver.Finish()
	if err != nil {
		return err
	}
	place := s.snaps.place
	if h.Index != s.index || h.Term != s.term {
		return errors.Join(fmt.Errorf("the state that was received is as of index %d of term %d: expected %d of %d", h.Index, h.Term, s.index, s.term),
			place.fs.RemoveAll(place.fs.PathJoin(place.dir, s.name)))
	}
	s.snaps.mu.Lock()
	defer s.snaps.mu.Unlock()
	if s.snaps.received == nil {
		s.snaps.received = make(map[string]receivedState)
	}
	s.snaps.received[s.id] = receivedState{
		name: s.name, meta: *metaOf(s.id, s.index, s.term, s.configuration, s.at, s.size),
		Reader: bytes.NewReader(nil), Closer: io.NopCloser(nil),
	}
	return nil
}

// install puts what was received in force.
func (s *snapshots) install(r io.ReadCloser) error {
	received, ok := r.(receivedState)
	if !ok || s.place == nil {
		return errNoInstall
	}
	err := s.place.swap(received.name, received.meta.Index, received.meta.Term)
	if err != nil {
		s.mu.Lock()
		delete(s.received, received.meta.ID)
		s.mu.Unlock()
		err = errors.Join(err, s.place.discard(received.name))
	}
	return err
}

var errNoInstall = errors.New("this node cannot send its state or install another's: it was opened without a place for that")
