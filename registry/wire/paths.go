package wire

import (
	"net/url"
	"strconv"

	"github.com/dcann/dcann/registry"
)

// The paths (DESIGN 12).
const (
	PathIdentifiers   = "/1.0/identifiers/" // + DID: W3C DID Resolution
	PathRecords       = "/v1/records/"      // + DID
	SuffixOperations  = "/operations"       // after PathRecords + DID: the history
	PathResolve       = "/v1/resolve"
	PathOperations    = "/v1/operations"
	PathBatch         = "/v1/operations/batch"
	PathEvents        = "/v1/events"
	PathOrganisations = "/v1/organisations"
	PathStatuses      = "/v1/statuses"
	PathAcceptances   = "/v1/acceptances"
	PathRegistry      = "/.well-known/dcann-registry"
	PathLive          = "/livez"
	PathReady         = "/readyz"
	PathMetrics       = "/metrics"
	PathOpenAPI       = "/openapi.yaml"
)

// The media types that are sent and accepted.
const (
	TypeJSON         = "application/json"
	TypeProblem      = "application/problem+json" // RFC 9457
	TypeNDJSON       = "application/x-ndjson"
	TypeEventStream  = "text/event-stream"
	TypeOperation    = "application/sd-jwt" // RFC 9901
	TypeStatement    = "application/jwt"    // RFC 7519
	TypeYAML         = "application/yaml"
	TypeResolution   = "application/did-resolution"
	TypeDID          = "application/did"
	TypeDIDJSON      = "application/did+json"
	TypeDIDLD        = "application/did+ld+json"
	TypeDereferenced = "application/did-url-dereferencing"
)

// The headers of ours. Names are in Go's canonical form, so that they may be keys of an http.Header.
const (
	// HeaderIndex is the Raft index that this node had applied when it answered, in decimal; of a write at
	// least the one that made it. Sent back as ParamMinIndex to any node of the country, it makes a client read
	// its own writes.
	HeaderIndex = "Dcann-Index"
	// HeaderStaleness is, on a read, the least number of whole seconds of which it is certain that everything
	// acknowledged so long before the answer was looked up is in it: 0 if the read was linearizable or one node
	// is all there is, StalenessUnknown if the node never heard from a leader.
	HeaderStaleness = "Dcann-Staleness"
	// HeaderSealed is the size of the published log. It is absent while a registry publishes none.
	HeaderSealed = "Dcann-Sealed"
	// HeaderRequestID names the request in the node's log. A client may choose it: 1 to 64 characters of
	// [A-Za-z0-9._-].
	HeaderRequestID = "X-Request-Id"
	// HeaderLastEventID resumes a stream of server-sent events after a position; it wins over ParamAfter.
	HeaderLastEventID = "Last-Event-Id"
)

// StalenessUnknown is HeaderStaleness of a stale read on a node that does not know.
const StalenessUnknown = "unknown"

// The query parameters.
const (
	ParamConsistency = "consistency" // bounded (default), linearizable or stale: DESIGN 9
	ParamMinIndex    = "min_index"   // wait until this node has applied that index
	ParamAfter       = "after"       // a position, seq or cursor, exclusive
	ParamLimit       = "limit"
	ParamFollow      = "follow" // of events: true (default) or false
	ParamRole        = "role"
	ParamName        = "name"
	ParamDomain      = "domain"
	ParamLEI         = "lei"
	ParamStatus      = "status"
)

// Consistency says how fresh a read must be (DESIGN 9).
type Consistency string

// The levels of consistency.
const (
	Bounded      Consistency = "bounded"      // this node heard from the leader at most 5 s ago
	Linearizable Consistency = "linearizable" // all that was acknowledged before the request began
	Stale        Consistency = "stale"        // whatever this node has
)

// RecordPath is where the record of id is read.
func RecordPath(id registry.ID) string { return PathRecords + string(id) }

// HistoryPath is where the operations of id after a seq are read; nil is from the first. limit 0 is the default.
func HistoryPath(id registry.ID, after *uint64, limit int) string {
	q := url.Values{}
	if after != nil {
		q.Set(ParamAfter, strconv.FormatUint(*after, 10))
	}
	if limit > 0 {
		q.Set(ParamLimit, strconv.Itoa(limit))
	}
	return withQuery(RecordPath(id)+SuffixOperations, q)
}

// EventsPath is where events after a position are read; nil is from the first. limit 0 is without end.
func EventsPath(after *uint64, limit int, follow bool) string {
	q := url.Values{}
	if after != nil {
		q.Set(ParamAfter, strconv.FormatUint(*after, 10))
	}
	if limit > 0 {
		q.Set(ParamLimit, strconv.Itoa(limit))
	}
	if !follow {
		q.Set(ParamFollow, "false")
	}
	return withQuery(PathEvents, q)
}

// OrganisationQuery selects organisations; a zero field selects all. All given fields must agree.
type OrganisationQuery struct {
	Role   registry.Role
	Name   string // begins with, whatever the case
	Domain string
	LEI    string
	Status registry.OrgStatus
	After  string // OrganisationPage.Next of the page before
	Limit  int    // 0: DefaultPage
}

// Path is where the organisations that q selects are read.
func (q OrganisationQuery) Path() string {
	v := url.Values{}
	for name, value := range map[string]string{
		ParamRole: string(q.Role), ParamName: q.Name, ParamDomain: q.Domain, ParamLEI: q.LEI,
		ParamStatus: string(q.Status), ParamAfter: q.After,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set(ParamLimit, strconv.Itoa(q.Limit))
	}
	return withQuery(PathOrganisations, v)
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
