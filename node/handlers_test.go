package node

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/dcann/dcann/registry/wire"
)

// TestHandlersEnd: end waits for a handler that outlives its connection, and none begins afterwards.
func TestHandlersEnd(t *testing.T) {
	t.Parallel()
	var h handlers
	entered, leave := make(chan struct{}), make(chan struct{})
	go h.run(func() {
		close(entered)
		<-leave
	})
	<-entered
	ended := make(chan struct{})
	go func() { h.end(); close(ended) }()
	select {
	case <-ended:
		t.Fatal("end did not wait for the handler")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	<-ended
	if h.run(func() { t.Error("a handler ran after the end") }) {
		t.Error("a late request was taken")
	}
}

// TestRunWaitsForHandlers: a request that is cut off at the end of the grace has ended when Run returns, so
// that Close may close the state.
func TestRunWaitsForHandlers(t *testing.T) {
	t.Parallel()
	n := runNode(t, func(c *Config) { c.ShutdownGrace = time.Millisecond })
	body, w := io.Pipe() // a batch that does not end
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL()+wire.PathBatch, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", wire.TypeNDJSON)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	if _, err := w.Write(bytes.Repeat([]byte("1\n"), 100)); err != nil {
		t.Fatal(err)
	}
	for !n.busy() {
		time.Sleep(time.Millisecond)
	}
	n.stop()
	n.wait(t)
	if !n.current.Load().handlers.running.TryLock() {
		t.Fatal("a handler still runs")
	}
	over := n.current.Load().handlers.over
	n.current.Load().handlers.running.Unlock()
	if !over {
		t.Error("Run did not wait for the handlers")
	}
	w.Close()
	<-answered
}

// busy reports whether a handler runs.
func (r *running) busy() bool {
	if r.current.Load().handlers.running.TryLock() {
		r.current.Load().handlers.running.Unlock()
		return false
	}
	return true
}
