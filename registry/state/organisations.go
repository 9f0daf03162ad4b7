package state

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// The bounds of a page of organisations, and of what one call looks at to fill it.
const (
	DefaultOrganisations = 100
	MaxOrganisations     = 1000
	maxLookedAt          = 10_000
)

// OrganisationQuery selects organisations. Empty fields select all.
type OrganisationQuery struct {
	Role               registry.Role
	Name               string // the beginning of the name, whatever its case
	Domain, LEI        string // exactly
	Status             registry.OrgStatus
	IncludeDeactivated bool
	After              string // what the page before gave as next
	Limit              int    // at most MaxOrganisations; 0 is DefaultOrganisations
}

// Organisations lists the organisations that q selects, in the order of their names if q has one, and
// else of their identifiers. next is empty at the end. A page may be shorter than Limit although there is a
// next one: a call looks at a bounded number of records. The error's kind is Invalid for a bad After.
func (s *Store) Organisations(q OrganisationQuery) (views []*View, next string, err error) {
	if q.Limit <= 0 {
		q.Limit = DefaultOrganisations
	}
	q.Limit = min(q.Limit, MaxOrganisations)
	prefix := q.prefix()
	from := prefix
	if q.After != "" {
		if from, err = jws.DecodeBase64(q.After); err != nil || !bytes.HasPrefix(from, prefix) {
			return nil, "", &registry.Error{Kind: registry.Invalid, Detail: "after: expected the next of the page before, with the same query"}
		}
		from = append(from, 0)
	}
	snap := s.snapshot()
	defer snap.close()
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(prefix)})
	if err != nil {
		return nil, "", fmt.Errorf("read organisations: %w", err)
	}
	var last []byte
	looked := 0
	ok := it.First()
	for ; ok && err == nil && len(views) < q.Limit && looked < maxLookedAt; ok = it.Next() {
		last = append(last[:0], it.Key()...)
		looked++
		var v *View
		if v, err = s.selected(committed{snap.Snapshot}, it.Key(), &q); v != nil {
			views = append(views, v)
		}
	}
	if ok {
		next = jws.EncodeBase64(last)
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, "", fmt.Errorf("read organisations: %w", err)
	}
	return views, next, nil
}

// prefix is what all index keys of the narrowest index that q allows begin with.
func (q *OrganisationQuery) prefix() []byte {
	switch {
	case q.LEI != "":
		return indexPrefix(indexLEI, q.LEI)
	case q.Domain != "":
		return indexPrefix(indexDomain, q.Domain)
	case q.Name != "":
		k := indexPrefix(indexName, foldName(q.Name))
		return k[:len(k)-1] // names that begin so
	}
	return indexPrefix(indexAll, "")
}

// selected is the view of the organisation behind an index key, nil if q does not select it.
func (s *Store) selected(r reader, key []byte, q *OrganisationQuery) (*View, error) {
	ref := ref(key[len(key)-len(ref{}):])
	stamp := s.stamp(ref)
	rec, err := loadRecord(r, ref.id())
	if err == nil && rec == nil {
		err = fmt.Errorf("%s: there is no row", ref.id())
	}
	if err != nil {
		return nil, err
	}
	v, err := s.view(rec, stamp)
	if err != nil {
		return nil, err
	}
	o := v.Organisation
	switch {
	case v.Status != registry.Active && !q.IncludeDeactivated,
		q.Status != "" && o.Standing != q.Status,
		q.Role != "" && !slices.Contains(o.Record.Roles, q.Role),
		q.LEI != "" && o.Record.LEI != q.LEI,
		q.Domain != "" && o.Record.Domain != q.Domain,
		q.Name != "" && !bytes.HasPrefix([]byte(foldName(o.Record.Name)), []byte(foldName(q.Name))):
		return nil, nil
	}
	return v, nil
}
