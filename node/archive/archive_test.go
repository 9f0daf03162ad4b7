package archive

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, fs vfs.FS, dir string, files map[string]string) {
	t.Helper()
	must(t, fs.MkdirAll(dir, 0o700))
	for name, text := range files {
		f, err := fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = f.Write([]byte(text))
		must(t, errors.Join(err, f.Sync(), f.Close()))
	}
}

func get(t testing.TB, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	files := make(map[string]string)
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(dir, name))
		must(t, err)
		b, err := io.ReadAll(f)
		must(t, errors.Join(err, f.Close()))
		files[name] = string(b)
	}
	return files
}

// nothing fails unless fs has neither dir nor what it was unpacked to.
func nothing(t testing.TB, fs vfs.FS, dir string) {
	t.Helper()
	for _, d := range []string{dir, dir + ".partial"} {
		if _, err := fs.Stat(d); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s is there: %v", d, err)
		}
	}
}

func testHeader() Header {
	return Header{Kind: "checkpoint", Country: "qm", Node: "n1", Version: "0.1.0", Level: 1, Index: 7, Term: 2, Position: 5,
		StateHash: strings.Repeat("ab", 32), Configuration: []byte{1, 2, 3}, ConfigurationIndex: 1,
		Created: time.Date(2026, 10, 1, 12, 0, 0, 5, time.UTC)}
}

func small() map[string]string {
	return map[string]string{"000001.sst": "one", "MANIFEST-000002": "second file", "empty": ""}
}

func archived(t testing.TB, files map[string]string) []byte {
	t.Helper()
	fs := vfs.NewMem()
	put(t, fs, "from", files)
	src, err := New(fs, "from", testHeader())
	must(t, err)
	var b bytes.Buffer
	n, err := src.WriteTo(&b)
	must(t, err)
	if n != src.Size() || n != int64(b.Len()) {
		t.Fatalf("wrote %d and %d bytes: Size is %d", n, b.Len(), src.Size())
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	long := make([]byte, 3*chunk+17)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(long)
	for name, files := range map[string]map[string]string{
		"none": {}, "one": {"a": "hello\n"}, "small": small(), "empty": {"a": "", "b": ""},
		"long": {"0": "x", "1": string(long), "2": string(long[:chunk])},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := archived(t, files)
			for name, r := range map[string]io.Reader{
				"whole": bytes.NewReader(b), "halves": iotest.HalfReader(bytes.NewReader(b)), "bytes": iotest.OneByteReader(bytes.NewReader(b)),
			} {
				fs := vfs.NewMem()
				var done, total int64
				h, err := Receive(fs, r, "to", Limits{}, func(d, n int64) { done, total = d, n })
				must(t, err)
				if got := get(t, fs, "to"); !reflect.DeepEqual(got, files) {
					t.Errorf("%s: the files differ", name)
				}
				want := testHeader()
				want.Files = h.Files
				if !reflect.DeepEqual(h, want) || len(h.Files) != len(files) {
					t.Errorf("%s: header %+v", name, h)
				}
				if done != int64(len(b)) || total != done {
					t.Errorf("%s: progress ends at %d of %d: expected %d", name, done, total, len(b))
				}
				nothing(t, fs, "to.partial")
			}
			if h, err := Verify(bytes.NewReader(b)); err != nil || h.Index != 7 || len(h.Files) != len(files) {
				t.Errorf("Verify: %+v, %v", h, err)
			}
		})
	}
}

// Each Reader reads the same, on its own.
func TestReader(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	put(t, fs, "from", small())
	src, err := New(fs, "from", testHeader())
	must(t, err)
	want := archived(t, small())
	half := src.Reader()
	_, err = io.CopyN(io.Discard, half, src.Size()-50)
	must(t, err)
	must(t, iotest.TestReader(src.Reader(), want))
	must(t, half.Close())
	if _, err := half.Read(make([]byte, 1)); err == nil {
		t.Error("a closed reader reads")
	}
}

// On the disk, with a Pebble checkpoint, which can be opened where it was received.
func TestPebbleCheckpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := pebble.Open(filepath.Join(dir, "db"), &pebble.Options{Logger: quiet{}})
	must(t, err)
	for i := range 1000 {
		must(t, db.Set(fmt.Appendf(nil, "key %d", i), bytes.Repeat([]byte{byte(i)}, 100), pebble.NoSync))
	}
	must(t, errors.Join(db.Flush(), db.Checkpoint(filepath.Join(dir, "checkpoint")), db.Close()))
	src, err := New(vfs.Default, filepath.Join(dir, "checkpoint"), testHeader())
	must(t, err)
	r := src.Reader()
	_, err = Receive(vfs.Default, r, filepath.Join(dir, "to"), Limits{}, nil)
	must(t, errors.Join(err, r.Close()))
	db, err = pebble.Open(filepath.Join(dir, "to"), &pebble.Options{Logger: quiet{}, ErrorIfNotExists: true})
	must(t, err)
	value, closer, err := db.Get([]byte("key 999"))
	must(t, err)
	if len(value) != 100 {
		t.Errorf("value of %d bytes", len(value))
	}
	must(t, errors.Join(closer.Close(), db.Close()))
}

type quiet struct{}

func (quiet) Infof(string, ...any)         {}
func (quiet) Errorf(string, ...any)        {}
func (quiet) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// The worked example of the package comment.
func TestExample(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	put(t, fs, "from", map[string]string{"a": "hi\n"})
	src, err := New(fs, "from", Header{Kind: "backup", Country: "qm", Node: "n1", Version: "0.1.0", Level: 1, Index: 9, Term: 2,
		Position: 6, StateHash: "00ff", Configuration: []byte("cfg"), ConfigurationIndex: 1, Created: time.Unix(1790000000, 0)})
	must(t, err)
	var b bytes.Buffer
	_, err = src.WriteTo(&b)
	must(t, err)
	doc, err := os.ReadFile("doc.go")
	must(t, err)
	var shown []byte
	for line := range strings.Lines(string(doc)) {
		if fields := strings.Split(strings.TrimSpace(line), "  "); strings.HasPrefix(line, "//\t0x") {
			if text, ok := strings.CutPrefix(fields[1], "'"); ok {
				shown = append(shown, strings.TrimSuffix(text, "'")...)
				continue
			}
			part, err := hex.DecodeString(strings.ReplaceAll(fields[1], " ", ""))
			must(t, err)
			shown = append(shown, part...)
		}
	}
	if !bytes.Equal(shown, b.Bytes()) {
		t.Errorf("doc.go shows %d bytes:\n%s\nthe archive has %d:\n%s", len(shown), hex.Dump(shown), b.Len(), hex.Dump(b.Bytes()))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files  map[string]string
		sub    bool
		header func(*Header)
		want   string
	}{
		"subdirectory": {sub: true, want: "not a regular file"},
		"odd name":     {files: map[string]string{"a b": ""}, want: "file name"},
		"long name":    {files: map[string]string{strings.Repeat("a", MaxName+1): ""}, want: "file name"},
		"long kind":    {header: func(h *Header) { h.Kind = strings.Repeat("k", MaxKind+1) }, want: "kind"},
		"long header":  {header: func(h *Header) { h.Configuration = make([]byte, MaxHeader) }, want: "header"},
		"no UTF-8":     {header: func(h *Header) { h.Node = "\xff" }, want: "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			put(t, fs, "from", c.files)
			if c.sub {
				must(t, fs.MkdirAll("from/sub", 0o700))
			}
			h := testHeader()
			if c.header != nil {
				c.header(&h)
			}
			if _, err := New(fs, "from", h); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %q", err, c.want)
			}
		})
	}
	if _, err := New(vfs.NewMem(), "nowhere", testHeader()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// A file that changes while it is archived is found.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"shorter": "o", "longer": "one more"} {
		fs := vfs.NewMem()
		put(t, fs, "from", small())
		src, err := New(fs, "from", testHeader())
		must(t, err)
		put(t, fs, "from", map[string]string{"000001.sst": text})
		if _, err := src.WriteTo(io.Discard); err == nil || !strings.Contains(err.Error(), "000001.sst") {
			t.Errorf("%s: %v", name, err)
		}
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for n := range small() {
			if !yield(n) {
				return
			}
		}
	})
	fs := vfs.NewMem()
	put(t, fs, "from", small())
	src, err := New(fs, "from", testHeader())
	must(t, err)
	must(t, fs.Remove("from/"+names[2]))
	if _, err := src.WriteTo(io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}
