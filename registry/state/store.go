package state

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// MaxLevel is the newest level that this release knows (DESIGN 8). A new state starts at level 1.
const MaxLevel = 1

// Store is the state of one node. ApplyBatch is called by one goroutine at a time; everything else is
// safe for concurrent use and never waits for ApplyBatch.
type Store struct {
	db       *pebble.DB
	disk     *disk
	readOnly bool
	versions *versionTable
	orgs     *organisationCache
	snaps    snapshots

	writer   writer      // of ApplyBatch
	counters countersRow // as applied; of ApplyBatch

	hashes hashRing // of the newest entries

	// published is what reads see of the scalars, swapped whole after each commit.
	published atomic.Pointer[published]

	growth struct {
		sync.Mutex
		grown chan struct{} // closed when the journal grows
	}
	scrubbing sync.Mutex // one CompactErased at a time
	applying  sync.Mutex // held by ApplyBatch, and for moments by CompactErased
}

// published are the small parts of the state, all as of one commit.
type published struct {
	applied       appliedRow
	configuration configurationRow
	counters      countersRow
	policy        *registry.Policy
	policyName    registry.OpID
	firstDue      registry.Millis
}

// Open opens the state in dir, and makes it if dir is empty or absent. The state is as of the last flush:
// DurableIndex equals Applied, and the entries after it are to be applied again. One process has a state open.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	d := newDisk(o.FS, dir, o.OnBackgroundError)
	popts := o.pebble(d)
	defer popts.Cache.Unref()
	db, err := pebble.Open(dir, popts)
	if err != nil {
		d.close()
		return nil, fmt.Errorf("open the state in %s: %w", dir, err)
	}
	s := &Store{db: db, disk: d, readOnly: o.ReadOnly, versions: newVersionTable(), orgs: newOrganisationCache()}
	s.growth.grown = make(chan struct{})
	if err := s.load(); err != nil {
		d.close()
		return nil, errors.Join(fmt.Errorf("open the state in %s: %w", dir, err), db.Close())
	}
	return s, nil
}

// load reads the scalars.
func (s *Store) load() error {
	p := &published{counters: countersRow{Level: 1}}
	r := committed{s.db}
	for _, row := range []struct {
		key []byte
		to  any
	}{{keyApplied, &p.applied}, {keyConfiguration, &p.configuration}, {keyCounters, &p.counters}} {
		if _, err := r.view(row.key, func(v []byte) error { return decodeRow(v, row.to) }); err != nil {
			return fmt.Errorf("row %s: %w", row.key, err)
		}
	}
	if p.counters.Level > MaxLevel {
		return &UnknownVersionError{"state level", uint64(p.counters.Level), MaxLevel}
	}
	if p.counters.Policy > 0 {
		var err error
		if p.policy, p.policyName, err = loadPolicy(r, p.counters.Policy); err != nil {
			return err
		}
	}
	w := &s.writer
	*w = writer{db: r, scan: s.db, limit: maxOverlay, rows: make(map[byte]map[string]*overlayRow), applied: p.applied,
		chain: p.applied.Chain, content: contentHashOf(p.applied.Content)}
	var err error
	if w.firstDue, err = firstDue(s.db); err != nil {
		return err
	}
	p.firstDue, s.counters = w.firstDue, p.counters
	s.hashes.add(w.hashed())
	s.published.Store(p)
	return nil
}

// loadPolicy reads a policy that was accepted once.
func loadPolicy(r reader, version uint64) (*registry.Policy, registry.OpID, error) {
	var row policyRow
	found, err := r.view(policyKey(version), func(v []byte) error { return decodeRow(v, &row) })
	if err == nil && !found {
		err = errors.New("no such row")
	}
	if err != nil {
		return nil, "", fmt.Errorf("policy %d: %w", version, err)
	}
	msg, err := jws.Parse(row.Policy, registry.MaxStatement)
	if err != nil {
		return nil, "", fmt.Errorf("policy %d: %v", version, err)
	}
	p := new(registry.Policy)
	if err := jws.DecodeJSON(msg.Payload(), p); err != nil {
		return nil, "", fmt.Errorf("policy %d: %v", version, err)
	}
	return p, registry.OpID(msg.Name()), nil
}

// Close flushes and closes. With a full or broken disk it closes without, and returns the error: what was
// not flushed is in the Raft log.
func (s *Store) Close() error {
	err := s.Flush()
	s.disk.close()
	if e := s.db.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("close the state: %w", e))
	}
	return err
}

// Applied is the index and term of the last entry that reads see.
func (s *Store) Applied() (index, term uint64) {
	p := s.published.Load()
	return p.applied.Index, p.applied.Term
}

// DurableIndex is the applied index that a crash now would leave. It reads the disk's account.
func (s *Store) DurableIndex() (uint64, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true,
		LowerBound: keyApplied, UpperBound: after(keyApplied)})
	if err != nil {
		return 0, fmt.Errorf("read the durable index: %w", err)
	}
	var row appliedRow
	if it.First() {
		err = decodeRow(it.Value(), &row)
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return 0, fmt.Errorf("read the durable index: %w", err)
	}
	return row.Index, nil
}

// Flush makes everything durable that was applied when it was called. While the disk is full or fails it
// returns at once with an error of kind registry.Unavailable; the flush goes on in the background.
func (s *Store) Flush() error {
	if s.readOnly {
		return nil
	}
	failing, _ := s.disk.state()
	done, err := s.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush the state: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-failing:
	}
	select {
	case <-done:
		return nil
	default:
	}
	return &registry.Error{Kind: registry.Unavailable, Detail: fmt.Sprintf("the state cannot be flushed: %v", s.DiskError())}
}

// DiskError is what the disk last refused, nil since it works (again). While there is an error entries
// are still applied, to memory, until it is full; then ApplyBatch waits. So a node refuses writes as
// soon as there is an error, and better before, by Metrics.DiskAvailable. A lack of space heals by itself.
func (s *Store) DiskError() error {
	_, err := s.disk.state()
	return err
}

// Configuration is the newest encoded Raft configuration and its index; nil and 0 before the first.
func (s *Store) Configuration() (data []byte, index uint64) {
	c := s.published.Load().configuration
	return c.Data, c.Index
}

// SetConfiguration replaces the Raft configuration, as recovery from a lost quorum does. It is durable
// after a Flush.
func (s *Store) SetConfiguration(data []byte, index uint64) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	p := *s.published.Load()
	p.configuration = configurationRow{Index: index, Data: data}
	value, err := encodeRow(&p.configuration)
	if err == nil {
		err = s.db.Set(keyConfiguration, value, pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("set the Raft configuration: %w", err)
	}
	s.published.Store(&p)
	return nil
}

// Policy is the policy in force, not to be modified; nil before the first.
func (s *Store) Policy() *registry.Policy { return s.published.Load().policy }

// Level is the level of the state (DESIGN 8).
func (s *Store) Level() uint32 { return s.published.Load().counters.Level }

// NextPosition is that of the next journal entry, which is how many there are.
func (s *Store) NextPosition() uint64 { return s.published.Load().counters.NextPosition }

// LastTime is the registry time of the last journal entry.
func (s *Store) LastTime() registry.Millis { return s.published.Load().counters.LastTime }

// StateHash is a hash of all that was ever written and of all replicated rows, as of index: equal on
// all nodes that applied the same entries, however they were batched.
func (s *Store) StateHash() (index uint64, hash [32]byte) {
	a := s.published.Load().applied
	return a.Index, stateHash(a.Chain, contentHashOf(a.Content))
}

// ErasureIndex is the index of the last entry that took something away for good: the Raft log up to it
// must go too, and then CompactErased makes it leave the files.
func (s *Store) ErasureIndex() uint64 { return s.published.Load().applied.Erasure }

// DueTick reports whether there is work that some entry has to do at registry time now: the leader
// proposes a tick then, if nothing else.
func (s *Store) DueTick(now registry.Millis) bool { return s.published.Load().firstDue < now }

// Home is the country that answers for a record now. Transfers are reserved until federation.
func (s *Store) Home(id registry.ID) registry.Country { return id.Country() }

// Checkpoint writes a copy of the state as it is now to dir, which must not exist, by hard links where the
// file system has them. It can be opened with Open. It costs a flush, not a copy.
func (s *Store) Checkpoint(dir string) error {
	if err := s.Flush(); err != nil {
		return err
	}
	if err := s.db.Checkpoint(dir); err != nil {
		return fmt.Errorf("checkpoint the state to %s: %w", dir, err)
	}
	return nil
}
