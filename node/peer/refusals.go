package peer

import (
	"net"
	"sync"
	"time"
)

const (
	refusalEvery = time.Second // for each remote host
	maxRefusals  = 1024        // hosts that are remembered
)

// refusals keeps a host that is refused again and again from filling the log. The zero value is ready.
type refusals struct {
	mu    sync.Mutex
	hosts map[string]*refusal
}

type refusal struct {
	logged time.Time
	silent int // refused since, without a line
}

// allow reports whether to log the refusal of a host, and how many went without a line before it.
func (r *refusals) allow(host string, now time.Time) (silent int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.hosts[host]; known != nil {
		if now.Sub(known.logged) < refusalEvery {
			known.silent++
			return 0, false
		}
		silent = known.silent
		*known = refusal{logged: now}
		return silent, true
	}
	if len(r.hosts) >= maxRefusals {
		for h, known := range r.hosts {
			if now.Sub(known.logged) >= refusalEvery {
				delete(r.hosts, h)
			}
		}
		if len(r.hosts) >= maxRefusals {
			return 0, false
		}
	}
	if r.hosts == nil {
		r.hosts = map[string]*refusal{}
	}
	r.hosts[host] = &refusal{logged: now}
	return 0, true
}

// refuse logs why a connection was not accepted, unless the mesh is being closed.
func (m *Mesh) refuse(remote net.Addr, name string, reason error) {
	select {
	case <-m.done:
		return
	default:
	}
	host, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		host = remote.String()
	}
	if silent, ok := m.refusals.allow(host, time.Now()); ok {
		m.log.Warn("connection refused", "remote", remote.String(), "peer", name, "reason", reason, "not_logged_before", silent)
	}
}
