package api

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// The benchmarks measure over real connections on loopback, in alternating rounds in one process, and
// report ratios of medians (DESIGN 15). The client is as thin as can be, so that what differs is the server.

const (
	benchRounds      = 5
	benchRound       = 700 * time.Millisecond
	benchConnections = 32
)

// wireClient sends requests that were made before and reads answers by their length, or by chunks.
type wireClient struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(b testing.TB, address string) *wireClient {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	return &wireClient{conn, bufio.NewReaderSize(conn, 64<<10)}
}

// do sends request and returns the bytes of the body; an answer that is not 200 is an error.
func (c *wireClient) do(request []byte) (int, error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	status, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 20")) {
		return 0, fmt.Errorf("answered %s", status)
	}
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	if length >= 0 {
		return c.in.Discard(length)
	}
	return c.chunks()
}

func (c *wireClient) chunks() (total int, err error) {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return total, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return total, err
		}
		if _, err := c.in.Discard(int(n) + 2); err != nil || n == 0 {
			return total, err
		}
		total += int(n)
	}
}

// rate is how many requests a second the server at address answers, and how many in a second of this
// process's processor time, which a busy machine does not change; pick makes the next request.
func rate(b testing.TB, address string, connections int, pick func(*rand.Rand) []byte) (perSecond, perCPU float64) {
	var done sync.WaitGroup
	counts := make([]int, connections)
	stop := time.Now().Add(benchRound)
	start, used := time.Now(), processorTime(b)
	for i := range counts {
		done.Go(func() {
			c := dial(b, address)
			defer c.conn.Close()
			r := rand.New(rand.NewPCG(uint64(i), uint64(start.UnixNano())))
			for time.Now().Before(stop) {
				if _, err := c.do(pick(r)); err != nil {
					b.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	done.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(start).Seconds(), float64(total) / (processorTime(b) - used).Seconds()
}

func processorTime(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// series is what alternating rounds measured of one server.
type series struct{ second, cpu []float64 }

func (s *series) round(b testing.TB, address string, connections int, pick func(*rand.Rand) []byte) {
	second, cpu := rate(b, address, connections, pick)
	s.second, s.cpu = append(s.second, second), append(s.cpu, cpu)
}

// compare reports what ours does, what theirs does, and the ratios of both measures; a request of ours counts n.
func compare(b *testing.B, ours, theirs *series, n float64) {
	b.ReportMetric(n*median(ours.second), "ours/s")
	b.ReportMetric(median(theirs.second), "theirs/s")
	b.ReportMetric(n*median(ours.second)/median(theirs.second), "ratio")
	b.ReportMetric(n*median(ours.cpu)/median(theirs.cpu), "cpu-ratio")
	b.ReportMetric(0, "ns/op")
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// bareServer answers every request of resolving with the same bytes and headers, on echo, without looking
// anything up: the reference of DESIGN 15.
func bareServer(b testing.TB, sample answer, config *http.Server) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	config.Handler = bareHandler(sample)
	var serving sync.WaitGroup
	serving.Go(func() { _ = config.Serve(l) })
	b.Cleanup(func() { _ = config.Close(); serving.Wait() })
	return l.Addr().String()
}

func bareHandler(sample answer) http.Handler {
	e := echo.New()
	body := sample.body
	values := map[string][]string{}
	for name, v := range sample.Header {
		if name != "Date" && (name != "Content-Length" || len(body) > measured) { // net/http adds them
			values[name] = v
		}
	}
	e.GET(wire.PathIdentifiers+"*", func(c echo.Context) error {
		h := c.Response().Header()
		for name, v := range values {
			h[name] = v
		}
		c.Response().WriteHeader(http.StatusOK)
		_, err := c.Response().Write(body)
		return err
	})
	return e
}

// population makes n passports with a strand each by their own operations, through the API's batch.
func population(f *fixture, n int) []registry.ID {
	f.Helper()
	provider := f.provider("https://vault.example/")
	ids := make([]registry.ID, 0, n)
	for len(ids) < n {
		part := make([]string, min(1000, n-len(ids)))
		base := len(ids)
		ids = append(ids, make([]registry.ID, len(part))...)
		var making sync.WaitGroup
		for w := range 4 {
			making.Go(func() {
				for i := w; i < len(part); i += 4 {
					op := draft(f, provider)
					ids[base+i] = op.ID
					line, err := json.Marshal(string(op.Bytes()))
					if err != nil {
						f.Error(err)
					}
					part[i] = string(line)
				}
			})
		}
		making.Wait()
		a := f.post(wire.PathBatch, wire.TypeNDJSON, []byte(strings.Join(part, "\n"))).want(f, 200)
		if bad := bytes.Count(a.body, []byte(`"problem"`)); bad > 0 {
			f.Fatalf("%d operations of a batch failed: %.300s", bad, a.body)
		}
	}
	return ids
}

func draft(f *fixture, provider *party) *registry.Operation {
	p := &party{f: f, rotation: []jws.PrivateKey{newKey(f)}}
	p.record = registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{p.rotation[0].Public().Multikey()},
		Keys: []registry.Key{{ID: "grant-1", Key: newKey(f).Public().Multikey(), Use: []registry.Use{registry.UseGrant}}}}
	d, err := registry.NewDisclosure(registry.Strand{ID: "purchases", Provider: provider.id, Path: "s/8f3c", Visibility: registry.Public, Class: []string{dpvClass}})
	if err != nil {
		f.Fatal(err)
	}
	p.record.Strands = registry.PadStrands([]registry.Digest{d.Digest})
	return p.sign(nil, d)
}

func requests(format string, ids []registry.ID) [][]byte {
	out := make([][]byte, len(ids))
	for i, id := range ids {
		out[i] = fmt.Appendf(nil, "GET "+format+" HTTP/1.1\r\nHost: localhost\r\n\r\n", id)
	}
	return out
}

// warm sends every request once.
func warm(b testing.TB, address string, all [][]byte) {
	c := dial(b, address)
	defer c.conn.Close()
	for _, r := range all {
		if _, err := c.do(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHotResolve: resolving 10,000 identifiers by Zipf's law against the bare handler.
func BenchmarkHotResolve(b *testing.B) {
	f := newServer(b, setting{})
	ids := population(f, size(10_000))
	address := strings.TrimPrefix(f.url, "http://")
	sample := f.get(wire.PathIdentifiers+string(ids[0])).want(b, 200)
	bare := bareServer(b, sample, f.HTTPServer())
	all := requests(wire.PathIdentifiers+"%s", ids)
	order := make([]int, 1<<16)
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.07, 1, uint64(len(ids)-1))
	for i := range order {
		order[i] = int(z.Uint64())
	}
	pick := func(r *rand.Rand) []byte { return all[order[r.IntN(len(order))]] }
	warm(b, address, all)
	warm(b, address, all)
	for b.Loop() {
		var ours, theirs series
		for range benchRounds {
			ours.round(b, address, benchConnections, pick)
			theirs.round(b, bare, benchConnections, pick)
		}
		compare(b, &ours, &theirs, 1)
	}
}

// BenchmarkBatchResolve: identifiers a second in batches of 10,000 against single requests, hot and at random.
func BenchmarkBatchResolve(b *testing.B) {
	for name, cacheBytes := range map[string]int64{"hot": 0, "uncached": -1} {
		b.Run(name, func(b *testing.B) {
			f := newServer(b, setting{api: func(c *Config) { c.CacheBytes = cacheBytes }})
			ids := population(f, size(10_000))
			address := strings.TrimPrefix(f.url, "http://")
			all := requests(wire.PathIdentifiers+"%s", ids)
			single := func(r *rand.Rand) []byte { return all[r.IntN(len(all))] }
			var body bytes.Buffer
			for i := range wire.MaxResolve {
				fmt.Fprintf(&body, ",%q", ids[(i*7919)%len(ids)])
			}
			list := append([]byte("["), body.Bytes()[1:]...)
			list = append(list, ']')
			batch := append(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
				wire.PathResolve, wire.TypeJSON, len(list)), list...)
			for range 2 {
				warm(b, address, append(all, batch))
			}
			for b.Loop() {
				var one, many series
				for range benchRounds {
					one.round(b, address, benchConnections, single)
					many.round(b, address, 2, func(*rand.Rand) []byte { return batch })
				}
				compare(b, &many, &one, wire.MaxResolve)
			}
		})
	}
}

// discard is a response writer that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkHandler: what the hot path costs beyond echo, without HTTP around it.
func BenchmarkHandler(b *testing.B) {
	f := newServer(b, setting{})
	holder, _, _ := f.placed("https://vault.example/")
	path := wire.PathIdentifiers + string(holder.id)
	f.get(path)
	sample := f.get(path).want(b, 200)
	for name, h := range map[string]http.Handler{"ours": f.Handler(), "bare": bareHandler(sample)} {
		b.Run(name, func(b *testing.B) {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, f.url+path, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.RemoteAddr = "127.0.0.1:1"
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(&discard{make(http.Header)}, r)
			}
		})
	}
}

// BenchmarkRender: an answer that is not in the cache, without HTTP.
func BenchmarkRender(b *testing.B) {
	f := newServer(b, setting{})
	holder, _, _ := f.placed("https://vault.example/")
	v, err := f.store.Record(holder.id)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("state", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = f.store.Record(holder.id)
		}
	})
	b.Run("record", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			newRendered(200, valueJSON, nil, appendRecord(make([]byte, 0, sizeHint(v)), v, 1), v, 1)
		}
	})
	b.Run("resolution", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			renderResolution(asResolution, v, 1)
		}
	})
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		a := renderResolution(asResolution, v, 1)
		f.keep(holder.id, asResolution, a)
		for b.Loop() {
			if _, ok := f.cached(holder.id, asResolution); !ok {
				b.Fatal("not cached")
			}
		}
	})
}

// size is how many passports a benchmark makes; DCANN_BENCH_PASSPORTS sets it for runs of other sizes.
func size(def int) int {
	if n, err := strconv.Atoi(os.Getenv("DCANN_BENCH_PASSPORTS")); err == nil && n > 0 {
		return n
	}
	return def
}
