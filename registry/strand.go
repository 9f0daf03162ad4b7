package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dcann/dcann/registry/jws"
)

// Visibility says who is shown a strand.
type Visibility string

// A public strand is shown to all, a granted one to whom a grant names it (DESIGN 5).
const (
	Public  Visibility = "public"
	Granted Visibility = "granted"
)

// Strand is one stream of a person's data in one vault. Its endpoint is the provider's URL + Path + "/".
type Strand struct {
	ID         string     `json:"id"`
	Provider   ID         `json:"provider"`
	Path       string     `json:"path"`
	Visibility Visibility `json:"visibility"`
	Class      []string   `json:"class,omitempty"` // DPV personal data; public strands have at least one, none special
	Tags       []string   `json:"tags,omitempty"`
}

// Disclosure is a strand with the salt that hides it: the array-element disclosure of RFC 9901 whose
// Digest stands in the record. Text is what was received, and what is hashed and served.
type Disclosure struct {
	Text   string // base64url of JSON [salt, strand]
	Digest Digest // base64url of SHA-256 of Text
	Strand Strand
}

const saltLength = 22 // characters: 16 bytes in base64url

// ParseDisclosure checks everything that a disclosure alone can be checked for (DESIGN 5). The error's
// kind is Invalid, or TooLarge.
func ParseDisclosure(text string) (Disclosure, error) {
	if len(text) > MaxOperation {
		return Disclosure{}, fail(TooLarge, "disclosure has %d bytes: expected at most %d", len(text), MaxOperation)
	}
	d, err := decodeDisclosure(text)
	if err != nil {
		return Disclosure{}, err
	}
	if err := d.Strand.check(); err != nil {
		return Disclosure{}, err
	}
	return d, nil
}

// decodeDisclosure parses without judging the strand, for text that was judged before.
func decodeDisclosure(text string) (Disclosure, error) {
	plain, err := jws.DecodeBase64([]byte(text))
	if err != nil {
		return Disclosure{}, invalid("disclosure: %v", err)
	}
	var j disclosureJSON
	if err := jws.DecodeJSON(plain, &j); err != nil {
		return Disclosure{}, invalid("disclosure: %v", err)
	}
	if _, err := jws.DecodeBase64(j.salt); err != nil || len(j.salt) != saltLength {
		return Disclosure{}, invalid("disclosure salt: expected 16 bytes in base64url, %d characters", saltLength)
	}
	return Disclosure{Text: text, Digest: digestOfText(text), Strand: j.strand}, nil
}

// disclosureJSON is the array [salt, strand].
type disclosureJSON struct {
	salt   string
	strand Strand
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (d *disclosureJSON) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if err := skip(dec, '['); err != nil {
		return err
	}
	for _, part := range []any{&d.salt, &d.strand} {
		if dec.PeekKind() == ']' {
			return invalid("expected two elements, [salt, strand]")
		}
		if err := json.UnmarshalDecode(dec, part); err != nil {
			return err
		}
	}
	return skip(dec, ']')
}

func digestOfText(text string) Digest { return DigestOf(sha256.Sum256([]byte(text))) }

// NewDisclosure hides s behind a fresh random salt. The error's kind is Invalid.
func NewDisclosure(s Strand) (Disclosure, error) {
	if err := s.check(); err != nil {
		return Disclosure{}, err
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	value, err := encodeJSON([]any{jws.EncodeBase64(salt), s})
	if err != nil {
		return Disclosure{}, err
	}
	text := jws.EncodeBase64(value)
	return Disclosure{Text: text, Digest: digestOfText(text), Strand: s}, nil
}

// NewDecoy is a digest that no disclosure fits, to hide how many strands there are.
func NewDecoy() Digest {
	b := make([]byte, 32)
	rand.Read(b)
	return DigestOf(sha256.Sum256(b))
}

// PadStrands adds decoys to 8, 16, 32 or 64 digests and sorts them as a record wants them (DESIGN 5).
func PadStrands(digests []Digest) []Digest {
	size := 8
	for size < len(digests) {
		size *= 2
	}
	padded := slices.Clone(digests)
	for len(padded) < size {
		padded = append(padded, NewDecoy())
	}
	slices.SortFunc(padded, compareDigests)
	return padded
}

// Subject names the strand of passport in the log: only those who know the disclosure can compute it
// (DESIGN 11). The passport is part of it, or whoever copies a public disclosure into a record of their
// own would write into the original's log.
func (d Disclosure) Subject(passport ID) SubjectKey {
	return sha256.Sum256([]byte("dcann-strand-v1\n" + string(passport) + "\n" + d.Text))
}

// Endpoint joins the strand's path to a provider's endpoint URL.
func (s Strand) Endpoint(e Endpoint) string { return e.URL + s.Path + "/" }

func (s Strand) check() error {
	if !idPattern.MatchString(s.ID) {
		return invalid("strand.id %.40q: expected [a-z][a-z0-9-]{0,31}", s.ID)
	}
	if _, err := ParseID(string(s.Provider)); err != nil {
		return invalid("strand.provider: %v", err)
	}
	segments := strings.Split(s.Path, "/")
	if len(segments) > 4 {
		return invalid("strand.path has %d segments: expected 1 to 4", len(segments))
	}
	for _, seg := range segments {
		if !segmentPattern.MatchString(seg) || seg == "." || seg == ".." {
			return invalid("strand.path %.80q: expected segments of [A-Za-z0-9._~-]{1,64}, never . or ..", s.Path)
		}
	}
	special, err := checkClasses(s.Class)
	if err != nil {
		return invalid("strand.%v", err)
	}
	switch {
	case s.Visibility != Public && s.Visibility != Granted:
		return invalid("strand.visibility %.16q: expected public or granted", s.Visibility)
	case s.Visibility == Public && len(s.Class) == 0:
		return invalid("strand.class is empty: a public strand names at least one")
	case s.Visibility == Public && special:
		return invalid("strand.class: a public strand may not hold a special category of personal data")
	}
	return s.checkTags()
}

func (s Strand) checkTags() error {
	if len(s.Tags) > MaxTags {
		return invalid("strand.tags has %d entries: expected at most %d", len(s.Tags), MaxTags)
	}
	for i, tag := range s.Tags {
		if !tagPattern.MatchString(tag) || slices.Contains(s.Tags[:i], tag) {
			return invalid("strand.tags[%d] %.40q: expected [a-z0-9-]{1,32}, once", i, tag)
		}
	}
	return nil
}
