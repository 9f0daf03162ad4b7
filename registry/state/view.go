package state

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// View is a record at one of its versions, for one reader. What it holds is the caller's.
//
// Of an erased record ID, Kind, Status, Head, Seq, Created, Updated, Position and Stamp are set, nothing
// else. Of a deactivated one the last record is shown beside the status; who may see it is the caller's.
type View struct {
	ID     registry.ID
	Kind   registry.RecordKind
	Status registry.Status // at this version

	Head             registry.OpID // of the record now, like Seq, Created, Updated and FinalAt
	Seq              uint64
	Created, Updated registry.Millis
	FinalAt          registry.Millis // 0: nothing can be undone; it may lie in the past

	Version     registry.OpID // the operation that this is the version of: the head, unless asked for another
	VersionSeq  uint64
	VersionTime registry.Millis
	NextVersion registry.OpID   // the operation after it; empty for the head
	NextUpdate  registry.Millis // its registry time
	Undone      bool            // a recovery took Version off

	Rotation     []jws.Multikey
	Keys         []registry.Key
	RecordJSON   []byte            // as signed
	Strands      []StrandView      // the disclosed ones, of every visibility: show the public ones only
	Organisation *OrganisationView // of an organisation

	Position uint64 // of the record's last change: operation, status or acceptance
	Stamp    Stamp  // what the view was made from: this record and the providers of its strands
}

// StrandView is a disclosed strand, how it stands, and where it is found.
type StrandView struct {
	registry.Disclosure
	Acceptance *registry.AcceptanceState // nil: the provider never spoke
	Withheld   registry.Withheld         // why Endpoints is empty
	Endpoints  []registry.Endpoint       // the provider's, shared: not to be modified; see Strand.Endpoint
}

// OrganisationView is how an organisation stands. Record is the one of the version asked for.
type OrganisationView struct {
	Standing registry.OrgStatus
	Epoch    uint64
	Since    registry.Millis // of Standing
	Reason   string
	Record   *registry.Record
}

// Record is the record as it is now: one read, plus one for each provider that is not in memory. Rows are
// read one after the other, so that a change meanwhile may show in one and not yet in another; the Stamp
// is out of date then. The error's kind is NotFound.
func (s *Store) Record(id registry.ID) (*View, error) {
	ref, ok := refOf(id)
	if !ok {
		return nil, notFound(id)
	}
	stamp := s.stamp(ref)
	rec, err := loadRecord(committed{s.db}, id)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, notFound(id)
	}
	return s.view(rec, stamp)
}

func (s *Store) stamp(r ref) Stamp {
	var st Stamp
	st.include(s.versions.look(everything))
	st.include(s.versions.look(slotOf(r)))
	return st
}

func notFound(id registry.ID) error {
	return &registry.Error{Kind: registry.NotFound, Detail: fmt.Sprintf("%s is not known here", id)}
}

// view renders the record as it is now.
func (s *Store) view(rec *record, stamp Stamp) (*View, error) {
	l := rec.lineage
	v := &View{
		ID: rec.id, Kind: l.Kind, Status: l.Status, Head: l.Head, Seq: l.Seq, Created: l.Created, Updated: l.Updated,
		Position: rec.Position, Stamp: stamp,
	}
	if l.Status == registry.Erased {
		return v, nil
	}
	if policy := s.Policy(); policy != nil {
		v.FinalAt, _ = l.FinalAt(policy.Window())
	}
	v.Version, v.VersionSeq, v.VersionTime = l.Head, l.Seq, l.Updated
	v.Rotation, v.Keys, v.RecordJSON = rec.Rotation, keysOf(rec.Keys), rec.Op.recordJSON()
	if l.Kind == registry.Organisation {
		return v, v.organisation(rec, rec.Op)
	}
	for i := range rec.Strands {
		if err := s.showStrand(v, &rec.Strands[i]); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *View) organisation(rec *record, row *operationRow) error {
	op, err := row.operation()
	if err != nil {
		return fmt.Errorf("%s: %w", rec.id, err)
	}
	st := rec.Standing
	v.Organisation = &OrganisationView{Standing: st.Standing, Epoch: st.Epoch, Since: st.Since, Reason: st.Reason, Record: op.Record}
	return nil
}

// showStrand joins a strand with its provider.
func (s *Store) showStrand(v *View, row *strandRow) error {
	p, err := s.provider(row.Strand.Provider, &v.Stamp)
	if err != nil {
		return err
	}
	sv := StrandView{Disclosure: row.disclosure(), Acceptance: row.Accepted.state()}
	sv.Withheld = registry.Withhold(sv.Acceptance, p.ProviderView)
	if sv.Withheld == "" {
		sv.Endpoints = p.Endpoints
	}
	v.Strands = append(v.Strands, sv)
	return nil
}

// RecordAtVersion is the record as the operation named op left it, an undone one too. Disclosures are those
// that are still held; acceptances, endpoints and accreditation are those of now. The error's kind is
// NotFound, also for an operation that the record does not have. An erased record has a tombstone only.
func (s *Store) RecordAtVersion(id registry.ID, op registry.OpID) (*View, error) {
	return s.at(id, func(r reader, rec *record) (uint64, error) {
		seq, found, err := findOperation(r, rec, op)
		if err == nil && !found {
			err = &registry.Error{Kind: registry.NotFound, Detail: fmt.Sprintf("%s has no operation %s", id, op)}
		}
		return seq, err
	})
}

// RecordAtTime is the record as it was in force at registry time t; see RecordAtVersion. The error's kind
// is NotFound, also for a time before the record.
func (s *Store) RecordAtTime(id registry.ID, t registry.Millis) (*View, error) {
	return s.at(id, func(r reader, rec *record) (uint64, error) {
		if t < rec.lineage.Created {
			return 0, &registry.Error{Kind: registry.NotFound, Detail: fmt.Sprintf("%s was not there yet", id)}
		}
		if t >= rec.lineage.Updated {
			return rec.lineage.Seq, nil
		}
		var failed error
		n := sort.Search(int(rec.lineage.Seq)+1, func(i int) bool { // times rise with seq
			row, err := operationAt(r, rec, uint64(i))
			failed = errors.Join(failed, err)
			return err != nil || row.Time > t
		})
		return uint64(n - 1), failed
	})
}

// at is the record as the operation that find chooses left it.
func (s *Store) at(id registry.ID, find func(reader, *record) (uint64, error)) (*View, error) {
	ref, ok := refOf(id)
	if !ok {
		return nil, notFound(id)
	}
	stamp := s.stamp(ref)
	snap := s.snapshot()
	defer snap.close()
	r := committed{snap.Snapshot}
	rec, err := loadRecord(r, id)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, notFound(id)
	}
	if rec.lineage.Status == registry.Erased {
		return s.view(rec, stamp)
	}
	seq, err := find(r, rec)
	if err != nil {
		return nil, err
	}
	if seq == rec.lineage.Seq {
		return s.view(rec, stamp)
	}
	return s.viewAt(r, rec, seq, stamp)
}

// viewAt renders an older version.
func (s *Store) viewAt(r reader, rec *record, seq uint64, stamp Stamp) (*View, error) {
	row, err := operationAt(r, rec, seq)
	if err != nil {
		return nil, err
	}
	carrier, err := carrierOf(r, rec, row)
	if err != nil {
		return nil, err
	}
	op, err := carrier.operation()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rec.id, err)
	}
	l := rec.lineage
	v := &View{
		ID: rec.id, Kind: l.Kind, Status: registry.Active, Head: l.Head, Seq: l.Seq, Created: l.Created, Updated: l.Updated,
		Position: rec.Position, Stamp: stamp,
		VersionSeq: seq, VersionTime: row.Time, Undone: row.Undone,
		Rotation: op.Record.Rotation, Keys: op.Record.Keys, RecordJSON: carrier.recordJSON(),
	}
	if carrier != row {
		v.Status = registry.Deactivated
	}
	if policy := s.Policy(); policy != nil {
		v.FinalAt, _ = l.FinalAt(policy.Window())
	}
	if v.Version, v.NextVersion, v.NextUpdate, err = neighbours(r, rec, row, seq); err != nil {
		return nil, err
	}
	if l.Kind == registry.Organisation {
		return v, v.organisation(rec, carrier)
	}
	for _, digest := range op.Record.Strands {
		strand, err := held(r, rec, digest)
		if err != nil {
			return nil, err
		}
		if strand != nil {
			if err := s.showStrand(v, strand); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// carrierOf is the operation whose record was in force after row: row itself, or of a deactivation the
// one before it, since a deactivated record takes only a recovery or an erasure.
func carrierOf(r reader, rec *record, row *operationRow) (*operationRow, error) {
	if row.recordJSON() != nil {
		return row, nil
	}
	op, err := row.operation()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rec.id, err)
	}
	return operationAt(r, rec, op.Seq-1)
}

// neighbours names an older version and the operation after it.
func neighbours(r reader, rec *record, row *operationRow, seq uint64) (version, next registry.OpID, t registry.Millis, err error) {
	after, err := operationAt(r, rec, seq+1)
	if err != nil {
		return "", "", 0, err
	}
	return registry.OpID(row.Message.message().Name()), registry.OpID(after.Message.message().Name()), after.Time, nil
}

// Disclosed finds a strand by the digest of its disclosure.
func (v *View) Disclosed(d registry.Digest) (*StrandView, bool) {
	i := slices.IndexFunc(v.Strands, func(s StrandView) bool { return s.Digest == d })
	if i < 0 {
		return nil, false
	}
	return &v.Strands[i], true
}
