package client

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/dcann/dcann/registry/wire"
)

// Freshness is as of when the answer to a read is.
type Freshness struct {
	// Index is the Raft index that the answer shows: given as min_index, any node's answer is as new.
	Index uint64

	// Staleness is in whole seconds: everything acknowledged so long before the answer was looked up is in
	// it. It means nothing unless Known: a stale read may be answered by a node that does not know.
	Staleness time.Duration
	Known     bool
}

type freshnessKey struct{}

// WithFreshness returns a context with which reads write into f as of when their answer is. Of a read that
// takes several requests it is the last. f must not be looked at while a read goes on, but by its callback,
// and belongs to one read at a time.
func WithFreshness(ctx context.Context, f *Freshness) context.Context {
	return context.WithValue(ctx, freshnessKey{}, f)
}

func noteFreshness(ctx context.Context, h http.Header) {
	f, ok := ctx.Value(freshnessKey{}).(*Freshness)
	if !ok {
		return
	}
	*f = Freshness{}
	f.Index, _ = strconv.ParseUint(h.Get(wire.HeaderIndex), 10, 64)
	// Not more than a Duration holds. Whatever is no number is not known.
	if seconds, err := strconv.ParseInt(h.Get(wire.HeaderStaleness), 10, 32); err == nil && seconds >= 0 {
		f.Staleness, f.Known = time.Duration(seconds)*time.Second, true
	}
}
