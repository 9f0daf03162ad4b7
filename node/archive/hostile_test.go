package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// refused fails unless b is refused as damaged, at that offset unless it is negative, and nothing is left of it.
func refused(t testing.TB, b []byte, offset int64, want string) {
	t.Helper()
	fs := vfs.NewMem()
	_, err := Receive(fs, bytes.NewReader(b), "to", Limits{}, nil)
	var damaged *DamagedError
	if !errors.As(err, &damaged) || !strings.Contains(err.Error(), want) || offset >= 0 && damaged.Offset != offset {
		t.Fatalf("got %v, want damage at %d and %q", err, offset, want)
	}
	nothing(t, fs, "to")
}

func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	for i := range b {
		for _, mask := range []byte{1, 0x80, 0xff} {
			c := bytes.Clone(b)
			c[i] ^= mask
			refused(t, c, -1, "damaged archive")
		}
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	for n := range b {
		refused(t, b[:n], -1, "it ends after")
	}
}

func TestExtended(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	refused(t, append(bytes.Clone(b), 0), int64(len(b)), "at least 1 bytes follow")
	refused(t, append(bytes.Clone(b), b...), int64(len(b)), "follow")
}

// The error says which file it is, and where.
func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	at := bytes.Index(b, []byte("second file"))
	c := bytes.Clone(b)
	c[at+3] ^= 1
	refused(t, c, int64(at), "file MANIFEST-000002")
	refused(t, b[:at+3], int64(at), "it ends after 3 bytes of this part: expected 11")
	refused(t, b[:at+13], int64(at+11), "it ends after 2 bytes of this part: expected 32")
	refused(t, b[:len(b)-1], int64(len(b)-32), "expected 32")
	refused(t, []byte("PK\x03\x04 this is something else"), 0, "expected \"dcann archive 1")
}

// framed makes an archive whose sums are all right, whatever the header says.
func framed(header string, files ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(header)))
	b = append(b, header...)
	sum := sha256.Sum256([]byte(header))
	b = append(b, sum[:]...)
	for _, f := range files {
		b = append(b, f...)
		sum = sha256.Sum256([]byte(f))
		b = append(b, sum[:]...)
	}
	sum = sha256.Sum256(b)
	return append(b, sum[:]...)
}

func headerJSON(files string) string {
	return `{"kind":"k","country":"","node":"","version":"","level":0,"index":0,"term":0,"position":0,"stateHash":"",` +
		`"configuration":"","configurationIndex":0,"created":"2026-01-01T00:00:00Z","files":[` + files + `]}`
}

func TestHostileHeaders(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	_, err := Receive(fs, bytes.NewReader(framed(headerJSON(`{"name":"a","size":1},{"name":"b","size":0}`), "x", "")), "to", Limits{}, nil)
	must(t, err) // so what is refused below is for what it says
	h, err := Receive(fs, bytes.NewReader(framed(strings.Replace(headerJSON(`{"name":"a","size":1},{"name":"b","size":0}`), `"files"`, `"asOf":"2026-01-01T00:00:00Z","files"`, 1), "x", "")), "stale", Limits{}, nil)
	must(t, err)
	if h.AsOf == nil || h.AsOf.Year() != 2026 {
		t.Errorf("asOf is %v: expected the 1st of January 2026", h.AsOf)
	}
	file := func(name string, size any) string {
		return headerJSON(fmt.Sprintf(`{"name":%q,"size":%v}`, name, size))
	}
	for name, header := range map[string]string{
		"parent": file("..", 1), "here": file(".", 1), "empty name": file("", 1), "path": file("../x", 1), "absolute": file("/x", 1),
		"backslash": file(`..\\x`, 1), "nul": headerJSON(`{"name":"a\u0000","size":1}`), "unicode": file("ä", 1),
		"long name":            file(strings.Repeat("a", 129), 1),
		"twice":                headerJSON(`{"name":"a","size":1},{"name":"a","size":1}`),
		"order":                headerJSON(`{"name":"b","size":1},{"name":"a","size":1}`),
		"negative":             file("a", -1),
		"fraction":             file("a", 1.5),
		"too large":            file("a", "9223372036854775808"),
		"sum overflows":        headerJSON(fmt.Sprintf(`{"name":"a","size":%d},{"name":"b","size":%d}`, math.MaxInt64/2, math.MaxInt64/2)),
		"unknown member":       strings.Replace(headerJSON(""), `{"kind"`, `{"more":1,"kind"`, 1),
		"missing member":       strings.Replace(headerJSON(""), `"kind":"k",`, ``, 1),
		"duplicate member":     strings.Replace(headerJSON(""), `"kind":"k",`, `"kind":"k","kind":"k",`, 1),
		"space":                headerJSON("") + " ",
		"null":                 strings.Replace(headerJSON(""), `[]`, `null`, 1),
		"time zone":            strings.Replace(headerJSON(""), `00Z`, `00+02:00`, 1),
		"another zone of asOf": strings.Replace(headerJSON(""), `"files"`, `"asOf":"2026-01-01T00:00:00+02:00","files"`, 1),
		"asOf that is null":    strings.Replace(headerJSON(""), `"files"`, `"asOf":null,"files"`, 1),
		"long kind":            strings.Replace(headerJSON(""), `"k"`, `"`+strings.Repeat("k", 33)+`"`, 1),
		"no object":            `[]`,
		"nothing":              ``,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, framed(header, "x", "x"), -1, "header")
		})
	}
}

// A length that is not true costs no memory, and a header that promises much no more than what comes.
func TestUntrueSizes(t *testing.T) {
	t.Parallel()
	b := binary.BigEndian.AppendUint32([]byte(magic), math.MaxUint32)
	refused(t, b, int64(len(magic)), "4294967295 bytes")
	refused(t, framed(headerJSON(fmt.Sprintf(`{"name":"a","size":%d}`, int64(math.MaxInt64/2))), "x"), -1, "it ends after")
	b = binary.BigEndian.AppendUint32([]byte(magic), MaxHeader)
	r := NewReceiver(vfs.NewMem(), "to", Limits{}, nil)
	_, err := r.Write(b)
	must(t, err)
	if cap(r.field) > 1024 {
		t.Errorf("%d bytes wait for a header of which nothing came", cap(r.field))
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := archived(t, small()) // 14 bytes of files
	for name, c := range map[string]struct {
		limit Limits
		free  uint64
		ok    bool
	}{
		"space": {Limits{}, 14, true}, "no space": {Limits{}, 13, false}, "reserve": {Limits{Reserve: 1}, 15, true}, "no reserve": {Limits{Reserve: 1}, 14, false},
		"less than the reserve": {Limits{Reserve: 20}, 14, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: c.free, TotalBytes: 1000})
			_, err := Receive(fs, bytes.NewReader(b), "to", c.limit, nil)
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				nothing(t, fs, "to")
			}
		})
	}
}

func TestDestination(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	fs := vfs.NewMem()
	put(t, fs, "to", map[string]string{"mine": "x"})
	if _, err := Receive(fs, bytes.NewReader(b), "to", Limits{}, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	if got := get(t, fs, "to"); len(got) != 1 {
		t.Errorf("what was there is %v", got)
	}
	if _, err := Receive(fs, bytes.NewReader(b), "no/where", Limits{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no parent: %v", err)
	}
	put(t, fs, "new.partial", map[string]string{"stale": "x"})
	_, err := Receive(fs, bytes.NewReader(b), "new", Limits{}, nil)
	must(t, err)
	if got := get(t, fs, "new"); len(got) != 3 {
		t.Errorf("a stale file came along: %v", got)
	}
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	fs := vfs.NewMem()
	r := NewReceiver(fs, "to", Limits{}, nil)
	_, err := r.Write(b[:len(b)-40])
	must(t, err)
	r.Abort()
	r.Abort()
	nothing(t, fs, "to")
	if _, err := r.Write(b); err == nil {
		t.Error("it writes after Abort")
	}
	if _, err := r.Finish(); err == nil {
		t.Error("it finishes after Abort")
	}
	r = NewReceiver(fs, "to", Limits{}, nil)
	b[len(b)-1] ^= 1
	_, first := r.Write(b)
	_, again := r.Write(b)
	_, last := r.Finish()
	if first == nil || !errors.Is(again, first) || !errors.Is(last, first) {
		t.Errorf("errors %v, %v, %v", first, again, last)
	}
	nothing(t, fs, "to")
}

// The reader's error comes through, and nothing stays.
func TestReadFails(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	broken := errors.New("connection reset")
	fs := vfs.NewMem()
	_, err := Receive(fs, io.MultiReader(bytes.NewReader(b[:len(b)-40]), failing{broken}), "to", Limits{}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	nothing(t, fs, "to")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A disk that refuses any one operation leaves nothing that looks received.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	for fail := 0; ; fail++ {
		n, mem := 0, vfs.NewMem()
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpRemoveAll {
				return nil
			}
			if n++; n == fail+1 {
				return syscall.ENOSPC
			}
			return nil
		}))
		h, err := Receive(fs, bytes.NewReader(b), "to", Limits{}, nil)
		if n <= fail { // all of them were tried
			must(t, err)
			if fail < 10 {
				t.Errorf("only %d operations", fail)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) || h.Files != nil {
			t.Fatalf("operation %d fails: %v", fail, err)
		}
		nothing(t, mem, "to")
	}
}

// A crash before any operation leaves the directory whole or not at all, and the next attempt passes.
func TestCrash(t *testing.T) {
	t.Parallel()
	b := archived(t, small())
	whole, absent := 0, 0
	for seed := range uint64(5) {
		mem := vfs.NewCrashableMem()
		must(t, mem.MkdirAll("data", 0o700))
		for _, dir := range []string{"/", "data"} {
			d, err := mem.OpenDir(dir)
			must(t, errors.Join(err, d.Sync(), d.Close()))
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		look := func() {
			fs := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed) * 25, RNG: rng})
			if _, err := fs.Stat("data/to"); err != nil {
				absent++
			} else if got := get(t, fs, "data/to"); fmt.Sprint(got) != fmt.Sprint(small()) {
				t.Errorf("a crash leaves %v", got)
			} else {
				whole++
			}
			_, err := Receive(fs, bytes.NewReader(b), "data/to", Limits{}, nil) // again, after the crash
			if err != nil && !errors.Is(err, os.ErrExist) {
				t.Errorf("after a crash: %v", err)
			}
		}
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				look()
			}
			return nil
		}))
		_, err := Receive(fs, bytes.NewReader(b), "data/to", Limits{}, nil)
		must(t, err)
		before := absent
		look()
		if absent != before {
			t.Error("what was received is not durable")
		}
	}
	if whole == 0 || absent == 0 {
		t.Errorf("%d crashes leave the directory and %d do not: expected some of both", whole, absent)
	}
}

// What is accepted is written again to the same bytes; nothing panics, and nothing is written elsewhere.
func FuzzReceive(f *testing.F) {
	whole := archived(f, small())
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(archived(f, map[string]string{}))
	f.Add(framed(headerJSON(`{"name":"..","size":1}`), "x"))
	f.Add(framed(headerJSON(`{"name":"a","size":1}`), "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, repaired(b)} {
			fs := vfs.NewMem()
			h, err := Receive(fs, bytes.NewReader(b), "to", Limits{}, nil)
			if err != nil {
				if names, err := fs.List(""); err != nil || len(names) != 0 {
					t.Fatalf("it leaves %v, %v", names, err)
				}
				continue
			}
			if names, err := fs.List(""); err != nil || len(names) != 1 {
				t.Fatalf("it leaves %v, %v", names, err)
			}
			src, err := New(fs, "to", h)
			must(t, err)
			var again bytes.Buffer
			_, err = src.WriteTo(&again)
			must(t, err)
			if !bytes.Equal(again.Bytes(), b) || src.Size() != int64(len(b)) {
				t.Fatalf("%q is written again as %q", b, again.Bytes())
			}
		}
	})
}

// repaired takes b for a header and one file, and puts right sums to it, so that fuzzing gets past them.
func repaired(b []byte) []byte {
	if len(b) < prefixLen {
		return b
	}
	n := int(binary.BigEndian.Uint32(b[len(magic):])) % (len(b) - prefixLen + 1)
	return framed(string(b[prefixLen:prefixLen+n]), string(b[prefixLen+n:]))
}

func BenchmarkSHA256(b *testing.B) {
	data := make([]byte, 16<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sha256.Sum256(data)
	}
}

func BenchmarkArchive(b *testing.B) {
	fs := vfs.NewMem()
	put(b, fs, "from", map[string]string{"a": string(make([]byte, 8<<20)), "b": string(make([]byte, 8<<20))})
	src, err := New(fs, "from", testHeader())
	must(b, err)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(src.Size())
		for b.Loop() {
			_, err := src.WriteTo(io.Discard)
			must(b, err)
		}
	})
	b.Run("receive", func(b *testing.B) {
		var stream bytes.Buffer
		_, err := src.WriteTo(&stream)
		must(b, err)
		dir := b.TempDir()
		b.SetBytes(src.Size())
		for b.Loop() {
			to := vfs.Default.PathJoin(dir, "to")
			_, err := Receive(vfs.Default, bytes.NewReader(stream.Bytes()), to, Limits{}, nil)
			must(b, err)
			must(b, os.RemoveAll(to))
		}
	})
}
