package wire

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry"
)

// The bodies of W3C DID Resolution v1, HTTP(S) binding. Here, and only here, absent objects are null, and
// times have no fractions.

// Resolution is a DID resolution result. Document is JSON null when there is none; ParseDocument reads it.
type Resolution struct {
	Document         jsontext.Value     `json:"didDocument"`
	Metadata         ResolutionMetadata `json:"didResolutionMetadata"`
	DocumentMetadata DocumentMetadata   `json:"didDocumentMetadata"`
}

// ResolutionMetadata tells of the resolution: what the document is, or why there is none.
type ResolutionMetadata struct {
	ContentType string           `json:"contentType,omitzero"`
	Error       *ResolutionError `json:"error,omitzero"`
}

// DocumentMetadata tells of the document. Times are in SecondsLayout.
type DocumentMetadata struct {
	Created       string        `json:"created,omitzero"`
	Updated       string        `json:"updated,omitzero"`
	Deactivated   bool          `json:"deactivated,omitzero"`
	VersionID     registry.OpID `json:"versionId,omitzero"`
	NextVersionID registry.OpID `json:"nextVersionId,omitzero"`
	NextUpdate    string        `json:"nextUpdate,omitzero"`
	Undone        bool          `json:"undone,omitzero"`  // ours: a recovery took this version off
	FinalAt       string        `json:"finalAt,omitzero"` // ours: until then a stronger key can still undo
}

// Dereferencing is the result of dereferencing a DID URL. Content is JSON null when there is none.
type Dereferencing struct {
	Metadata        ResolutionMetadata `json:"dereferencingMetadata"`
	Content         jsontext.Value     `json:"contentStream"`
	ContentMetadata DocumentMetadata   `json:"contentMetadata"`
}

// ResolutionError is the problem in the metadata of a resolution that failed.
type ResolutionError struct {
	Type   string `json:"type"` // ResolutionBase + the code
	Title  string `json:"title"`
	Detail string `json:"detail,omitzero"`
}

// ResolutionOptions is the body of DID Resolution by POST. NoCache and ExpandRelativeURLs also come as
// the strings "true" and "false" in a query.
type ResolutionOptions struct {
	Accept             string `json:"accept,omitzero"`
	ExpandRelativeURLs *bool  `json:"expandRelativeUrls,omitzero"`
	VersionID          string `json:"versionId,omitzero"`
	VersionTime        string `json:"versionTime,omitzero"`
	NoCache            *bool  `json:"noCache,omitzero"`
}

// ResolutionBase begins the type of every error of DID Resolution; the code follows.
const ResolutionBase = "https://www.w3.org/ns/did#"

// ResolutionCode is an error of DID Resolution.
type ResolutionCode string

// The codes of the specification.
const (
	InvalidDID                 ResolutionCode = "INVALID_DID"
	InvalidDIDURL              ResolutionCode = "INVALID_DID_URL"
	InvalidOptions             ResolutionCode = "INVALID_OPTIONS"
	DIDNotFound                ResolutionCode = "NOT_FOUND"
	RepresentationNotSupported ResolutionCode = "REPRESENTATION_NOT_SUPPORTED"
	MethodNotSupported         ResolutionCode = "METHOD_NOT_SUPPORTED"
	FeatureNotSupported        ResolutionCode = "FEATURE_NOT_SUPPORTED"
	InvalidDIDDocument         ResolutionCode = "INVALID_DID_DOCUMENT"
	InternalError              ResolutionCode = "INTERNAL_ERROR"
)

var codes = map[ResolutionCode]struct {
	status int
	title  string
}{
	InvalidDID:                 {http.StatusBadRequest, "Not a DID"},
	InvalidDIDURL:              {http.StatusBadRequest, "Not a DID URL that can be dereferenced"},
	InvalidOptions:             {http.StatusBadRequest, "The options are not of the required form"},
	DIDNotFound:                {http.StatusNotFound, "Not found"},
	RepresentationNotSupported: {http.StatusNotAcceptable, "No such representation"},
	MethodNotSupported:         {http.StatusNotImplemented, "Not a method of this registry"},
	FeatureNotSupported:        {http.StatusNotImplemented, "Not a feature of this registry"},
	InvalidDIDDocument:         {http.StatusInternalServerError, "The document is not valid"},
	InternalError:              {http.StatusInternalServerError, "The registry failed"},
}

// Status is the HTTP status of a code.
func (c ResolutionCode) Status() int {
	if row, ok := codes[c]; ok {
		return row.status
	}
	return http.StatusInternalServerError
}

// Error makes the object of a code.
func (c ResolutionCode) Error(detail string) *ResolutionError {
	return &ResolutionError{Type: ResolutionBase + string(c), Title: codes[c].title, Detail: detail}
}

// The contexts of a DID document: that of DID v1.1 in application/did, those of DID v1.0 with Multikey in
// application/did+ld+json. application/did+json has none.
var (
	ContextDID = []string{"https://www.w3.org/ns/did/v1.1"}
	ContextLD  = []string{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"}
)

// The types of services in a DID document (DESIGN 12).
const (
	ServiceVault    = "DataVault"     // a public strand of a passport
	ServiceProvider = "VaultProvider" // an endpoint of a provider
)

// Document is a DID document of this method. All ids are absolute unless a representation with relative
// ones is asked for, which no registry has.
type Document struct {
	Context            []string             `json:"@context,omitempty"`
	ID                 registry.ID          `json:"id"`
	VerificationMethod []VerificationMethod `json:"verificationMethod,omitempty"`
	Authentication     []string             `json:"authentication,omitempty"`
	AssertionMethod    []string             `json:"assertionMethod,omitempty"`
	Service            []Service            `json:"service,omitempty"`
}

// VerificationMethod is a listed key. A retired one has neither relationship.
type VerificationMethod struct {
	ID                 string      `json:"id"`
	Type               string      `json:"type"` // Multikey
	Controller         registry.ID `json:"controller"`
	PublicKeyMultibase string      `json:"publicKeyMultibase"`
}

// Service is a strand whose endpoint is shown, or an endpoint of a provider.
type Service struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Endpoint Endpoints `json:"serviceEndpoint"`
	Protocol string    `json:"protocol,omitzero"` // of a VaultProvider
}
