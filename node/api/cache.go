package api

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/maypok86/otter/v2"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// representation tells the renderings of one record apart.
type representation uint8

const (
	asRecord       representation = iota // GET /v1/records/{did}
	asResolution                         // application/did-resolution
	asDID                                // application/did
	asDIDJSON                            // application/did+json
	asDIDLD                              // application/did+ld+json
	asDereferenced                       // application/did-url-dereferencing
)

// rendered is an answer, complete but for what asOf says. It is shared between requests and never changed.
type rendered struct {
	status  int
	body    []byte
	stamp   state.Stamp     // the versions it was made from: a hit needs all to be current
	expires registry.Millis // it says finalAt, which is no longer true afterwards; 0: never

	// Header values, ready to be assigned. Those that are nil are left out.
	contentType, length, etag, vary []string
}

// measured is the longest body, in bytes, to which net/http itself adds Content-Length: what its buffer holds.
const measured = 2048

// newRendered completes an answer. The ETag hashes the body and so all that it was made from; unlike the
// stamp it is the same on every node of a country.
func newRendered(status int, contentType, vary []string, body []byte, v *state.View, now registry.Millis) *rendered {
	sum := sha256.Sum256(body)
	var etag [2 + 32]byte
	etag[0], etag[33] = '"', '"'
	hex.Encode(etag[1:33], sum[:16])
	a := &rendered{
		status: status, body: body, contentType: contentType, vary: vary,
		etag:  []string{string(etag[:])},
		stamp: v.Stamp,
	}
	if vary == nil || len(body) > measured {
		a.length = []string{strconv.Itoa(len(body))}
	}
	if v.FinalAt != 0 && now <= v.FinalAt {
		a.expires = v.FinalAt
	}
	return a
}

// send writes the answer, or 304 if the client has it. This is the hot path: it allocates nothing.
func (a *rendered) send(c echo.Context, at asOf) error {
	w := c.Response()
	h := w.Writer.Header()
	// Eight headers fit into a map that never grows: that is why there is no nosniff, which the media types
	// of these answers do not need, and why a length that net/http finds out for itself is left to it.
	h["Access-Control-Allow-Origin"] = valueAnyOrigin
	h["Access-Control-Expose-Headers"] = valueExposed
	h["Cache-Control"] = valueRevalidate
	at.put(h)
	h["Etag"] = a.etag
	if a.vary != nil {
		h["Vary"] = a.vary
	}
	if match := c.Request().Header["If-None-Match"]; match != nil && a.status == http.StatusOK && matches(match, a.etag[0]) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = a.contentType
	if a.length != nil {
		h["Content-Length"] = a.length
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the reader is gone: nobody to tell
	return nil
}

// matches implements If-None-Match: a list of tags, compared weakly, or * (RFC 9110, section 13.1.2).
func matches(lists []string, etag string) bool {
	for _, list := range lists {
		for tag := range strings.SplitSeq(list, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == etag || tag == "*" {
				return true
			}
		}
	}
	return false
}

// cacheKey is canonical: only an identifier that was parsed gets into the cache, so a hit needs no parsing.
type cacheKey struct {
	id registry.ID
	as representation
}

// cache holds rendered answers, bounded by bytes. nil holds none.
type cache struct {
	answers *otter.Cache[cacheKey, *rendered]

	// door lets an answer in when it is asked for again: of identifiers that come once, as in a census of all
	// passports, nothing is kept, which would only push out what is asked for often. A slot remembers the
	// last identifier that hashed to it.
	seed maphash.Seed
	door [1 << 16]atomic.Uint32
}

// again reports whether id was asked for lately, and remembers that it was now.
func (c *cache) again(id registry.ID, as representation) bool {
	h := maphash.String(c.seed, string(id)) + uint64(as)*0x9e3779b97f4a7c15
	mark := uint32(h>>32) | 1 // 0 is an empty slot
	return c.door[h%uint64(len(c.door))].Swap(mark) == mark
}

// overhead is about what an entry costs beside its body: key, values, the cache's own node.
const overhead = 600

func newCache(maxBytes int64) (*cache, error) {
	if maxBytes == 0 {
		return nil, nil
	}
	answers, err := otter.New(&otter.Options[cacheKey, *rendered]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(_ cacheKey, a *rendered) uint32 { return uint32(len(a.body) + overhead) },
	})
	if err != nil {
		return nil, err
	}
	return &cache{answers: answers, seed: maphash.MakeSeed()}, nil
}

func (c *cache) close() {
	if c != nil {
		c.answers.StopAllGoroutines()
	}
}

// cached is the answer for id if there is one that is still true: made from the versions that are current,
// and not past a moment that it names.
func (s *Server) cached(id registry.ID, as representation) (*rendered, bool) {
	if s.cache == nil {
		return nil, false
	}
	a, ok := s.cache.answers.GetIfPresent(cacheKey{id, as})
	if !ok || !s.state.Current(a.stamp) || a.expires != 0 && registry.MillisOf(time.Now()) > a.expires {
		return nil, false
	}
	return a, true
}

// worthKeeping reports whether the answer for id is to be kept: see cache.door.
func (s *Server) worthKeeping(id registry.ID, as representation) bool {
	return s.cache != nil && s.cache.again(id, as)
}

// keep remembers a for id. The key's text is copied: that of a request would hold on to all of it.
func (s *Server) keep(id registry.ID, as representation, a *rendered) {
	s.cache.answers.Set(cacheKey{registry.ID(strings.Clone(string(id))), as}, a)
}
