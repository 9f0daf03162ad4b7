package client

import (
	"errors"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/dcann/dcann/registry"
)

// bases are the nodes of one registry, and which of them answers, as far as is known.
type bases struct {
	urls []string // without trailing slash
	good atomic.Uint32
}

// parseBases reads one URL or several with commas between. The error's kind is Invalid.
func parseBases(list string) ([]string, error) {
	var urls []string
	for base := range strings.SplitSeq(list, ",") {
		base = strings.TrimSpace(base)
		u, err := url.Parse(base)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fail(registry.Invalid, "registry %q: expected http://host or https://host, without query; or several with commas between", base)
		}
		urls = append(urls, strings.TrimSuffix(base, "/"))
	}
	return urls, nil
}

func (b *bases) current() string { return b.urls[b.good.Load()] }

// turns are the tries of one call at the nodes. Calls that fail at the same node at the same time move on by
// one together, not by one each.
type turns struct {
	*bases
	from   uint32
	failed int // in a row
}

// begin is called before each try.
func (t *turns) begin() { t.from = t.good.Load() }

// next moves on to another node if err says that this one cannot answer now. again says that there is one
// which this call has not tried since it last waited, so that there is no reason to wait.
func (t *turns) next(err error) (again bool) {
	if len(t.urls) == 1 || !errors.Is(err, registry.Unavailable) {
		return false
	}
	t.good.CompareAndSwap(t.from, (t.from+1)%uint32(len(t.urls)))
	t.failed++
	return t.failed%len(t.urls) != 0
}
