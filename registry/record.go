package registry

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dcann/dcann/registry/dpv"
	"github.com/dcann/dcann/registry/jws"
)

// RecordKind says whether a record is of a person or an organisation; it never changes.
type RecordKind string

// The two kinds of record (DESIGN 5).
const (
	Passport     RecordKind = "passport"
	Organisation RecordKind = "organisation"
)

// Caps on the parts of a record (DESIGN 5). They are part of the contract, not settings.
const (
	MaxRotation  = 5
	MaxKeys      = 16
	MaxStrands   = 64
	MaxTags      = 16
	MaxClasses   = 16  // terms in one strand or one use
	MaxEndpoints = 8   // of one provider
	MaxUses      = 32  // of one recipient
	MaxName      = 200 // bytes of an organisation's name
	MaxURL       = 512 // bytes of an endpoint
)

// Use is what a key may sign for.
type Use string

// The uses of keys: grant and auth belong to passports, sign to organisations (DESIGN 5).
const (
	UseGrant Use = "grant"
	UseAuth  Use = "auth"
	UseSign  Use = "sign"
)

// Key is a listed key of a record; its ID is a fragment of the DID.
type Key struct {
	ID      string       `json:"id"`
	Key     jws.Multikey `json:"key"`
	Use     []Use        `json:"use"`
	Retired *int64       `json:"retired,omitempty"` // unix seconds; what it signed later does not stand (DESIGN 7)
}

// Has reports whether the key is listed for u.
func (k Key) Has(u Use) bool { return slices.Contains(k.Use, u) }

// Role is what an organisation does.
type Role string

// The roles of organisations (DESIGN 5).
const (
	RoleProvider  Role = "provider"
	RoleRecipient Role = "recipient"
	RoleAttestor  Role = "attestor"
)

// Endpoint is where a provider answers: URL is https, ends in "/", and has no userinfo, query or fragment.
type Endpoint struct {
	Protocol string `json:"protocol"` // an absolute URI that names the protocol
	URL      string `json:"url"`
}

// Purpose is what a recipient says it wants which classes of data for.
type Purpose struct {
	Purpose []string `json:"purpose"` // DPV purposes
	Class   []string `json:"class"`   // DPV personal data
}

// Record is what the newest operation says, whole. Passport records have Strands, organisation records
// the fields below it; the other kind's fields are zero.
type Record struct {
	Kind     RecordKind
	Rotation []jws.Multikey // 1–5, strongest first
	Keys     []Key          // ≤ 16

	Strands []Digest // ≤ 64, strictly ascending; some may be decoys

	Name         string
	LEI          string // optional, ISO 17442
	Jurisdiction Country
	Roles        []Role
	Domain       string // optional
	Endpoints    []Endpoint
	Uses         []Purpose
}

// Rank is the place of k in the rotation, 0 the strongest; a key that is not in it ranks after all,
// as the weakest (DESIGN 6, rule 3).
func (r *Record) Rank(k jws.Multikey) int {
	if i := slices.Index(r.Rotation, k); i >= 0 {
		return i
	}
	return len(r.Rotation)
}

// Entitled reports whether k is in the rotation.
func (r *Record) Entitled(k jws.Multikey) bool { return slices.Contains(r.Rotation, k) }

// Key finds a listed key by its fragment.
func (r *Record) Key(id string) (Key, bool) {
	i := slices.IndexFunc(r.Keys, func(k Key) bool { return k.ID == id })
	if i < 0 {
		return Key{}, false
	}
	return r.Keys[i], true
}

// HasRole reports whether an organisation has role.
func (r *Record) HasRole(role Role) bool { return slices.Contains(r.Roles, role) }

// SameIdentity reports whether two organisation records agree in what accreditation rests on: name,
// LEI, jurisdiction, roles and domain (DESIGN 6).
func (r *Record) SameIdentity(o *Record) bool {
	return r.Name == o.Name && r.LEI == o.LEI && r.Jurisdiction == o.Jurisdiction &&
		r.Domain == o.Domain && slices.Equal(slices.Sorted(slices.Values(r.Roles)), slices.Sorted(slices.Values(o.Roles)))
}

var (
	idPattern      = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	tagPattern     = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	leiPattern     = regexp.MustCompile(`^[0-9A-Z]{18}[0-9]{2}$`)
	segmentPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,64}$`)
	domainPattern  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// check enforces every rule on a record that needs nothing but the record (DESIGN 5). Keys are checked
// by the caller, who knows whether the record was checked before.
func (r *Record) check() error {
	if n := len(r.Rotation); n < 1 || n > MaxRotation {
		return invalid("record.rotation has %d keys: expected 1 to %d", n, MaxRotation)
	}
	if err := r.checkKeys(); err != nil {
		return err
	}
	if r.Kind == Passport {
		return r.checkStrands()
	}
	return r.checkOrganisation()
}

func (r *Record) checkKeys() error {
	if len(r.Keys) > MaxKeys {
		return invalid("record.keys has %d entries: expected at most %d", len(r.Keys), MaxKeys)
	}
	seen := make(map[string]bool, len(r.Rotation)+2*len(r.Keys))
	for i, k := range r.Rotation {
		if seen[string(k)] {
			return invalid("record.rotation[%d]: key %s stands in the record twice", i, k)
		}
		seen[string(k)] = true
	}
	for i, k := range r.Keys {
		if !idPattern.MatchString(k.ID) {
			return invalid("record.keys[%d].id %.40q: expected [a-z][a-z0-9-]{0,31}", i, k.ID)
		}
		if seen[k.ID] {
			return invalid("record.keys[%d].id %q stands in the record twice", i, k.ID)
		}
		if seen[string(k.Key)] {
			return invalid("record.keys[%d].key %s stands in the record twice", i, k.Key)
		}
		seen[k.ID], seen[string(k.Key)] = true, true
		if err := r.checkUses(i, k); err != nil {
			return err
		}
	}
	return nil
}

func (r *Record) checkUses(i int, k Key) error {
	if len(k.Use) == 0 {
		return invalid("record.keys[%d].use is empty", i)
	}
	for j, u := range k.Use {
		ok := u == UseGrant || u == UseAuth
		if r.Kind == Organisation {
			ok = u == UseSign
		}
		if !ok {
			return invalid("record.keys[%d].use[%d] %.16q: expected grant or auth in a passport, sign in an organisation", i, j, u)
		}
		if slices.Contains(k.Use[:j], u) {
			return invalid("record.keys[%d].use names %q twice", i, u)
		}
	}
	if k.Retired != nil && *k.Retired < 0 {
		return invalid("record.keys[%d].retired is %d: expected seconds since 1970", i, *k.Retired)
	}
	return nil
}

func (r *Record) checkStrands() error {
	if len(r.Strands) > MaxStrands {
		return invalid("record.strands has %d entries: expected at most %d", len(r.Strands), MaxStrands)
	}
	for i, d := range r.Strands {
		if i > 0 && compareDigests(r.Strands[i-1], d) >= 0 {
			return invalid("record.strands[%d]: digests must rise strictly", i)
		}
	}
	return nil
}

// compareDigests orders digests as the texts that are signed: by the bytes of the base64url.
func compareDigests(a, b Digest) int { return strings.Compare(string(a), string(b)) }

func (r *Record) checkOrganisation() error {
	if r.Name == "" || len(r.Name) > MaxName || strings.TrimSpace(r.Name) != r.Name || strings.ContainsFunc(r.Name, isControl) {
		return invalid("record.name %.40q: expected 1 to %d bytes without control characters or outer spaces", r.Name, MaxName)
	}
	if r.LEI != "" && !validLEI(r.LEI) {
		return invalid("record.lei %.24q: expected 20 characters of ISO 17442 with a right checksum", r.LEI)
	}
	if r.Domain != "" && (len(r.Domain) > 253 || !domainPattern.MatchString(r.Domain)) {
		return invalid("record.domain %.64q: expected a lower-case host name", r.Domain)
	}
	if len(r.Roles) == 0 {
		return invalid("record.roles is empty: expected provider, recipient or attestor")
	}
	for i, role := range r.Roles {
		if role != RoleProvider && role != RoleRecipient && role != RoleAttestor {
			return invalid("record.roles[%d] %.16q: expected provider, recipient or attestor", i, role)
		}
		if slices.Contains(r.Roles[:i], role) {
			return invalid("record.roles names %q twice", role)
		}
	}
	if err := r.checkEndpoints(); err != nil {
		return err
	}
	return r.checkPurposes()
}

// isControl covers C0, DEL and C1, the line separators, and the bidirectional overrides that make a name
// read as another.
func isControl(c rune) bool {
	return c < 0x20 || c >= 0x7f && c < 0xa0 || c >= 0x2028 && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}

func (r *Record) checkPurposes() error {
	if len(r.Uses) > 0 && !r.HasRole(RoleRecipient) {
		return invalid("record.uses: expected none unless the organisation is a recipient")
	}
	if len(r.Uses) > MaxUses {
		return invalid("record.uses has %d entries: expected at most %d", len(r.Uses), MaxUses)
	}
	for i, u := range r.Uses {
		if n := len(u.Purpose); n == 0 || n > MaxClasses {
			return invalid("record.uses[%d].purpose has %d terms: expected 1 to %d", i, n, MaxClasses)
		}
		for j, p := range u.Purpose {
			if _, ok := dpv.Purpose(p); !ok || slices.Contains(u.Purpose[:j], p) {
				return invalid("record.uses[%d].purpose[%d] %.80q: expected a purpose of the bundled vocabulary, once", i, j, p)
			}
		}
		if n := len(u.Class); n == 0 {
			return invalid("record.uses[%d].class is empty", i)
		}
		if _, err := checkClasses(u.Class); err != nil {
			return invalid("record.uses[%d].%v", i, err)
		}
	}
	return nil
}

// checkClasses reports whether one of the classes is a special category.
func checkClasses(classes []string) (special bool, err error) {
	if len(classes) > MaxClasses {
		return false, invalid("class has %d terms: expected at most %d", len(classes), MaxClasses)
	}
	for i, c := range classes {
		term, ok := dpv.PersonalData(c)
		if !ok || slices.Contains(classes[:i], c) {
			return false, invalid("class[%d] %.80q: expected a class of the bundled vocabulary, once", i, c)
		}
		special = special || term.Special
	}
	return special, nil
}

// validLEI checks form and the two check digits (ISO 7064 MOD 97-10).
func validLEI(s string) bool {
	if !leiPattern.MatchString(s) {
		return false
	}
	rest := 0
	for _, c := range s {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return rest == 1
}
