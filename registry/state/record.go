package state

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// The codes of kinds, standings and acts in rows. They are never given a new meaning.
var (
	kindCodes   = []registry.RecordKind{1: registry.Passport, 2: registry.Organisation}
	statusCodes = []registry.Status{1: registry.Active, 2: registry.Deactivated, 3: registry.Erased}
	actCodes    = []registry.Act{
		1: registry.Create, 2: registry.Update, 3: registry.Recover, 4: registry.Deactivate, 5: registry.Erase,
	}
)

func codeOf[T comparable](codes []T, v T) uint8 { return uint8(max(0, slices.Index(codes[1:], v)+1)) }

func ofCode[T comparable](codes []T, c uint8) (v T, err error) {
	if c == 0 || int(c) >= len(codes) {
		return v, fmt.Errorf("code %d of %T is not known", c, v)
	}
	return codes[c], nil
}

func digestBytes(op registry.OpID) []byte {
	d := op.Digest()
	return d[:]
}

func opIDOf(b []byte) (registry.OpID, error) {
	if len(b) != 32 {
		return "", fmt.Errorf("name has %d bytes: expected 32", len(b))
	}
	return registry.OpIDOf([32]byte(b)), nil
}

func lineageToRow(l registry.Lineage) lineageRow {
	row := lineageRow{
		Kind: codeOf(kindCodes, l.Kind), Status: codeOf(statusCodes, l.Status), Head: []byte{},
		Seq: l.Seq, Created: l.Created, Updated: l.Updated, RecordSeq: l.RecordSeq,
		Stack: make([]stackRow, len(l.Stack)), Recent: make([]recentRow, len(l.Recent)),
	}
	if l.Head != l.ID.Create() {
		row.Head = digestBytes(l.Head)
	}
	for i, s := range l.Stack {
		row.Stack[i] = stackRow{Op: digestBytes(s.Op), Act: codeOf(actCodes, s.Act), Seq: s.Seq, Time: s.Time,
			Signer: s.Signer, Base: s.Base, Strong: s.Strong, First: s.First}
	}
	for i, c := range l.Recent {
		row.Recent[i] = recentRow{Time: c.Time, Act: codeOf(actCodes, c.Act)}
	}
	return row
}

func (row *lineageRow) lineage(id registry.ID) (*registry.Lineage, error) {
	l := &registry.Lineage{ID: id, Head: id.Create(), Seq: row.Seq, Created: row.Created, Updated: row.Updated, RecordSeq: row.RecordSeq}
	var err error
	if l.Kind, err = ofCode(kindCodes, row.Kind); err != nil {
		return nil, err
	}
	if l.Status, err = ofCode(statusCodes, row.Status); err != nil {
		return nil, err
	}
	if len(row.Head) > 0 {
		if l.Head, err = opIDOf(row.Head); err != nil {
			return nil, err
		}
	}
	for _, s := range row.Stack {
		standing := registry.Standing{Seq: s.Seq, Time: s.Time, Signer: s.Signer, Base: s.Base, Strong: s.Strong, First: s.First}
		if standing.Op, err = opIDOf(s.Op); err != nil {
			return nil, err
		}
		if standing.Act, err = ofCode(actCodes, s.Act); err != nil {
			return nil, err
		}
		l.Stack = append(l.Stack, standing)
	}
	for _, c := range row.Recent {
		counted := registry.Counted{Time: c.Time}
		if counted.Act, err = ofCode(actCodes, c.Act); err != nil {
			return nil, err
		}
		l.Recent = append(l.Recent, counted)
	}
	return l, nil
}

// record is a row of spaceRecord with its lineage decoded.
type record struct {
	recordRow
	ref     ref
	id      registry.ID
	lineage *registry.Lineage
	digests []registry.Digest // of Strands, once somebody asked
}

func decodeRecord(r ref, value []byte) (*record, error) {
	rec := &record{ref: r, id: r.id()}
	err := decodeRow(value, &rec.recordRow)
	if err == nil {
		rec.lineage, err = rec.Lineage.lineage(rec.id)
	}
	if err == nil {
		err = rec.check()
	}
	if err != nil {
		return nil, fmt.Errorf("record row of %s: %w", rec.id, err)
	}
	return rec, nil
}

// check refuses a row that lacks what the code after it relies on.
func (rec *record) check() error {
	l := rec.lineage
	switch {
	case l.Status == registry.Erased:
		return nil
	case rec.Op == nil:
		return fmt.Errorf("there is no operation")
	case (l.Kind == registry.Organisation) != (rec.Standing != nil):
		return fmt.Errorf("a %s with or without accreditation", l.Kind)
	case rec.Op.Record[1] == 0:
		return fmt.Errorf("the operation in force carries no record")
	}
	return rec.Op.check()
}

func (o *operationRow) check() error {
	if from, to := o.Record[0], o.Record[1]; from > to || int(to) > len(o.Message.Payload) {
		return fmt.Errorf("the record is at %d to %d of a payload of %d bytes", from, to, len(o.Message.Payload))
	}
	return nil
}

// recordJSON is the record as signed; nil of an operation without one.
func (o *operationRow) recordJSON() []byte {
	if o.Record[1] == 0 {
		return nil
	}
	return o.Message.Payload[o.Record[0]:o.Record[1]]
}

func newOperationRow(op *registry.Operation, position uint64, t registry.Millis) *operationRow {
	row := &operationRow{Message: messageParts(op.Message()), Position: position, Time: t}
	if raw := op.RecordJSON(); len(raw) > 0 {
		at := bytes.Index(row.Message.Payload, raw)
		if at >= 0 { // always: it was decoded from there
			row.Record = [2]uint32{uint32(at), uint32(at + len(raw))}
		}
	}
	return row
}

func (o *operationRow) operation() (*registry.Operation, error) {
	op, err := registry.ParseStored(o.Message.Header, o.Message.Payload, o.Message.Signature)
	if err != nil {
		return nil, fmt.Errorf("stored operation: %v", err) // %v: its kind is not that of a refusal
	}
	return op, nil
}

// name is what the operation is called: for a record's own operation without looking at its text where
// that is known already.
func (rec *record) opName() registry.OpID {
	switch rec.lineage.RecordSeq {
	case 0:
		return rec.id.Create()
	case rec.lineage.Seq:
		return rec.lineage.Head
	}
	return registry.OpID(rec.Op.Message.message().Name())
}

// inForce is the record in force as far as rules ask for it: of a passport the kind and the keys.
func (rec *record) inForce() (*registry.Record, error) {
	if rec.lineage.Status == registry.Erased {
		return nil, nil
	}
	if rec.lineage.Kind == registry.Organisation {
		op, err := rec.Op.operation()
		if err != nil {
			return nil, err
		}
		return op.Record, nil
	}
	return &registry.Record{Kind: rec.lineage.Kind, Rotation: rec.Rotation, Keys: keysOf(rec.Keys)}, nil
}

func keysOf(rows []keyRow) []registry.Key {
	keys := make([]registry.Key, len(rows))
	for i, k := range rows {
		keys[i] = registry.Key{ID: k.ID, Key: k.Key, Use: k.Use, Retired: k.Retired}
	}
	return keys
}

func keyRows(keys []registry.Key) []keyRow {
	rows := make([]keyRow, len(keys))
	for i, k := range keys {
		rows[i] = keyRow{ID: k.ID, Key: k.Key, Use: k.Use, Retired: k.Retired}
	}
	return rows
}

func newStrandRow(d registry.Disclosure) (strandRow, error) {
	plain, err := jws.DecodeBase64(d.Text)
	if err != nil {
		return strandRow{}, err
	}
	s := d.Strand
	return strandRow{Plain: plain, Strand: strandValue{ID: s.ID, Provider: s.Provider, Path: s.Path,
		Visibility: s.Visibility, Class: s.Class, Tags: s.Tags}}, nil
}

func (s *strandRow) disclosure() registry.Disclosure {
	text := jws.EncodeBase64(s.Plain)
	v := s.Strand
	return registry.Disclosure{Text: text, Digest: digestOf(text), Strand: registry.Strand{ID: v.ID, Provider: v.Provider,
		Path: v.Path, Visibility: v.Visibility, Class: v.Class, Tags: v.Tags}}
}

// digestOf is the digest of a disclosure (RFC 9901, section 4.2.3).
func digestOf(text string) registry.Digest { return registry.DigestOf(sha256.Sum256([]byte(text))) }

func (a *acceptedRow) state() *registry.AcceptanceState {
	if a == nil {
		return nil
	}
	return &registry.AcceptanceState{Accepted: a.Accepted, Iat: a.Iat, Time: a.Time, Count: a.Count}
}

func newAcceptedRow(s registry.AcceptanceState) *acceptedRow {
	return &acceptedRow{Accepted: s.Accepted, Iat: s.Iat, Time: s.Time, Count: s.Count}
}

func (s *standingRow) accreditation() registry.Accreditation {
	return registry.Accreditation{Status: s.Status, Epoch: s.Epoch, Iat: s.Iat, Reason: s.Reason, Seq: s.Seq}
}

func (s *standingRow) accredit(a registry.Accreditation) {
	s.Status, s.Epoch, s.Iat, s.Reason, s.Seq = a.Status, a.Epoch, a.Iat, a.Reason, a.Seq
}
