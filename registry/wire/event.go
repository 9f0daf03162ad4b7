package wire

import (
	"encoding/hex"
	"fmt"

	"github.com/dcann/dcann/registry"
)

// Event is one entry of the journal as GET /v1/events tells it (DESIGN 8, 12). A passport appears by its
// subject key alone, so that only who knows the identifier can follow it; an organisation in full.
//
// As NDJSON it is one line; a line that is empty is a heartbeat. As a server-sent event its id is the
// position and its name the type; a comment is a heartbeat.
type Event struct {
	Position uint64    `json:"position"`
	Type     EventType `json:"type"`
	Time     Time      `json:"time"`
	Subject  Subject   `json:"subject"`
	Seq      uint64    `json:"seq"` // of an operation its seq; of a standing or acceptance how many came before

	// Of organisations only.
	ID        registry.ID   `json:"id,omitzero"`
	Op        registry.OpID `json:"op,omitzero"`        // name of the signed object
	Operation string        `json:"operation,omitzero"` // the SD-JWT of an operation
	Statement string        `json:"statement,omitzero"` // the JWS of a status
}

// EventType says what an entry does, by the names of DESIGN 11.
type EventType string

// The types of entries.
const (
	EventCreate     EventType = "create"
	EventUpdate     EventType = "update"
	EventRecover    EventType = "recover"
	EventDeactivate EventType = "deactivate"
	EventErase      EventType = "erase"
	EventTransfer   EventType = "transfer"
	EventMoved      EventType = "moved"
	EventActive     EventType = "active"
	EventSuspended  EventType = "suspended"
	EventRevoked    EventType = "revoked"
	EventPending    EventType = "pending"
	EventAccepted   EventType = "accepted"
	EventWithdrawn  EventType = "withdrawn"
	EventSeal       EventType = "seal"
)

// Subject is a subject key as 64 hexadecimal digits.
type Subject registry.SubjectKey

// String is the hexadecimal form.
func (s Subject) String() string { return hex.EncodeToString(s[:]) }

// MarshalText implements encoding.TextMarshaler.
func (s Subject) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText accepts 64 hexadecimal digits.
func (s *Subject) UnmarshalText(text []byte) error {
	if len(text) != 2*len(s) {
		return fmt.Errorf("subject has %d characters: expected %d hexadecimal digits", len(text), 2*len(s))
	}
	_, err := hex.Decode(s[:], text)
	return err
}
