package state

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// The rows: one byte of version and core deterministic CBOR (RFC 8949, section 4.2) of the structs
// below, as arrays. Rows are replicated state: a change of a struct is a new version and a new level.

const rowVersion = 1

// maxRow bounds what is decoded, far above the largest legal row: 64 disclosures and a day of quotas.
const maxRow = 4 << 20

// recordRow is a record decoded, ready to render: what a read needs is here and in the rows of the
// organisations it names. Of an erased record only Lineage and Position are left.
type recordRow struct {
	_        struct{} `cbor:",toarray"`
	Lineage  lineageRow
	Position uint64 // of the last change: operation, status or acceptance
	Rotation []jws.Multikey
	Keys     []keyRow
	Op       *operationRow // the one that carries the record in force; its seq is Lineage.RecordSeq
	Strands  []strandRow   // the disclosed ones, in the order of their digests
	Kept     uint64        // rows in spaceDisclosure
	Standing *standingRow  // of an organisation
}

type lineageRow struct {
	_         struct{} `cbor:",toarray"`
	Kind      uint8
	Status    uint8
	Head      []byte // empty: the create
	Seq       uint64
	Created   registry.Millis
	Updated   registry.Millis
	RecordSeq uint64
	Stack     []stackRow
	Recent    []recentRow
}

type stackRow struct {
	_      struct{} `cbor:",toarray"`
	Op     []byte
	Act    uint8
	Seq    uint64
	Time   registry.Millis
	Signer jws.Multikey
	Base   uint64
	Strong bool
	First  jws.Multikey
}

type recentRow struct {
	_    struct{} `cbor:",toarray"`
	Time registry.Millis
	Act  uint8
}

type keyRow struct {
	_       struct{} `cbor:",toarray"`
	ID      string
	Key     jws.Multikey
	Use     []registry.Use
	Retired *int64
}

// messageRow is a signed object in its decoded parts: strict base64url restores the exact text.
type messageRow struct {
	_         struct{} `cbor:",toarray"`
	Header    []byte
	Payload   []byte
	Signature []byte
}

type operationRow struct {
	_        struct{} `cbor:",toarray"`
	Message  messageRow
	Position uint64
	Time     registry.Millis
	Record   [2]uint32 // where in the payload the record begins and ends; both 0 without one
	Undone   bool
}

// strandRow is a disclosure. Plain is the JSON inside its base64url; Strand the same decoded, which costs
// no disk, since the block's compression finds the text in Plain.
type strandRow struct {
	_        struct{} `cbor:",toarray"`
	Plain    []byte
	Strand   strandValue
	Accepted *acceptedRow
}

type strandValue struct {
	_          struct{} `cbor:",toarray"`
	ID         string
	Provider   registry.ID
	Path       string
	Visibility registry.Visibility
	Class      []string
	Tags       []string
}

type acceptedRow struct {
	_        struct{} `cbor:",toarray"`
	Accepted bool
	Iat      int64
	Time     registry.Millis
	Count    uint64
}

// keptRow is a disclosure in spaceDisclosure, held until the registry's time is later than Until.
type keptRow struct {
	_      struct{} `cbor:",toarray"`
	Strand strandRow
	Until  registry.Millis
}

// standingRow is the accreditation of an organisation and what follows from it.
type standingRow struct {
	_        struct{}           `cbor:",toarray"`
	Status   registry.OrgStatus // of the statement in force; empty: none
	Epoch    uint64
	Iat      int64
	Reason   string
	Seq      uint64             // operation that the last active status named
	Standing registry.OrgStatus // derived
	Since    registry.Millis    // of Standing
	Count    uint64             // journal entries of types 16 to 19 so far
}

// statementRow is a status or acceptance that was accepted.
type statementRow struct {
	_        struct{} `cbor:",toarray"`
	Message  messageRow
	Position uint64
	Time     registry.Millis
}

// knownRow says what became of a statement, for when it comes again.
type knownRow struct {
	_        struct{} `cbor:",toarray"`
	ID       ref
	Seq      uint64
	Position uint64
}

// countersRow is what one entry hands on to the next.
type countersRow struct {
	_            struct{} `cbor:",toarray"`
	NextPosition uint64
	LastTime     registry.Millis
	Level        uint32
	Policy       uint64 // version; 0: none yet
}

type policyRow struct {
	_      struct{} `cbor:",toarray"`
	Policy []byte   // compact JWS
	Time   registry.Millis
}

// appliedRow is the node's own account, written with every batch.
type appliedRow struct {
	_       struct{} `cbor:",toarray"`
	Index   uint64
	Term    uint64
	Chain   [32]byte
	Content [32]byte
	Erasure uint64 // index of the last entry that took something away for good
}

type configurationRow struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Data  []byte
}

// cborModes is how rows and batches are written and read: one spelling, nothing indefinite, no tags.
type cborModes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newModes() (cborModes, error) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return cborModes{}, err
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   16,
		MaxArrayElements:  1 << 16,
		MaxMapPairs:       16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
	return cborModes{enc, dec}, err
}

var modes = func() cborModes {
	m, err := newModes()
	if err != nil {
		panic(err) // the options above are wrong
	}
	return m
}()

func encodeRow(row any) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(2048)
	b.WriteByte(rowVersion)
	if err := modes.enc.NewEncoder(&b).Encode(row); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func decodeRow(value []byte, row any) error {
	switch {
	case len(value) == 0 || len(value) > maxRow:
		return fmt.Errorf("row has %d bytes: expected 1 to %d", len(value), maxRow)
	case value[0] != rowVersion:
		return fmt.Errorf("row has version %d: expected %d", value[0], rowVersion)
	}
	return modes.dec.Unmarshal(value[1:], row)
}

func messageParts(m jws.Message) messageRow {
	header, payload, signature := m.Parts()
	return messageRow{Header: header, Payload: payload, Signature: signature}
}

func (m messageRow) message() jws.Message { return jws.FromParts(m.Header, m.Payload, m.Signature) }
