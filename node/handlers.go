package node

import "sync"

// handlers knows of the requests under way. http.Server does not: Close cuts the connections and leaves
// the handlers running, and one that reads from a state that was closed under it ends the process.
type handlers struct {
	running sync.RWMutex // held for reading by each handler
	over    bool         // guarded by running
}

// run calls handle, and reports false without calling it once h has ended.
func (h *handlers) run(handle func()) bool {
	h.running.RLock()
	defer h.running.RUnlock()
	if h.over {
		return false
	}
	handle()
	return true
}

// end returns when no handler runs, and from then on none does. It has no bound of its own: a handler whose
// connection was cut waits for the cluster at most wire.MaxWait, and for the disk as closing does.
func (h *handlers) end() {
	h.running.Lock()
	defer h.running.Unlock()
	h.over = true
}
