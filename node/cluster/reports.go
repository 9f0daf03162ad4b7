package cluster

import (
	"sync"
	"time"
)

// reports is what the others last said of themselves.
type reports struct {
	mu    sync.Mutex
	of    map[string]heardReport
	since map[string]time.Time // when a node was forgotten
}

type heardReport struct {
	followRequest
	at    time.Time
	ahead time.Duration // of its clock, against ours
	skew  time.Duration // of our clock then
}

func (r *reports) note(name string, h heardReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = make(map[string]heardReport)
	}
	r.of[name] = h
}

// forget makes what a node has said be of no account, and the node new.
func (r *reports) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, name)
	if r.since == nil {
		r.since = make(map[string]time.Time)
	}
	r.since[name] = time.Now()
}

// known is for how long a node has been saying of itself what can be believed.
func (r *reports) known(name string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.of[name]
	if !ok {
		return 0
	}
	return h.at.Sub(r.since[name])
}

func (r *reports) all() map[string]heardReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]heardReport, len(r.of))
	for name, h := range r.of {
		all[name] = h
	}
	return all
}
