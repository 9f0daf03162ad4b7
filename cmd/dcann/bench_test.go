package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
)

const benchTestProvider = registry.ID("did:dcann:xz:bciqaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

// What the generator writes by hand must be what the registry takes, signature included.
func TestBenchPassportsAreAccepted(t *testing.T) {
	t.Parallel()
	people := &benchPeople{seed: "test", country: "xz", provider: benchTestProvider}
	policy := registry.DefaultPolicy("xz")
	now := time.Now()
	seen := map[registry.ID]bool{}
	for n := range uint64(20) {
		raw, id := people.appendCreate(nil, n, now.Unix())
		op, err := registry.ParseOperation(raw)
		if err != nil {
			t.Fatalf("passport %d: %v\n%s", n, err, raw)
		}
		if op.ID != id || seen[id] {
			t.Errorf("passport %d: identifier %s, expected %s, never given before", n, id, op.ID)
		}
		seen[id] = true
		if _, err := (*registry.Lineage)(nil).Check(op, registry.Env{Now: registry.MillisOf(now), Policy: &policy}); err != nil {
			t.Errorf("passport %d: %v", n, err)
		}
		if len(op.Record.Rotation) != int(1+n%2) || len(op.Record.Strands) != 8 || len(op.Disclosures) != 1 {
			t.Errorf("passport %d: %d rotation keys, %d digests, %d disclosed", n, len(op.Record.Rotation), len(op.Record.Strands), len(op.Disclosures))
		}
		if got := people.digestOf(n); op.Disclosures[0].Digest != got || op.Disclosures[0].Strand.Provider != benchTestProvider {
			t.Errorf("passport %d: digest %s, expected %s", n, got, op.Disclosures[0].Digest)
		}
	}
}

func TestBenchKeysFollowFromTheSeed(t *testing.T) {
	t.Parallel()
	one := &benchPeople{seed: "1", country: "xz", provider: benchTestProvider}
	two := &benchPeople{seed: "2", country: "xz", provider: benchTestProvider}
	if !one.key('r', 7).Equal((&benchPeople{seed: "1"}).key('r', 7)) {
		t.Error("the same seed and number gave another key")
	}
	if one.key('r', 7).Equal(two.key('r', 7)) || one.key('r', 7).Equal(one.key('g', 7)) || one.key('r', 7).Equal(one.key('r', 8)) {
		t.Error("another seed, kind or number gave the same key")
	}
}

func TestLatencyHistogram(t *testing.T) {
	t.Parallel()
	var h, other latencyHistogram
	for i := 1; i <= 1000; i++ {
		part := &h
		if i%2 == 0 {
			part = &other
		}
		part.add(time.Duration(i) * time.Microsecond)
	}
	h.merge(&other)
	for q, want := range map[float64]float64{0: 1e3, 0.5: 501e3, 0.99: 991e3, 1: 1000e3} {
		if got := float64(h.quantile(q)); math.Abs(got-want)/want > 0.017 {
			t.Errorf("quantile %v is %.0f ns: expected %.0f within 1.6 %%", q, got, want)
		}
	}
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 1 << 20, 1<<30 + 12345} {
		if top := bucketTop(bucketOf(v)); top < v || float64(top-v) > float64(v)/64+1 {
			t.Errorf("%d is in a bucket that ends at %d", v, top)
		}
	}
	if new(latencyHistogram).quantile(0.5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
}

func TestBenchPick(t *testing.T) {
	t.Parallel()
	pick, err := newBenchPick(benchZipf, 50_000, 0)
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 50_000)
	const draws = 200_000
	for range draws {
		counts[pick.next()]++
	}
	// By Zipf's law the first of 10,000 gets 1/H(10000) = 10.2 % of all, the second half of that.
	for i, want := range []float64{0.1022, 0.0511, 0.0341} {
		if got := float64(counts[i]) / draws; math.Abs(got-want) > 0.005 {
			t.Errorf("identifier %d was chosen in %.4f of draws: expected %.4f", i, got, want)
		}
	}
	for i, n := range counts[benchHot:] {
		if n > 0 {
			t.Fatalf("identifier %d was chosen: expected none after the first %d", benchHot+i, benchHot)
		}
	}
	if _, err := newBenchPick("normal", 10, 0); err == nil {
		t.Error("an unknown distribution was taken")
	}
}

// loadWorker asks for paths by turns.
type loadWorker struct {
	target benchTarget
	paths  []string
	asked  *atomic.Int64
	most   int64
}

func (w *loadWorker) next() ([]byte, bool) {
	n := w.asked.Add(1) - 1
	if n >= w.most {
		return nil, false
	}
	return w.target.get(w.paths[n%int64(len(w.paths))]), true
}

func (*loadWorker) count(body []byte) (int, int) { return len(body), 1 }

func TestLoadCountsOnlySuccesses(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			io.WriteString(w, "12345")
		case "/chunks":
			for range 3 {
				fmt.Fprint(w, strings.Repeat("x", 7))
				w.(http.Flusher).Flush()
			}
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/problem":
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `{"type":"https://dcann.org/problems/conflict","title":"t","status":409}`)
		case "/broken":
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	target, err := parseBenchTarget(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/length", "/chunks", "/nothing", "/problem", "/broken"}
	var asked atomic.Int64
	load := benchLoad{target: target, conns: 3, worker: func(int) benchWorker {
		return &loadWorker{target: target, paths: paths, asked: &asked, most: 50}
	}}
	r := load.run(context.Background())
	if r.Requests != 30 || r.Items != 10*(5+21) || r.Bytes != 10*(5+21) || r.latency.n != 30 {
		t.Errorf("%d answered with %d items and %d bytes, %d latencies: expected 30, 260, 260, 30", r.Requests, r.Items, r.Bytes, r.latency.n)
	}
	if r.Errors["409 conflict"] != 10 || r.Errors["refused in a batch"] != 30 || len(r.Errors) != 3 {
		t.Errorf("errors %v: expected 10 conflicts, 30 refused items, 10 broken connections", r.Errors)
	}
}

// With a schedule, one slow answer must count for those that queued behind it.
func TestLoadKeepsItsSchedule(t *testing.T) {
	t.Parallel()
	l := benchLoad{rate: 1000}
	start := time.Now().Add(-time.Second)
	if got := l.waitTurn(time.Now(), start, 10); !got.Equal(start.Add(10 * time.Millisecond)) {
		t.Errorf("a late request counts from %v after the start: expected from when it was due", got.Sub(start))
	}
	future := time.Now()
	if got := l.waitTurn(future, future, 20); got.Sub(future) < 20*time.Millisecond {
		t.Errorf("the request went out %v after the start: expected at least 20ms", got.Sub(future))
	}
}

func TestFillResumesBeforeAGap(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ids")
	line := strings.Repeat("a", benchIDLine-1) + "\n"
	if err := os.WriteFile(path, []byte(line+line+strings.Repeat("\x00", benchIDLine)+line), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if n, err := (&fill{file: file}).resume(); n != 2 || err != nil {
		t.Errorf("resumes at %d, %v: expected 2, before the gap", n, err)
	}
}

func BenchmarkAppendCreate(b *testing.B) {
	people := &benchPeople{seed: "test", country: "xz", provider: benchTestProvider}
	var op []byte
	for n := uint64(0); b.Loop(); n++ {
		op, _ = people.appendCreate(op[:0], n, 1_795_000_000)
	}
	b.ReportMetric(float64(len(op)), "bytes/op")
}
