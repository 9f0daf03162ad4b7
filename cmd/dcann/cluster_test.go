package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dcann/dcann/node/archive"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

// operate runs one command against a handler that stands in for a node's operator's address.
func operate(t *testing.T, handler http.Handler, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	node := httptest.NewServer(handler)
	t.Cleanup(node.Close)
	var out, said bytes.Buffer
	args = append(args, "--admin", strings.TrimPrefix(node.URL, "http://"))
	code = run(t.Context(), args, strings.NewReader(""), &out, &said, nil)
	return code, out.String(), said.String()
}

func TestLevelFor(t *testing.T) {
	t.Parallel()
	millis := func(d time.Duration) *int64 { n := d.Milliseconds(); return &n }
	leader := cluster.NodeStatus{Name: "n1", Leader: true, MaxLevel: 3, Version: "v3"}
	for name, test := range map[string]struct {
		o     cluster.Overview
		level uint32
		says  string // of the limit, or of the error
		fails bool
	}{
		"all know more": {cluster.Overview{Leader: "n1", Level: 1, Nodes: []cluster.NodeStatus{leader, {Name: "n2", MaxLevel: 3, Heard: millis(time.Second)}}},
			3, "all members know no higher one", false},
		"one holds it back": {cluster.Overview{Leader: "n1", Level: 1, Nodes: []cluster.NodeStatus{leader, {Name: "n2", MaxLevel: 2, Version: "v2", Heard: millis(0)}}},
			2, "level 3 waits for a newer release on n2 (release v2)", false},
		"it does not fall": {cluster.Overview{Leader: "n1", Level: 3, Nodes: []cluster.NodeStatus{leader, {Name: "n2", MaxLevel: 2, Heard: millis(0)}}},
			3, "n2", false},
		"never heard":     {cluster.Overview{Leader: "n1", Level: 1, Nodes: []cluster.NodeStatus{leader, {Name: "n2", MaxLevel: 3}}}, 0, "not heard lately: n2", true},
		"not heard again": {cluster.Overview{Leader: "n1", Level: 1, Nodes: []cluster.NodeStatus{leader, {Name: "n2", MaxLevel: 3, Heard: millis(time.Hour)}}}, 0, "remove n2", true},
		"down since a moment": {cluster.Overview{Leader: "n1", Level: 3, Nodes: []cluster.NodeStatus{leader, {Name: "n2", MaxLevel: 3, Heard: millis(5 * time.Second)}, {Name: "n3", MaxLevel: 3}}},
			0, "not heard lately: n2, n3", true},
		"heard, not told": {cluster.Overview{Leader: "n1", Level: 1, Nodes: []cluster.NodeStatus{leader, {Name: "n2", Heard: millis(0)}}}, 0, "not heard lately: n2", true},
		"nobody leads":    {cluster.Overview{Node: "n2", Level: 1, Nodes: []cluster.NodeStatus{{Name: "n2", MaxLevel: 3}}}, 0, "nobody leads, as node n2 knows", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			level, limit, err := levelFor(test.o)
			if test.fails {
				if !errors.Is(err, registry.Unavailable) || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("%v: expected Unavailable that says %q", err, test.says)
				}
				return
			}
			if err != nil || level != test.level || !strings.Contains(limit, test.says) {
				t.Fatalf("level %d, %q, %v: expected %d, %q", level, limit, err, test.level, test.says)
			}
		})
	}
}

// TestClusterUpgradeRaises sees the level that is sent to the node.
func TestClusterUpgradeRaises(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cluster", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"node":"n1","leader":"n1","level":1,"nodes":[{"name":"n1","leader":true,"maxLevel":2},{"name":"n2","maxLevel":2,"heardMillis":5}]}`))
	})
	sent := ""
	mux.HandleFunc("POST /level", func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		sent = body.String()
		w.WriteHeader(http.StatusNoContent)
	})
	code, _, stderr := operate(t, mux, "cluster", "upgrade")
	if code != exitOK || sent != "2" || !strings.Contains(stderr, "the state has level 2, it was 1") {
		t.Fatalf("exit code %d, sent level %q: %s", code, sent, stderr)
	}
}

// TestClusterCheckDiffers tells a script by the exit code that a node differs.
func TestClusterCheckDiffers(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"index":7,"equal":false,"full":false,"nodes":[{"name":"n1","hash":"aa"},{"name":"n2","hash":"bb","problem":"differs from n1"}]}`))
	})
	code, stdout, stderr := operate(t, handler, "cluster", "check")
	if code != exitRefused || !strings.Contains(stdout, "n2           bb  differs from n1\nNOT EQUAL at index 7") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestBackupNotWhole leaves no file when what a node sends is cut off, or is no archive.
func TestBackupNotWhole(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent, promised int
		code           int
	}{
		"connection breaks off": {100, 5000, exitUnavailable},
		"not an archive":        {5000, 5000, exitRefused},
		"nothing":               {0, 0, exitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(test.promised))
				text := bytes.Repeat([]byte("x"), test.sent)
				copy(text, "dcann archive 1\n\x00\x00\x10\x00")
				_, _ = w.Write(text)
				if test.sent < test.promised {
					panic(http.ErrAbortHandler)
				}
			})
			code, stdout, stderr := operate(t, handler, "backup", "--to", filepath.Join(dir, "b"))
			if code != test.code || stdout != "" {
				t.Errorf("exit code %d: expected %d: %s%s", code, test.code, stdout, stderr)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 0 {
				t.Errorf("it leaves %v (%v)", left, err)
			}
		})
	}
}

// TestBackupCut refuses what is an archive but for its last byte, although it is as long as was promised.
func TestBackupCut(t *testing.T) {
	t.Parallel()
	from := filepath.Join(t.TempDir(), "from")
	if err := os.Mkdir(from, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "a"), bytes.Repeat([]byte("row"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := archive.New(vfs.Default, from, archive.Header{Kind: "backup", Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := src.WriteTo(&whole); err != nil {
		t.Fatal(err)
	}
	for cut, want := range map[int]int{0: exitOK, 1: exitRefused, 2000: exitRefused} {
		dir := t.TempDir()
		text := whole.Bytes()[:whole.Len()-cut]
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
		code, _, stderr := operate(t, handler, "backup", "--to", filepath.Join(dir, "b"))
		left, err := os.ReadDir(dir)
		if err != nil || code != want || (len(left) == 1) != (want == exitOK) {
			t.Errorf("without %d bytes: exit code %d, %v, %v: expected exit code %d: %s", cut, code, left, err, want, stderr)
		}
	}
}

// TestBackupInterrupted leaves no file either.
func TestBackupInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte("dcann archive 1\n"))
		_ = http.NewResponseController(w).Flush()
		interrupt()
		<-r.Context().Done()
	})
	node := httptest.NewServer(handler)
	t.Cleanup(node.Close)
	dir := t.TempDir()
	var out bytes.Buffer
	args := []string{"backup", "--admin", strings.TrimPrefix(node.URL, "http://"), "--to", filepath.Join(dir, "b")}
	if code := run(ctx, args, strings.NewReader(""), &out, &out, nil); code != exitUnavailable {
		t.Errorf("exit code %d: expected %d: %s", code, exitUnavailable, &out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v (%v)", left, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestRestoreInterrupted: a restore from a pipe whose other end is silent ends at the signal, and can be begun again.
func TestRestoreInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "node.yaml")
	if err := os.WriteFile(file, []byte("data: d\nmin-free: 1MiB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	silent := io.MultiReader(strings.NewReader("dcann archive 1\n"), readerFunc(func([]byte) (int, error) {
		interrupt()
		<-t.Context().Done() // for longer than the test
		return 0, io.EOF
	}))
	var out bytes.Buffer
	if code := run(ctx, []string{"restore", "--config", file, "-"}, silent, &out, &out, nil); code != exitUnavailable || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("exit code %d, expected %d: %s", code, exitUnavailable, &out)
	}
	out.Reset()
	run(t.Context(), []string{"restore", "--config", file, "-"}, strings.NewReader("dcann archive 1\n"), &out, &out, nil)
	if !strings.Contains(out.String(), "damaged archive") {
		t.Errorf("tried again: %s", &out)
	}
	left, err := filepath.Glob(filepath.Join(dir, "d", "*"))
	if err != nil || len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != "LOCK" {
		t.Errorf("it leaves %v (%v)", left, err)
	}
}

func TestByteCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1536: "1.5 KiB", 5 << 30: "5 GiB", 2 << 40: "2 TiB"} {
		if got := byteCount(n); got != want {
			t.Errorf("%d is %q: expected %q", n, got, want)
		}
	}
}

// TestProgress shows at most five lines a second, and takes the last one away.
func TestProgress(t *testing.T) {
	t.Parallel()
	var w bytes.Buffer
	now := time.Unix(0, 0)
	p := &progress{w: &w, what: "backup", now: func() time.Time { return now }}
	for i := range 11 {
		p.at(int64(i)<<20, 10<<20)
		now = now.Add(100 * time.Millisecond)
	}
	p.end()
	if n := strings.Count(w.String(), "backup:"); n != 6 || !strings.Contains(w.String(), "40 % of 10 MiB") || !strings.HasSuffix(w.String(), "\r\x1b[K") {
		t.Errorf("%d times: %q", n, w.String())
	}
}

func TestStatusShowsNoZerosForWhatIsUnknown(t *testing.T) {
	t.Parallel()
	now := int64(0)
	var out strings.Builder
	writeOverview(&out, cluster.Overview{Node: "n2", Term: 7, Level: 1, Nodes: []cluster.NodeStatus{
		{Name: "n1", Address: "a:1", Voter: true},
		{Name: "n2", Address: "a:2", Voter: true, Heard: &now, Applied: 9, Lag: 1, MaxLevel: 1, Version: "v1"},
		{Name: "r1", Address: "a:3"},
	}})
	want := `nobody leads in term 7, as node n2 knows: no majority of those that vote is in touch
NAME  ADDRESS  ROLE      APPLIED  LAG  HEARD  LEVEL  VERSION  HEALTHY
n1    a:1      voter     -        -    never  -      -        unknown
n2    a:2      voter     9        1    -      1      v1       unknown
r1    a:3      nonvoter  -        -    never  -      -        unknown
`
	if out.String() != want {
		t.Errorf("status is\n%s\nexpected\n%s", &out, want)
	}
}
