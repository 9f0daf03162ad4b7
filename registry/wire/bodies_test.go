package wire_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// TestShapes pins the bodies to the text of DESIGN 12: what it encodes is what it decodes.
func TestShapes(t *testing.T) {
	t.Parallel()
	at := wire.Time(registry.MillisOf(time.Date(2026, 11, 21, 12, 0, 0, 7e6, time.UTC)))
	seq, position, index := uint64(0), uint64(17), uint64(42)
	for name, c := range map[string]struct {
		value any
		text  string
	}{
		"submitted": {&wire.Submitted{ID: "did:x", Op: "b1", Seq: 0, Position: 17}, `{"id":"did:x","op":"b1","seq":0,"position":17}`},
		"passport": {
			&wire.Record{ID: "did:x", Kind: "passport", Status: "active", Head: "b1", Seq: 3, Created: at, Updated: at, FinalAt: at, Position: 17,
				Record: []byte(`{"kind":"passport"}`), Strands: []wire.Strand{
					{ID: "a", Digest: "D", Provider: "did:p", Path: "s/1", Visibility: "public", Class: []string{"c"}, Tags: []string{"t"}, Accepted: true, Endpoint: wire.Endpoints{"https://v/"}},
					{ID: "b", Digest: "E", Provider: "did:p", Path: "s/1", Visibility: "public", Endpoint: wire.Endpoints{"https://v/", "https://w/"}},
					{ID: "c", Digest: "F", Provider: "did:p", Path: "s/1", Visibility: "public", Withheld: "provider-suspended"},
				}},
			`{"id":"did:x","kind":"passport","status":"active","head":"b1","seq":3,"created":"2026-11-21T12:00:00.007Z","updated":"2026-11-21T12:00:00.007Z",` +
				`"finalAt":"2026-11-21T12:00:00.007Z","position":17,"record":{"kind":"passport"},"strands":[` +
				`{"id":"a","digest":"D","provider":"did:p","path":"s/1","visibility":"public","class":["c"],"tags":["t"],"accepted":true,"endpoint":"https://v/"},` +
				`{"id":"b","digest":"E","provider":"did:p","path":"s/1","visibility":"public","accepted":false,"endpoint":["https://v/","https://w/"]},` +
				`{"id":"c","digest":"F","provider":"did:p","path":"s/1","visibility":"public","accepted":false,"withheld":"provider-suspended"}]}`,
		},
		"organisation": {
			&wire.Record{ID: "did:x", Kind: "organisation", Status: "deactivated", Head: "b1", Created: at, Updated: at, Organisation: &wire.Standing{Status: "active", Epoch: 1, Since: at}},
			`{"id":"did:x","kind":"organisation","status":"deactivated","head":"b1","seq":0,"created":"2026-11-21T12:00:00.007Z","updated":"2026-11-21T12:00:00.007Z",` +
				`"position":0,"organisation":{"status":"active","epoch":1,"since":"2026-11-21T12:00:00.007Z"}}`,
		},
		"history":           {&wire.History{Operations: []wire.HistoryEntry{{Op: "b1", Time: at, Operation: "x~"}}, Next: &seq}, `{"operations":[{"op":"b1","seq":0,"position":0,"time":"2026-11-21T12:00:00.007Z","undone":false,"operation":"x~"}],"next":0}`},
		"last page":         {&wire.History{Operations: []wire.HistoryEntry{}}, `{"operations":[]}`},
		"resolved":          {&wire.ResolveLine{ID: "x", Status: 404, Problem: &wire.Problem{Type: "t", Title: "u", Status: 404}}, `{"id":"x","status":404,"problem":{"type":"t","title":"u","status":404}}`},
		"batch line":        {&wire.BatchLine{Status: 201, ID: "did:x", Op: "b1", Seq: &seq, Position: &position, Index: &index}, `{"status":201,"id":"did:x","op":"b1","seq":0,"position":17,"index":42}`},
		"event":             {&wire.Event{Position: 17, Type: wire.EventUpdate, Time: at, Subject: wire.Subject{0xab}, Seq: 1}, `{"position":17,"type":"update","time":"2026-11-21T12:00:00.007Z","subject":"ab00000000000000000000000000000000000000000000000000000000000000","seq":1}`},
		"organisation page": {&wire.OrganisationPage{Organisations: []wire.Record{}}, `{"organisations":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := wire.Encode(c.value)
			if err != nil || string(text) != c.text {
				t.Fatalf("encodes as\n%s %v, expected\n%s", text, err, c.text)
			}
			again := reflect.New(reflect.TypeOf(c.value).Elem()).Interface()
			if err := wire.Decode(text, again); err != nil || !reflect.DeepEqual(again, c.value) {
				t.Errorf("decodes as %+v %v, expected %+v", again, err, c.value)
			}
		})
	}
}

func TestResolutionHasNullWhereThereIsNothing(t *testing.T) {
	t.Parallel()
	text, err := wire.Encode(wire.Resolution{Metadata: wire.ResolutionMetadata{Error: wire.DIDNotFound.Error("no")}})
	want := `{"didDocument":null,"didResolutionMetadata":{"error":{"type":"https://www.w3.org/ns/did#NOT_FOUND","title":"Not found","detail":"no"}},"didDocumentMetadata":{}}`
	if err != nil || string(text) != want {
		t.Errorf("encodes as\n%s %v, expected\n%s", text, err, want)
	}
}

// TestTimes holds the formatting of our own against the standard library's.
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, m := range []registry.Millis{0, 1, 999, 1000, 1795000000123, 4102444799999, 253402300799999, -1} {
		if got, want := wire.Time(m).String(), m.Time().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%d is %s, expected %s", m, got, want)
		}
		if got, want := string(wire.AppendSeconds(nil, m)), m.Time().Format(wire.SecondsLayout); got != want {
			t.Errorf("%d is %s, expected %s", m, got, want)
		}
		var back wire.Time
		if err := back.UnmarshalText([]byte(wire.Time(m).String())); err != nil || back.Millis() != m {
			t.Errorf("%d comes back as %d %v", m, back, err)
		}
	}
	var bad wire.Time
	if err := bad.UnmarshalText([]byte("yesterday")); err == nil {
		t.Error("yesterday is a time")
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	after := uint64(0)
	for got, want := range map[string]string{
		wire.HistoryPath("did:x", nil, 0):                                        "/v1/records/did:x/operations",
		wire.HistoryPath("did:x", &after, 5):                                     "/v1/records/did:x/operations?after=0&limit=5",
		wire.EventsPath(nil, 0, true):                                            "/v1/events",
		wire.EventsPath(&after, 0, false):                                        "/v1/events?after=0&follow=false",
		wire.OrganisationQuery{Role: "provider", Name: "A & B", Limit: 2}.Path(): "/v1/organisations?limit=2&name=A+%26+B&role=provider",
	} {
		if got != want {
			t.Errorf("got %s, expected %s", got, want)
		}
	}
}
