package api

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// TestProvidersMoveIsSeenAtOnce: the read after an acknowledged write shows it, in every rendering, while
// readers keep every rendering in the cache. Nothing is scanned: the answers are found out of date.
func TestProvidersMoveIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, provider, _ := f.placed("https://v0.example/")
	paths := map[string][]string{
		wire.RecordPath(holder.id):                               nil,
		wire.PathIdentifiers + string(holder.id):                 nil,
		wire.PathIdentifiers + string(holder.id) + "?":           {"Accept", wire.TypeDIDJSON},
		wire.PathIdentifiers + string(holder.id) + "%23strand-1": nil,
	}
	var stop atomic.Bool
	var readers sync.WaitGroup
	for path, header := range paths {
		readers.Go(func() {
			for !stop.Load() {
				f.get(path, header...)
			}
		})
	}
	batch := []byte(`["` + string(holder.id) + `"]`)
	for i := 1; i <= 60; i++ {
		moved := fmt.Sprintf("https://v%d.example/", i)
		provider.update(func(r *registry.Record) { r.Endpoints[0].URL = moved })
		for path, header := range paths {
			if a := f.get(path, header...); !bytes.Contains(a.body, []byte(moved)) {
				t.Fatalf("move %d: %s still shows %s", i, path, a.body)
			}
		}
		if a := f.post(wire.PathResolve, wire.TypeJSON, batch); !bytes.Contains(a.body, []byte(moved)) {
			t.Fatalf("move %d: a batch still shows %s", i, a.body)
		}
	}
	// The same for its standing.
	for _, c := range []struct {
		status registry.OrgStatus
		shown  bool
	}{{registry.OrgSuspended, false}, {registry.OrgActive, true}, {registry.OrgRevoked, false}} {
		provider.accredit(c.status)
		for path, header := range paths {
			if a := f.get(path, header...); bytes.Contains(a.body, []byte("https://v60.example/")) != c.shown {
				t.Fatalf("%s: %s shows %s", c.status, path, a.body)
			}
		}
	}
	stop.Store(true)
	readers.Wait()
}

func TestConditionalReads(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	holder, provider, _ := f.placed("https://v.example/")
	for _, path := range []string{wire.RecordPath(holder.id), wire.PathIdentifiers + string(holder.id)} {
		first := f.get(path).want(t, 200)
		tag := first.Header.Get("Etag")
		if tag == "" || !strings.Contains(first.Header.Get("Cache-Control"), "no-cache") || first.Header.Get("Dcann-Index") == "" || first.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("headers: %v", first.Header)
		}
		if _, sealed := first.Header["Dcann-Sealed"]; sealed {
			t.Error("a size is told of a log that is not published")
		}
		for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			a := f.get(path, "If-None-Match", match).want(t, http.StatusNotModified)
			if len(a.body) != 0 || a.Header.Get("Etag") != tag || a.Header.Get("Dcann-Index") == "" {
				t.Errorf("304: %q %v", a.body, a.Header)
			}
		}
		f.get(path, "If-None-Match", `"x"`).want(t, 200)
	}
	tag := f.get(wire.RecordPath(holder.id)).Header.Get("Etag")
	provider.accredit(registry.OrgSuspended)
	if a := f.get(wire.RecordPath(holder.id), "If-None-Match", tag).want(t, 200); a.Header.Get("Etag") == tag {
		t.Error("another answer has the same tag")
	}
}

// TestFinalAtPasses: an answer that names a moment is not given after it, cached or not.
func TestFinalAtPasses(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{policy: func(p *registry.Policy) { p.RecoveryWindow = 1 }})
	holder, _ := f.passport()
	weak := *holder
	weak.rotation = holder.rotation[1:]
	done := weak.send(weak.sign(nil))
	paths := []string{wire.RecordPath(holder.id), wire.PathIdentifiers + string(holder.id)}
	v, err := f.store.Record(holder.id)
	if err != nil || v.Seq != done.Seq || v.FinalAt == 0 {
		t.Fatalf("view %+v %v", v, err)
	}
	for _, path := range paths {
		a := f.get(path)
		if time.Now().Before(v.FinalAt.Time()) && !bytes.Contains(a.body, []byte("finalAt")) {
			t.Errorf("%s: %s says nothing of finalAt", path, a.body)
		}
	}
	for time.Now().UnixMilli() <= int64(v.FinalAt) {
		time.Sleep(5 * time.Millisecond)
	}
	for _, path := range paths {
		if a := f.get(path); bytes.Contains(a.body, []byte("finalAt")) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

// TestCacheIsUsed: what is asked for twice is kept, and what asks for no cache is rendered.
func TestCacheIsUsed(t *testing.T) {
	t.Parallel()
	f := newServer(t, setting{})
	p, _ := f.passport()
	path := wire.PathIdentifiers + string(p.id)
	counted := func(misses, hits int) {
		t.Helper()
		text := string(f.get(wire.PathMetrics).body)
		for result, n := range map[string]int{"miss": misses, "hit": hits} {
			if !strings.Contains(text, fmt.Sprintf("dcann_http_rendered_total{result=%q} %d\n", result, n)) {
				t.Errorf("expected %d %s", n, result)
			}
		}
	}
	f.get(path).want(t, 200)
	counted(1, 0)
	f.get(path).want(t, 200)
	counted(2, 0) // now it is kept
	f.get(path+"?noCache=true").want(t, 200)
	counted(2, 0)
	f.get(path).want(t, 200)
	counted(2, 1)
	p.update(nil)
	f.get(path).want(t, 200)
	counted(3, 1)
	f.get(path).want(t, 200)
	counted(3, 2)
	off := newServer(t, setting{api: func(c *Config) { c.CacheBytes = -1 }})
	q, _ := off.passport()
	for range 2 {
		off.get(wire.RecordPath(q.id)).want(t, 200)
	}
}
