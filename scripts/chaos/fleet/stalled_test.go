package fleet

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// stalledPatience bounds each thing that is waited for, on a machine that does much else.
const stalledPatience = 3 * time.Minute

func await(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(stalledPatience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) || ctx.Err() != nil {
			t.Fatalf("%s: it did not come in %v, or in the time that all tests have", what, stalledPatience)
		}
	}
}

// inTime ends while there is time left to take away what a test has made: go test ends without that.
func inTime(t *testing.T) context.Context {
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-time.Minute))
		t.Cleanup(cancel)
	}
	return ctx
}

// realNodes starts the founding members, each with a disk of its own.
func realNodes(ctx context.Context, t *testing.T, env ...string) *Fleet {
	t.Helper()
	dir, err := os.MkdirTemp("", "dcann-fleet.") // short, since sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "dcann")
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/dcann/dcann/cmd/dcann").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	f, err := New(ctx, Config{Binary: binary, Dir: dir, Disks: true, Env: env, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil { // it thaws before it waits for anybody
			t.Error(err)
		}
		for _, n := range f.VoterNodes() {
			if text, err := os.ReadFile(n.LogFile()); err == nil && t.Failed() {
				t.Logf("%s\n%s", n.Name, text)
			}
		}
	})
	for _, n := range f.VoterNodes() {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	f.awaitReady(ctx, t, f.VoterNodes()...)
	return f
}

func (f *Fleet) awaitReady(ctx context.Context, t *testing.T, nodes ...*Node) {
	t.Helper()
	for _, n := range nodes {
		await(ctx, t, n.Name+" is ready", func() bool { return n.Ready(ctx) })
	}
}

// create makes a passport at one of nodes, and tries again until it is acknowledged.
func create(ctx context.Context, nodes ...*Node) (registry.ID, error) {
	key, err := jws.GenerateKey(jws.Ed25519)
	if err != nil {
		return "", err
	}
	op, err := registry.Content{
		Act: registry.Create, Country: Country, Iat: time.Now().Unix(),
		Record: &registry.Record{Kind: registry.Passport, Rotation: []jws.Multikey{key.Public().Multikey()}, Strands: registry.PadStrands(nil)},
	}.Sign(key)
	if err != nil {
		return "", err
	}
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.URL())
	}
	c, err := client.New(strings.Join(urls, ","), client.Options{Retry: stalledPatience, Timeout: 5 * time.Second})
	if err != nil {
		return "", err
	}
	defer c.Close()
	_, err = c.Submit(ctx, op.Bytes())
	return op.ID, err
}

// holds expects everything in the newest state, asked at n.
func (n *Node) holds(ctx context.Context, ids []registry.ID) error {
	c, err := client.New(n.URL(), client.Options{Retry: stalledPatience, Consistency: wire.Linearizable})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, id := range ids {
		if _, err := c.Record(ctx, id); err != nil {
			return fmt.Errorf("%s: an acknowledged passport: %s: %w", n.Name, id, err)
		}
	}
	return nil
}

// ended reports whether all threads of the process have ended but those that wait in the kernel for the disk: these can
// be ended by nobody until it is well.
func (n *Node) ended() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return false
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil { // it ended this moment
			continue
		}
		_, after, _ := bytes.Cut(text, []byte(") ")) // no name of ours holds that
		if len(after) == 0 || !bytes.ContainsRune([]byte("ZXD"), rune(after[0])) {
			return false
		}
	}
	return true
}

// TestStalledDisk: the disk of the node that leads takes no write any more, and the node, which cannot even end in good
// order, is in nobody's way: others lead, it does not call itself ready, and its process ends, so that it is started
// again. When the disk is well, it comes back with all that was acknowledged.
func TestStalledDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("that a node ends whose disk hangs is NOT tested: left out by -short")
	}
	t.Parallel()
	asRoot(t)
	ctx := inTime(t)
	f := realNodes(ctx, t, "DCANN_SHUTDOWN_GRACE=1s")
	var ids []registry.ID
	more := func(nodes ...*Node) {
		t.Helper()
		for range 5 {
			id, err := create(ctx, nodes...)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
	}
	more(f.VoterNodes()...)
	var stalled *Node
	await(ctx, t, "a leader", func() bool { stalled, _ = f.Leader(ctx); return stalled != nil })
	var others []*Node
	for _, n := range f.VoterNodes() {
		if n != stalled {
			others = append(others, n)
		}
	}

	if err := stalled.FreezeDisk(); err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup // a leader that is asked for nothing writes nothing, and does not notice
	asking.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, _ = create(ctx, stalled)
	})
	defer asking.Wait()
	await(ctx, t, "the node whose disk hangs is not ready", func() bool { return !stalled.Ready(ctx) })
	more(others...)
	if stalled.Ready(ctx) {
		t.Errorf("%s calls itself ready, while its disk hangs and others lead", stalled.Name)
	}
	await(ctx, t, "the process is ended", func() bool {
		text, err := os.ReadFile(stalled.LogFile())
		return err == nil && bytes.Contains(text, []byte("its disk hangs: the process is ended"))
	})
	await(ctx, t, "nothing of the process runs any more", func() bool { return stalled.ended() || len(stalled.Exits()) > 0 })
	more(others...)

	if err := stalled.ThawDisk(); err != nil {
		t.Fatal(err)
	}
	const unavailable = "exit status 3"
	await(ctx, t, "the process is gone", func() bool { return len(stalled.Exits()) > 0 })
	if exits := stalled.Exits(); exits[unavailable] != 1 || len(exits) != 1 {
		t.Errorf("%s ended with %v: expected %s, once", stalled.Name, exits, unavailable)
	}
	f.awaitReady(ctx, t, f.VoterNodes()...)
	more(stalled)
	for _, n := range f.VoterNodes() {
		if err := n.holds(ctx, ids); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.NodeCommand(ctx, stalled, "check", "--full"); err != nil {
		t.Error(err)
	}
	for _, n := range others {
		if exits := n.Exits(); len(exits) > 0 {
			t.Errorf("%s ended too: %v", n.Name, exits)
		}
	}
}
