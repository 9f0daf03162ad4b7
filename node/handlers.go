package node

import (
	"net/http"
	"sync"
)

// handlers knows of the requests under way. http.Server does not: Close cuts the connections and leaves
// the handlers running, and one that reads from a state that was closed under it ends the process.
type handlers struct {
	running sync.RWMutex // held for reading by each handler
	over    bool         // guarded by running
}

// track makes next known to h, and refuses once h has ended.
func (h *handlers) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.running.RLock()
		defer h.running.RUnlock()
		if h.over {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// end returns when no handler runs, and from then on none does. It has no bound of its own: a handler whose
// connection was cut waits for the cluster at most wire.MaxWait, and for the disk as closing does.
func (h *handlers) end() {
	h.running.Lock()
	defer h.running.Unlock()
	h.over = true
}
