package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/dcann/dcann/registry/state"
)

// snapshots is the snapshot store that Raft sees (DESIGN 9, rule 3). It stores nothing: it lists one
// synthetic snapshot made from the live state's own index, term and configuration, so that Raft starts
// where the state is and replays only what the state has not made durable.
type snapshots struct{ st *state.Store }

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
	return []*raft.SnapshotMeta{{
		Version:            raft.SnapshotVersionMax,
		ID:                 fmt.Sprintf("%d-%d", term, index),
		Index:              index,
		Term:               term,
		Configuration:      raft.DecodeConfiguration(data),
		ConfigurationIndex: at,
	}}, nil
}

// Open implements raft.SnapshotStore. Only a follower that needs the whole state asks for it, which the
// only voter does not have.
func (s *snapshots) Open(string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	return nil, nil, errors.New("this version cannot send its state to another node: it runs as the only voter")
}

// Create implements raft.SnapshotStore. Nothing is written to the sink, but a configuration that the
// state does not know is persisted when it is closed: raft.RecoverCluster passes a new one here, and
// deletes the log in which the old one stands.
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, at uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{st: s.st, id: fmt.Sprintf("%d-%d", term, index), index: index, configuration: raft.EncodeConfiguration(c), at: at}, nil
}

type sink struct {
	st            *state.Store
	id            string
	index         uint64
	configuration []byte
	at            uint64
}

// ID implements raft.SnapshotSink.
func (s *sink) ID() string { return s.id }

// Write implements raft.SnapshotSink: only an installation from another node writes.
func (s *sink) Write([]byte) (int, error) { return 0, errNoInstall }

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error { return nil }

// Close implements raft.SnapshotSink. Raft closes a sink twice.
func (s *sink) Close() error {
	data, at := s.st.Configuration()
	if bytes.Equal(data, s.configuration) || at > s.index {
		return nil // the usual case; or the state has applied a newer one while the snapshot was taken
	}
	if err := s.st.SetConfiguration(s.configuration, s.at); err != nil {
		return fmt.Errorf("persist the Raft configuration: %w", err)
	}
	return s.st.Flush()
}
