package api

import (
	"net/http"
	"net/netip"
	"sync"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// shares counts what is being answered at a time for each address, so that no one takes all that a node
// has of it. Only addresses that are being answered are in the table.
type shares struct {
	what string
	most int

	mu      sync.Mutex
	running map[netip.Addr]int
}

func newShares(what string, most int) *shares {
	return &shares{what: what, most: most, running: make(map[netip.Addr]int)}
}

// share takes one of the places that the address of r has of k; done gives it back. The error's kind is Quota.
func (s *Server) share(r *http.Request, k *shares) (done func(), err error) {
	addr, exempt := s.limits.exempt(r)
	if exempt {
		return func() {}, nil
	}
	if !k.take(addr) {
		s.metrics.limited.WithLabelValues("concurrency").Inc()
		return nil, &registry.Error{Kind: registry.Quota, RetryAfter: wire.RetryBusy,
			Detail: "more " + k.what + " at a time from this address than the registry's limit: see limits at " + wire.PathRegistry}
	}
	return func() { k.give(addr) }, nil
}

func (k *shares) take(addr netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running[addr] >= k.most {
		return false
	}
	k.running[addr]++
	return true
}

func (k *shares) give(addr netip.Addr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running[addr]--; k.running[addr] == 0 {
		delete(k.running, addr)
	}
}
