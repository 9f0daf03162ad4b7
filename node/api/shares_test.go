package api

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// TestSharesOfAnAddress: what one address has running is bounded, another's is its own, and a place comes
// back when its request has ended.
func TestSharesOfAnAddress(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{api: func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }})
	const header, one, other = "X-Forwarded-For", "192.0.2.1", "192.0.2.2"
	running := func(k *shares) int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.running[netip.MustParseAddr(one)]
	}
	refused := func(a answer) {
		t.Helper()
		if p := a.problem(t, registry.Quota); p.RetryAfter != 2 || a.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %+v %v", a.Request.URL, p, a.Header)
		}
	}

	var last *follower
	for range wire.MaxStreamsPerAddress {
		last = f.followEvents(wire.PathEvents, header, one)
	}
	refused(f.get(wire.PathEvents, header, one))
	f.get(wire.EventsPath(nil, 0, false), header, other).want(t, http.StatusOK)
	last.cancel()
	eventually(t, "the place of a stream that ended", func() bool { return running(f.limits.streams) < wire.MaxStreamsPerAddress })
	f.get(wire.EventsPath(nil, 0, false), header, one).want(t, http.StatusOK)

	for _, c := range []struct {
		path, contentType, body string
		of                      *shares
		most                    int
	}{
		{wire.PathBatch, wire.TypeNDJSON, "1\n", f.limits.batches, wire.MaxBatchesPerAddress},
		{wire.PathResolve, wire.TypeJSON, "[]", f.limits.resolves, wire.MaxResolvesPerAddress},
	} {
		post := func(addr string) answer { return f.post(c.path, c.contentType, []byte(c.body), header, addr) }
		var open []*io.PipeWriter
		ended := make(chan int, c.most)
		for range c.most { // bodies that do not end
			r, w := io.Pipe()
			open = append(open, w)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+c.path, r)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.contentType)
			req.Header.Set(header, one)
			go func() {
				res, err := f.client.Do(req)
				if err != nil {
					ended <- 0
					return
				}
				res.Body.Close()
				ended <- res.StatusCode
			}()
		}
		eventually(t, "the places of "+c.path, func() bool { return running(c.of) == c.most })
		refused(post(one))
		post(other).want(t, http.StatusOK)
		for _, w := range open {
			_, _ = io.WriteString(w, c.body)
			w.Close()
		}
		for range open {
			if status := <-ended; status != http.StatusOK {
				t.Errorf("%s: status %d", c.path, status)
			}
		}
		eventually(t, "the end of "+c.path, func() bool { return running(c.of) == 0 })
		post(one).want(t, http.StatusOK)
	}
	if log := string(f.get(wire.PathMetrics).body); !strings.Contains(log, `dcann_http_limited_total{limit="concurrency"} 3`) {
		t.Error("the refusals are not counted")
	}
}

// TestBatchOfSlowLines: a sender that is never silent for long cannot hold its place for ever.
func TestBatchOfSlowLines(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{api: func(c *Config) { c.MaxBatchTime = 300 * time.Millisecond }})
	r, w := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			if _, err := io.WriteString(w, "1\n"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // it is slowness that is tried here
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+wire.PathBatch, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", wire.TypeNDJSON)
	res, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "within 300ms") {
		t.Errorf("status %d: %s", res.StatusCode, text)
	}
	r.Close()
	<-sent
}

// TestBatchOutlastsItsBody: once the body was read the time to send it is over, and its end must not be taken
// for the client's going away.
func TestBatchOutlastsItsBody(t *testing.T) {
	t.Parallel()
	cl := &faulty{}
	f := newServer(t, setting{
		api:    func(c *Config) { c.ReadTimeout = time.Second },
		raft:   func(c Cluster) Cluster { cl.Cluster = c; return cl },
		server: func(s *http.Server) { s.WriteTimeout = time.Second },
	})
	p, _ := f.passport()
	line := append(append([]byte{'"'}, p.sign(nil).Bytes()...), "\"\n"...)
	cl.delay = 2 * time.Second
	if got := ndjson[wire.BatchLine](t, f.post(wire.PathBatch, wire.TypeNDJSON, line).want(t, http.StatusOK).body); got[0].Status != http.StatusCreated {
		t.Errorf("a slow operation: %+v", got[0].Problem)
	}
	// Of a whole that is refused late the sender still hears.
	long := append(line, strings.Repeat("x", wire.MaxBatchLine+1)...)
	f.post(wire.PathBatch, wire.TypeNDJSON, long).problem(t, registry.TooLarge)
}
