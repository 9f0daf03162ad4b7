package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/dcann/dcann/registry/jws"
)

// Country is an ISO 3166-1 alpha-2 code in lower case, user-assigned codes included (DESIGN 3).
type Country string

// ParseCountry checks the form only: two letters a–z. Which codes exist is the root zone's to say.
// The error's kind is Invalid.
func ParseCountry(s string) (Country, error) {
	if len(s) != 2 || s[0] < 'a' || s[0] > 'z' || s[1] < 'a' || s[1] > 'z' {
		return "", invalid("country %.8q: expected two lower-case letters of ISO 3166-1", s)
	}
	return Country(s), nil
}

// UserAssigned reports whether c is for test networks and never enters the public root zone.
func (c Country) UserAssigned() bool {
	switch {
	case c == "aa", c == "zz":
		return true
	case c >= "qm" && c <= "qz":
		return true
	}
	return c >= "xa" && c <= "xz" && c != "xk"
}

// OpID names a signed object by the hash of its signing input: "b" and 55 characters of base32
// (DESIGN 4), so that a second valid signature over the same content is the same object.
type OpID string

// ParseOpID accepts the one canonical spelling. The error's kind is Invalid.
func ParseOpID(s string) (OpID, error) {
	if _, err := jws.ParseName(s); err != nil {
		return "", err
	}
	return OpID(s), nil
}

// Digest returns the sha2-256 inside the name; zero if o was not parsed.
func (o OpID) Digest() [32]byte {
	d, _ := jws.ParseName(string(o))
	return d
}

// OpIDOf is the inverse of OpID.Digest.
func OpIDOf(digest [32]byte) OpID { return OpID(jws.FormatName(digest)) }

// ID is did:dcann:<country>:<suffix>, always 69 characters (DESIGN 3). It names a person or an
// organisation; the record says which.
type ID string

const (
	idPrefix = "did:dcann:"
	idLength = 69
)

// ParseID accepts the one canonical spelling of an identifier. The error's kind is Invalid.
func ParseID(s string) (ID, error) {
	if len(s) != idLength {
		return "", invalid("identifier has %d characters: expected did:dcann:<country>:<suffix> of %d", len(s), idLength)
	}
	if s[:len(idPrefix)] != idPrefix || s[12] != ':' {
		return "", invalid("identifier %q: expected did:dcann:<country>:<suffix> in lower case", s)
	}
	if _, err := ParseCountry(s[10:12]); err != nil {
		return "", invalid("identifier %q: country: expected two lower-case letters", s)
	}
	if _, err := jws.ParseName(s[13:]); err != nil {
		return "", invalid("identifier %q: suffix: %v", s, err)
	}
	return ID(s), nil
}

// NewID is the identifier that the create operation named op gives its record.
func NewID(c Country, op OpID) ID { return ID(idPrefix + string(c) + ":" + string(op)) }

// Country is where the identifier was born, empty if id was not parsed. Where the record lives now is
// Home's to say.
func (id ID) Country() Country {
	if len(id) != idLength {
		return ""
	}
	return Country(id[len(idPrefix) : len(idPrefix)+2])
}

// Create is the name of the operation that created the record, empty if id was not parsed.
func (id ID) Create() OpID {
	if len(id) != idLength {
		return ""
	}
	return OpID(id[len(idPrefix)+3:])
}

// SubjectKey names a record, or a strand, in the log and the map (DESIGN 11).
type SubjectKey [32]byte

// Subject is SHA-256 of the identifier: how the journal names a record without telling whose it is.
func (id ID) Subject() SubjectKey { return sha256.Sum256([]byte(id)) }

// Digest is the base64url SHA-256 of a disclosure, 43 characters (RFC 9901).
type Digest string

// ParseDigest accepts 43 characters of canonical unpadded base64url. The error's kind is Invalid.
func ParseDigest(s string) (Digest, error) {
	if len(s) != digestLength {
		return "", invalid("digest has %d characters: expected %d of base64url", len(s), digestLength)
	}
	// The decoder skips line ends: then what comes out is shorter.
	var text [digestLength]byte
	var sum [sha256.Size + 1]byte
	copy(text[:], s)
	if n, err := strictDigest.Decode(sum[:], text[:]); err == nil && n == sha256.Size {
		return Digest(s), nil
	}
	_, err := jws.DecodeBase64(s)
	return "", invalid("digest: %v", err)
}

const digestLength = 43

var strictDigest = base64.RawURLEncoding.Strict()

// Bytes returns the 32 bytes; zero if d was not parsed.
func (d Digest) Bytes() (sum [32]byte) {
	b, _ := base64.RawURLEncoding.DecodeString(string(d))
	copy(sum[:], b)
	return sum
}

// DigestOf is the inverse of Digest.Bytes.
func DigestOf(sum [32]byte) Digest { return Digest(base64.RawURLEncoding.EncodeToString(sum[:])) }

// Millis is registry time: milliseconds since 1970 UTC, strictly rising from Raft entry to Raft
// entry and shared by all that one of them holds (DESIGN 6, rule 5).
type Millis int64

// MillisOf truncates t to registry time.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time is m in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// Unix is m in whole seconds, as in iat.
func (m Millis) Unix() int64 { return int64(m) / 1000 }

// Add is m + d; d counts in whole milliseconds.
func (m Millis) Add(d time.Duration) Millis { return m + Millis(d.Milliseconds()) }
