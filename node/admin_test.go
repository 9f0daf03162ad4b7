package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
	"github.com/dcann/dcann/registry/wire"
)

// A level that can be raised to is there only in the release after: what reaches the state's rules is seen
// by how they refuse.
func TestAdminLevel(t *testing.T) {
	t.Parallel()
	n := runNode(t, nil)
	admin := n.adminServer().Handler
	for _, tt := range []struct {
		name, body string
		want       registry.Kind
		says       string
	}{
		{"the one in force", "1\n", registry.Conflict, "the level is 1 already"},
		{"one that this release does not know", "2", registry.Invalid, "knows levels up to 1"},
		{"no number", "newest", registry.Invalid, "expected a number"},
		{"nothing", "", registry.Invalid, "expected a number"},
		{"larger than any level", "4294967297", registry.Invalid, "expected a number"},
		{"too long", strings.Repeat(" ", maxLevel) + "1", registry.Invalid, "expected a number"},
	} {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/level", strings.NewReader(tt.body)))
		err := wire.ReadProblem(w.Code, w.Header(), w.Body.Bytes(), time.Now())
		if registry.KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v: expected %s, and %q", tt.name, err, tt.want, tt.says)
		}
	}
	if got := n.current.Load().store.Level(); got != state.MaxLevel {
		t.Errorf("the level is %d: expected %d", got, state.MaxLevel)
	}
}

// A web page in the operator's browser can send to a loopback address, and needs no answer to do harm.
func TestAdminIsNotForWebPages(t *testing.T) {
	t.Parallel()
	n := runNode(t, func(c *Config) { c.Admin = "127.0.0.1:0" })
	for _, call := range []struct{ method, path string }{
		{http.MethodPost, "/scrub"}, {http.MethodPost, "/cluster/transfer"}, {http.MethodPost, "/policy"},
		{http.MethodGet, "/backup"}, {http.MethodGet, "/metrics"}, {http.MethodGet, "/debug/pprof/cmdline"},
	} {
		for _, tt := range []struct{ header, value string }{
			{"Origin", "https://page.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "none"}, {},
		} {
			r, err := http.NewRequestWithContext(t.Context(), call.method, "http://"+n.Admin()+call.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if tt.header != "" {
				r.Header.Set(tt.header, tt.value)
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if refused := res.StatusCode == http.StatusForbidden; refused != (tt.header != "") {
				t.Errorf("%s %s with %s %q: status %d", call.method, call.path, tt.header, tt.value, res.StatusCode)
			}
		}
	}
}

// TestASessionEndsBesideWhoStandsStill: an operator's backup that nobody reads any more, or a request that never is
// sent to its end, does not keep the node from its next state.
func TestASessionEndsBesideWhoStandsStill(t *testing.T) {
	t.Parallel()
	n := runNode(t, nil)
	begun, over := make(chan struct{}, 2), make(chan error, 2)
	for name, handle := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"not read": func(w http.ResponseWriter, r *http.Request) error {
			begun <- struct{}{}
			_, err := io.Copy(contextWriter{r.Context(), w}, endless{})
			return err
		},
		"not sent": func(_ http.ResponseWriter, r *http.Request) error {
			begun <- struct{}{}
			_, err := io.Copy(io.Discard, r.Body)
			return err
		},
	} {
		server := httptest.NewServer(n.operator(func(_ *session, w http.ResponseWriter, r *http.Request) {
			over <- fmt.Errorf("%s: %w", name, handle(w, r))
		}))
		defer server.Close()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	<-begun
	s := n.current.Load()
	s.end()
	for range 2 {
		select {
		case err := <-over:
			if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.Canceled) {
				t.Errorf("%v: expected the end of its time", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the session waits for who stands still")
		}
	}
	s.handlers.end()
}

// endless is zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }
