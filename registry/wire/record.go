package wire

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry"
)

// Record is the answer of GET /v1/records/{did}. A deactivated or erased record is a tombstone: it has
// neither Record nor Strands (DESIGN 12).
type Record struct {
	ID       registry.ID         `json:"id"`
	Kind     registry.RecordKind `json:"kind"`
	Status   registry.Status     `json:"status"`
	Head     registry.OpID       `json:"head"` // the newest operation: prev of the next
	Seq      uint64              `json:"seq"`  // of the head
	Created  Time                `json:"created"`
	Updated  Time                `json:"updated"`          // registry time of the head
	FinalAt  Time                `json:"finalAt,omitzero"` // until then a stronger key can still undo
	Position uint64              `json:"position"`         // in the journal, of the record's last change
	Record   jsontext.Value      `json:"record,omitzero"`  // as signed
	Strands  []Strand            `json:"strands,omitzero"` // the public ones; passports only

	Organisation *Standing `json:"organisation,omitzero"` // organisations only
}

// Strand is a public strand of a passport. It has Endpoint or Withheld, never both.
type Strand struct {
	ID         string              `json:"id"`
	Digest     registry.Digest     `json:"digest"`
	Provider   registry.ID         `json:"provider"`
	Path       string              `json:"path"`
	Visibility registry.Visibility `json:"visibility"`
	Class      []string            `json:"class,omitempty"`
	Tags       []string            `json:"tags,omitempty"`
	Accepted   bool                `json:"accepted"` // the provider's last word; false if it never spoke
	Endpoint   Endpoints           `json:"endpoint,omitempty"`
	Withheld   registry.Withheld   `json:"withheld,omitzero"` // why there is no endpoint
}

// Endpoints are URLs: one is written as a string, several as an array (DESIGN 5).
type Endpoints []string

// MarshalJSONTo implements json.MarshalerTo.
func (e Endpoints) MarshalJSONTo(enc *jsontext.Encoder) error {
	if len(e) == 1 {
		return json.MarshalEncode(enc, e[0])
	}
	return json.MarshalEncode(enc, []string(e))
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (e *Endpoints) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		*e = make(Endpoints, 1)
		return json.UnmarshalDecode(dec, &(*e)[0])
	}
	return json.UnmarshalDecode(dec, (*[]string)(e))
}

// Standing is how the registry sees an organisation. Since is the registry time of the last change of
// status; Reason what the registry said of it.
type Standing struct {
	Status registry.OrgStatus `json:"status"`
	Epoch  uint64             `json:"epoch"` // 0 while no status was ever given
	Since  Time               `json:"since,omitzero"`
	Reason string             `json:"reason,omitzero"`
}

// History is a page of GET /v1/records/{did}/operations, oldest first. Next is the seq to ask after for
// the next page; nil on the last.
type History struct {
	Operations []HistoryEntry `json:"operations"`
	Next       *uint64        `json:"next,omitzero"`
}

// HistoryEntry is one operation of a record. Operation is the SD-JWT with the disclosures of public
// strands only; of an erased record there is none.
type HistoryEntry struct {
	Op        registry.OpID `json:"op"`
	Seq       uint64        `json:"seq"`
	Position  uint64        `json:"position"`
	Time      Time          `json:"time"`
	Undone    bool          `json:"undone"`
	Operation string        `json:"operation,omitzero"`
}

// ResolveLine is one line of the answer of POST /v1/resolve. The lines come in the order of the request.
type ResolveLine struct {
	ID      string   `json:"id"` // as asked
	Status  int      `json:"status"`
	Record  *Record  `json:"record,omitzero"`  // if Status is 200
	Problem *Problem `json:"problem,omitzero"` // otherwise
}

// OrganisationPage is a page of GET /v1/organisations. Next is what to ask after for the next page; empty
// on the last.
type OrganisationPage struct {
	Organisations []Record `json:"organisations"`
	Next          string   `json:"next,omitzero"`
}

// Submitted is the answer to an operation or statement: 201, or 200 if it was known. Position is that of
// the journal entry; a Dcann-Index header says from which index on every node shows it.
type Submitted struct {
	ID       registry.ID   `json:"id"` // the record that it is about
	Op       registry.OpID `json:"op"` // the name of the operation or statement
	Seq      uint64        `json:"seq"`
	Position uint64        `json:"position"`
}

// BatchLine is one line of the answer of POST /v1/operations/batch, in the order of the request. ID and Op
// are missing where the line could not be read as an operation. From Index on, the Dcann-Index of this line
// alone, every node shows it.
type BatchLine struct {
	Status   int           `json:"status"` // 201, 200 or that of the problem
	ID       registry.ID   `json:"id,omitzero"`
	Op       registry.OpID `json:"op,omitzero"`
	Seq      *uint64       `json:"seq,omitzero"`
	Position *uint64       `json:"position,omitzero"`
	Index    *uint64       `json:"index,omitzero"`
	Problem  *Problem      `json:"problem,omitzero"`
}

// Registry is the answer of GET /.well-known/dcann-registry: who this is.
type Registry struct {
	Country           registry.Country `json:"country"`
	Version           string           `json:"version"`                // of the software
	LogOrigin         string           `json:"logOrigin,omitzero"`     // absent while no log is published
	CheckpointKey     string           `json:"checkpointKey,omitzero"` // note verifier key (DESIGN 11)
	AccreditationKeys []string         `json:"accreditationKeys"`
	ServiceKeys       []string         `json:"serviceKeys"`
	Policy            registry.Policy  `json:"policy"`
	Limits            Limits           `json:"limits"`
}

// Limits are the limits of the HTTP surface; sizes are in bytes.
type Limits struct {
	OperationBytes    int `json:"operationBytes"`
	StatementBytes    int `json:"statementBytes"`
	ResolveIDs        int `json:"resolveIds"`
	ResolveBytes      int `json:"resolveBytes"`
	BatchOperations   int `json:"batchOperations"`
	BatchBytes        int `json:"batchBytes"`
	Page              int `json:"page"`
	RequestsPerSecond int `json:"requestsPerSecond"` // per address; 0: not limited
	CreationsPerHour  int `json:"creationsPerHour"`  // per address; 0: not limited
	StreamsAtATime    int `json:"streamsAtATime"`    // of events, per address
	BatchesAtATime    int `json:"batchesAtATime"`    // of operations, per address
	ResolvesAtATime   int `json:"resolvesAtATime"`   // batches of identifiers, per address
}
