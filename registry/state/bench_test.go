package state

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

// synthetic makes create operations of the usual form, a strand in a record padded to 8 digests, without
// signing them: Apply relies on the proposer for that. The entropy is that of real ones.
type synthetic struct {
	rng       *rand.ChaCha8
	providers []registry.ID
	iat       int64
}

func (g *synthetic) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = g.rng.Read(b)
	return b
}

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

func (g *synthetic) key() string {
	b := g.bytes(44)
	for i := range b {
		b[i] = base58[b[i]%58]
	}
	return "z6Mk" + string(b)
}

func (g *synthetic) create() []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	signer := g.key()
	n := binary.LittleEndian.Uint64(g.bytes(8))
	plain := fmt.Sprintf(`["%s",{"id":"purchases","provider":"%s","path":"s/%08x","visibility":"public","class":["%s"],"tags":["frequent-flyer"]}]`,
		b64(g.bytes(16)), g.providers[n%uint64(len(g.providers))], uint32(n>>8), purchases)
	text := b64([]byte(plain))
	sum := sha256.Sum256([]byte(text))
	ds := []string{b64(sum[:])}
	for range 7 {
		ds = append(ds, b64(g.bytes(32)))
	}
	slices.Sort(ds)
	for i := range ds {
		ds[i] = `{"...":"` + ds[i] + `"}`
	}
	payload := fmt.Sprintf(`{"v":1,"act":"create","country":"%s","seq":0,"iat":%d,"record":{"kind":"passport","rotation":["%s","%s"],"keys":[{"id":"grant-1","key":"%s","use":["grant"]},{"id":"auth-1","key":"%s","use":["auth"]}],"strands":[%s]}}`,
		testCountry, g.iat, signer, g.key(), g.key(), g.key(), strings.Join(ds, ","))
	header := `{"alg":"Ed25519","kid":"` + signer + `","typ":"dcann-op+sd-jwt"}`
	return []byte(jws.FromParts([]byte(header), []byte(payload), g.bytes(64)).Compact() + "~" + text + "~")
}

// fill applies n synthetic creates in batches of 256 and returns every step-th identifier.
func (w *world) fill(n, step int, seed byte) (ids []registry.ID) {
	g := &synthetic{rng: rand.NewChaCha8([32]byte{seed}), iat: w.now.Unix()}
	for i := range 50 {
		g.providers = append(g.providers, w.provider("Vault "+strconv.Itoa(i)).id)
	}
	for done := 0; done < n; {
		var commands []Command
		for range min(256, n-done) {
			raw := g.create()
			if done%step == 0 {
				first, _, _ := strings.Cut(string(raw), "~")
				ids = append(ids, registry.NewID(testCountry, registry.OpID(jws.NameOf([]byte(first[:strings.LastIndexByte(first, '.')])))))
			}
			commands = append(commands, Command{Type: OperationCommand, Bytes: raw})
			done++
		}
		w.now += 25
		w.log = nil
		for _, r := range w.propose(commands...) {
			must(w.t, r.Err)
		}
	}
	return ids
}

// processor reports the processor time of the whole process per operation, which other processes do not
// change; what Pebble does in the background is in it.
func processor(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// benchRows is how many passports the benchmarks of a large state have.
func benchRows(b *testing.B, def int) int {
	if n, err := strconv.Atoi(os.Getenv("DCANN_BENCH_PASSPORTS")); err == nil {
		return n
	}
	return def
}

func BenchmarkApplyCreates(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "state"), Options{})
	must(b, err)
	defer s.Close()
	w := bareWorld(b, s)
	w.fill(1, 1, 1)
	g := &synthetic{rng: rand.NewChaCha8([32]byte{2}), iat: w.now.Unix(), providers: []registry.ID{w.anyProvider()}}
	const size = 256
	var entries []Entry
	for range (b.N + size - 1) / size {
		batch := Batch{Time: w.now}
		for range size {
			batch.Commands = append(batch.Commands, Command{Type: OperationCommand, Bytes: g.create()})
		}
		w.index++
		batch.Seed = seedOf(w.index)
		data, err := batch.Encode()
		must(b, err)
		entries = append(entries, Entry{Index: w.index, Term: 1, Data: data})
	}
	b.ReportAllocs()
	b.ResetTimer()
	defer processor(b)()
	for chunk := range slices.Chunk(entries, 4) {
		_, err := s.ApplyBatch(chunk)
		must(b, err)
	}
	b.ReportMetric(float64(len(entries)*size)/b.Elapsed().Seconds(), "creates/s")
}

func (w *world) anyProvider() registry.ID {
	views, _, err := w.s.Organisations(OrganisationQuery{Limit: 1})
	must(w.t, err)
	return views[0].ID
}

// BenchmarkDisk reports the bytes on disk per passport with one strand, create only, after compaction.
func BenchmarkDisk(b *testing.B) {
	for range b.N {
		s, err := Open(filepath.Join(b.TempDir(), "state"), Options{})
		must(b, err)
		w := bareWorld(b, s)
		n := benchRows(b, 100_000)
		w.fill(n, n, 3)
		must(b, s.Flush())
		must(b, s.db.Compact(b.Context(), []byte{0}, []byte{0xff}, true))
		must(b, s.waitDeleted(b.Context()))
		b.ReportMetric(float64(s.Metrics().DiskBytes)/float64(n), "B/passport")
		must(b, s.Close())
	}
}

func BenchmarkRecord(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "state"), Options{})
	must(b, err)
	defer s.Close()
	w := bareWorld(b, s)
	n := benchRows(b, 200_000)
	ids := w.fill(n, max(1, n/1_000_000), 4)
	must(b, s.Flush())
	for _, c := range []struct {
		name string
		of   int
	}{{"hot", 1000}, {"random", len(ids)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			defer processor(b)()
			rng := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				if _, err := s.Record(ids[rng.IntN(c.of)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("current", func(b *testing.B) {
		b.ReportAllocs()
		defer processor(b)()
		v, err := s.Record(ids[0])
		must(b, err)
		for b.Loop() {
			if !s.Current(v.Stamp) {
				b.Fatal("out of date")
			}
		}
	})
}

func BenchmarkCheckCreate(b *testing.B) {
	w := bareWorld(b, openMem(b, vfs.NewMem()))
	p := newPerson(b)
	op := w.op(p, registry.Create, 0, "", p.record())
	b.ReportAllocs()
	defer processor(b)()
	for b.Loop() {
		_, _, err := w.s.CheckOperation(op, w.now)
		must(b, err)
	}
}
