package state

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// ApplyBatch applies committed entries in order and returns one list of results per entry, one result
// per command; of a configuration none. Entries at or below the applied index are skipped: each of their
// results has an error of kind registry.Unavailable, as what they did is not known here any more.
//
// An error means that the node must stop: an entry of a newer release (*UnknownVersionError), a damaged
// entry, or a store that cannot be read or written. Nothing of the entry that caused it was applied.
// ApplyBatch waits while memory is full of what a full disk does not take.
func (s *Store) ApplyBatch(entries []Entry) ([][]Result, error) {
	if s.readOnly {
		return nil, errors.New("apply: the state is open for reading only")
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	results := make([][]Result, len(entries))
	a := &applier{Store: s, w: &s.writer, published: *s.published.Load()}
	for i := range entries {
		e := &entries[i]
		var err error
		if results[i], err = a.entry(e); err != nil {
			a.w.reset()
			return nil, errors.Join(fmt.Errorf("apply entry %d: %w", e.Index, err), s.load())
		}
		a.hashes = append(a.hashes, a.w.hashed())
		if a.w.size > a.w.limit || i == len(entries)-1 {
			if err := a.commit(); err != nil {
				return nil, fmt.Errorf("apply up to entry %d: %w", e.Index, err)
			}
		}
	}
	return results, nil
}

// applier applies the entries of one ApplyBatch.
type applier struct {
	*Store
	w         *writer
	published published     // as it will be
	hashes    []hashedEntry // of what the next commit commits
	batch     *Batch
	command   int             // number in the batch
	budget    int             // of rows that the entry may still sweep
	now       registry.Millis // registry time of the Raft entry, and of every journal entry made by it
}

func (a *applier) entry(e *Entry) ([]Result, error) {
	if e.Index <= a.w.applied.Index {
		return skipped(e)
	}
	a.w.applied.Index, a.w.applied.Term = e.Index, e.Term
	if e.Configuration {
		a.published.configuration = configurationRow{Index: e.Index, Data: e.Data}
		return nil, a.w.setRow(keyConfiguration, &a.published.configuration)
	}
	batch, err := DecodeBatch(e.Data)
	if err != nil {
		return nil, err
	}
	a.batch = batch
	// One time for the whole Raft entry (DESIGN 6, rule 5): a time of its own for every command would run
	// ahead of the clock as soon as there are more than a thousand a second.
	a.now, a.budget = max(batch.Time, a.counters.LastTime+1), maxSweep
	before := a.counters
	if err := a.sweep(); err != nil { // first: what is due is not there any more for the commands
		return nil, fmt.Errorf("sweep: %w", err)
	}
	results := make([]Result, len(batch.Commands))
	for i := range batch.Commands {
		a.command = i
		if results[i], err = a.apply(&batch.Commands[i]); err != nil {
			return nil, fmt.Errorf("command %d: %w", i, err)
		}
		results[i].Index = e.Index
	}
	if err := a.sweep(); err != nil { // again: an erasure is due at once
		return nil, fmt.Errorf("sweep: %w", err)
	}
	if a.counters == before {
		return results, nil
	}
	return results, a.w.setRow(keyCounters, &a.counters)
}

// skipped gives an entry that was applied before the right number of results.
func skipped(e *Entry) ([]Result, error) {
	if e.Configuration {
		return nil, nil
	}
	batch, err := DecodeBatch(e.Data)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(batch.Commands))
	for i := range results {
		results[i].Index = e.Index
		results[i].Err = &registry.Error{Kind: registry.Unavailable, Detail: "the entry was applied before: ask again"}
	}
	return results, nil
}

// apply does one command. The error is fatal; a refusal is in the result.
func (a *applier) apply(c *Command) (Result, error) {
	if level, known := commandLevels[c.Type]; !known || level > a.counters.Level {
		return Result{}, &UnknownVersionError{"command type", uint64(c.Type), uint64(TickCommand)}
	}
	moved, err := a.moved(c.Pins)
	if moved || err != nil {
		return Result{Moved: moved, Err: errMoved}, err
	}
	var res Result
	switch {
	case c.Type == TickCommand:
		return res, nil
	case c.Type == LevelCommand:
		res, err = a.level(c)
	case c.Type == PolicyCommand:
		res, err = a.policy(c)
	case a.published.policy == nil:
		err = noPolicy()
	case c.Type == OperationCommand:
		res, err = a.operation(c)
	case c.Type == StatusCommand:
		res, err = a.status(c)
	case c.Type == AcceptanceCommand:
		res, err = a.acceptance(c)
	}
	if err != nil {
		if registry.KindOf(err) == registry.Internal {
			return Result{}, err
		}
		res.Err = err
	}
	return res, nil
}

var errMoved error = &registry.Error{Kind: registry.Unavailable, Detail: "a record that the check relied on has changed since: check again"}

// moved reports whether a pinned record has another head than the proposer saw.
func (a *applier) moved(pins []Pin) (bool, error) {
	for _, p := range pins {
		rec, err := loadRecord(a.w, p.ID)
		if err != nil || rec == nil || rec.lineage.Head != p.Head {
			return true, err
		}
	}
	return false, nil
}

func noPolicy() error {
	return &registry.Error{Kind: registry.Unavailable, Detail: "registry has no policy yet"}
}

// salt is the command's salt (DESIGN 8): SHA-256(seed ‖ command number 8), and for the second entry of the
// same command SHA-256(seed ‖ command number 8 ‖ 1).
func (a *applier) salt(second bool) [32]byte {
	b := binary.BigEndian.AppendUint64(a.batch.Seed[:len(a.batch.Seed):len(a.batch.Seed)], uint64(a.command))
	if second {
		b = append(b, 1)
	}
	return sha256.Sum256(b)
}

// entryOf describes a journal entry to be appended.
type entryOf struct {
	typ     EntryType
	subject registry.SubjectKey // of a passport or strand
	object  *objectRef          // of an organisation
	seq     uint64
	message jws.Message
	second  bool // the second entry of its command
	unsalty bool // the salt is not kept
}

// enter adds a journal entry at the next position and returns that and its time.
func (a *applier) enter(e entryOf) (position uint64, now registry.Millis) {
	position, now = a.counters.NextPosition, a.now
	salt := a.salt(e.second)
	row := journalRow{object: e.object, entry: JournalEntry{
		Type: e.typ, Subject: e.subject, Seq: e.seq, Time: now, Salt: &salt, Commitment: commitment(salt, e.message),
	}}
	if e.unsalty {
		row.entry.Salt = nil
	}
	a.w.add(journalKey(position), row.encode())
	a.w.grown = true
	a.counters.NextPosition, a.counters.LastTime = position+1, now
	return position, now
}

func commitment(salt [32]byte, m jws.Message) [32]byte {
	return sha256.Sum256(append(salt[:], m.Compact()...))
}

// touch makes answers about a record out of date once this is committed.
func (a *applier) touch(r ref) { a.w.touched = append(a.w.touched, r) }

func (a *applier) level(c *Command) (Result, error) {
	if len(c.Bytes) != 4 {
		return Result{}, &registry.Error{Kind: registry.Invalid, Detail: "level: expected 4 bytes"}
	}
	level := binary.BigEndian.Uint32(c.Bytes)
	switch {
	case level > MaxLevel:
		return Result{}, &UnknownVersionError{"level", uint64(level), MaxLevel}
	case level <= a.counters.Level:
		return Result{Known: true, Seq: uint64(a.counters.Level)}, nil
	}
	a.counters.Level = level
	return Result{Seq: uint64(level)}, nil
}

func (a *applier) policy(c *Command) (Result, error) {
	p, known, err := judgePolicy(a.w, c.Bytes, a.published.policy, a.counters.Policy)
	if err != nil || known != nil {
		return resultOf(known), err
	}
	now := a.now
	if err := a.w.addRow(policyKey(p.policy.Version), &policyRow{Policy: c.Bytes, Time: now}); err != nil {
		return Result{}, err
	}
	a.counters.Policy, a.counters.LastTime = p.policy.Version, now
	a.published.policy, a.published.policyName = p.policy, p.name
	a.w.policies = true
	return Result{Op: p.name, Seq: p.policy.Version}, nil
}

func resultOf(known *Result) Result {
	if known == nil {
		return Result{}
	}
	return *known
}

// at is the moment at which the entry's commands are judged.
func (a *applier) at() moment { return moment{now: a.now, clock: a.batch.Time} }

// commit makes what was applied durable to the extent that Pebble's memory is, and visible: first rows,
// then versions, then the applied index, so that whoever waited for an index finds no stale answer current.
func (a *applier) commit() error {
	grown, policies := a.w.grown, a.w.policies
	if err := a.w.commit(a.db); err != nil {
		return err
	}
	for _, r := range a.w.touched {
		a.versions.bump(slotOf(r))
	}
	if policies { // before too: who waited for this index must not find an answer of the old policy current
		a.versions.bump(everything)
	}
	if a.w.dueChanged() {
		due, err := firstDue(a.db)
		if err != nil {
			return err
		}
		a.w.firstDue = due
	}
	a.w.reset()
	a.Store.hashes.add(a.hashes...) // before: what Applied says can be asked for
	a.hashes = a.hashes[:0]
	p := a.published
	p.applied, p.counters, p.firstDue = a.w.applied, a.counters, a.w.firstDue
	a.Store.published.Store(&p)
	if policies { // after: who takes the new version must not still find the old policy
		a.versions.bump(everything)
	}
	if grown {
		a.growth.Lock()
		close(a.growth.grown)
		a.growth.grown = make(chan struct{})
		a.growth.Unlock()
	}
	return nil
}
