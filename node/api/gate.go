package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// freshness is what a read asks of the node before it looks anything up (DESIGN 9).
type freshness struct {
	level    wire.Consistency
	minIndex uint64
}

// takeFreshness reads consistency and min_index from a query and takes them out of it.
func takeFreshness(q url.Values) (freshness, error) {
	f := freshness{level: wire.Bounded}
	if q.Has(wire.ParamConsistency) {
		f.level = wire.Consistency(q.Get(wire.ParamConsistency))
		if len(q[wire.ParamConsistency]) != 1 || f.level != wire.Bounded && f.level != wire.Linearizable && f.level != wire.Stale {
			return f, invalid("consistency %.20q: expected bounded, linearizable or stale", f.level)
		}
	}
	if q.Has(wire.ParamMinIndex) {
		var err error
		if f.minIndex, err = parseUint(q, wire.ParamMinIndex); err != nil {
			return f, err
		}
	}
	delete(q, wire.ParamConsistency)
	delete(q, wire.ParamMinIndex)
	return f, nil
}

// gate waits until this node may answer, at most wire.MaxWait for each of the two things asked for, and
// returns as of when the answer is. It is taken before anything is looked up, so that an answer shows at
// least what had happened by then. The error's kind is Unavailable.
func (s *Server) gate(ctx context.Context, f freshness) (asOf, error) {
	if f.minIndex > 0 && s.cluster.AppliedIndex() < f.minIndex {
		if err := s.waitIndex(ctx, f); err != nil {
			return asOf{}, err
		}
	}
	switch f.level {
	case wire.Linearizable:
		ctx, cancel := context.WithTimeout(ctx, wire.MaxWait)
		defer cancel()
		if err := s.cluster.ReadIndex(ctx); err != nil {
			return asOf{}, waited(err, "a confirmation of leadership")
		}
		return asOf{index: s.indexValue(), staleness: stalenessValues[0]}, nil
	case wire.Bounded:
		if err := s.cluster.Bounded(); err != nil {
			return asOf{}, err
		}
	}
	return s.asOf(), nil
}

// waitIndex waits for min_index. It comes before the level is seen to, of which it would else wear off; only
// who could not be answered anyway is told at once.
func (s *Server) waitIndex(ctx context.Context, f freshness) error {
	if f.level == wire.Bounded {
		if err := s.cluster.Bounded(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wire.MaxWait)
	defer cancel()
	if err := s.cluster.WaitIndex(ctx, f.minIndex); err != nil {
		return waited(err, "index "+strconv.FormatUint(f.minIndex, 10))
	}
	return nil
}

func waited(err error, what string) error {
	if registry.KindOf(err) != registry.Internal {
		return err
	}
	return refuse(registry.Unavailable, "waited for %s, at most %v: %v", what, wire.MaxWait, err)
}

// query parses a query strictly and refuses parameters that are not in allowed. The error's kind is Invalid.
func query(r *http.Request, allowed ...string) (url.Values, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, invalid("query parameter %.40q is given %d times: expected once", name, len(values))
		}
		known := false
		for _, a := range allowed {
			known = known || a == name
		}
		if !known {
			return nil, invalid("query parameter %.40q: expected one of %s", name, strings.Join(allowed, ", "))
		}
	}
	return q, nil
}

func parseQuery(raw string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid("query: %.80v", err)
	}
	return q, nil
}

// readQuery is query with the parameters of every read, which it takes out.
func readQuery(r *http.Request, allowed ...string) (url.Values, freshness, error) {
	if r.URL.RawQuery == "" {
		return nil, freshness{level: wire.Bounded}, nil
	}
	q, err := query(r, append(allowed, wire.ParamConsistency, wire.ParamMinIndex)...)
	if err != nil {
		return nil, freshness{}, err
	}
	f, err := takeFreshness(q)
	return q, f, err
}

func parseUint(q url.Values, name string) (uint64, error) {
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil {
		return 0, invalid("%s %.24q: expected an integer of 64 bits, not negative", name, q.Get(name))
	}
	return n, nil
}

// limitOf is the limit of a page, between 1 and most; def when none is given.
func limitOf(q url.Values, def, most int) (int, error) {
	if !q.Has(wire.ParamLimit) {
		return def, nil
	}
	n, err := strconv.Atoi(q.Get(wire.ParamLimit))
	if err != nil || n < 1 || n > most {
		return 0, invalid("limit %.24q: expected 1 to %d", q.Get(wire.ParamLimit), most)
	}
	return n, nil
}
