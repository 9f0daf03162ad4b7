//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dcann/dcann/registry"
)

// smallDisk mounts a file system of some MiB. It needs root: elsewhere the test is skipped, loudly, but
// never where CI is set.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", mib))
	if err != nil {
		message := fmt.Sprintf("cannot mount a small file system (%v): a full disk is NOT tested; run as root", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk takes space until a number of bytes is left, and returns the file that holds it.
func fillDisk(t *testing.T, dir string, left int64) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); ; {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		free := int64(st.Bavail)*st.Bsize - left
		if free <= 0 {
			return path
		}
		if _, err := f.Write(chunk[:min(free, int64(len(chunk)))]); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				return path
			}
			t.Fatal(err)
		}
	}
}

// TestFullDisk: a node whose disk fills up refuses writes and says why, goes on answering, loses nothing
// that it acknowledged, and takes writes again when there is space, without being touched.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const minFree = 16 << 20
	dir := smallDisk(t, 96)
	data := filepath.Join(dir, "d")
	node := start(t, data, "--min-free", fmt.Sprint(minFree))
	var acks []acknowledged
	ack := func(a acknowledged) { acks = append(acks, a) }
	writes := func(node *process, n int) error {
		for range n {
			if err := write(t.Context(), node.client, 3, ack); err != nil {
				return err
			}
		}
		return nil
	}
	if err := writes(node, 20); err != nil {
		t.Fatal(err)
	}

	filler := fillDisk(t, dir, minFree/2)
	refusal := refused(t, func() error { return writes(node, 1) })
	if !errors.Is(refusal, registry.Unavailable) || !strings.Contains(refusal.Error(), "nearly full") {
		t.Fatalf("got %v: expected unavailable, and why", refusal)
	}
	expectUnavailable(t, node)
	node.verify(acks)

	// Others take the last byte, and the node is killed. It cannot be started then, and says why; with a
	// little space it answers again, and still refuses writes.
	fillDisk(t, dir, 0)
	node.verify(acks)
	node.stop(syscall.SIGKILL)
	var stderr strings.Builder
	args := []string{"serve", "--dev", "--data", data, "--http", "127.0.0.1:0", "--min-free", fmt.Sprint(minFree)}
	if code := run(t.Context(), args, strings.NewReader(""), io.Discard, &stderr, nil); code != exitUnavailable || !strings.Contains(stderr.String(), "make space") {
		t.Fatalf("started on a full disk: exit code %d, %s", code, &stderr)
	}
	if err := os.Truncate(filler, 0); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, dir, minFree*3/4)
	node = start(t, data, "--min-free", fmt.Sprint(minFree))
	node.verify(acks)
	if err := writes(node, 1); !errors.Is(err, registry.Unavailable) {
		t.Fatalf("got %v: expected unavailable", err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	heals(t, func() error { return writes(node, 1) })
	if err := writes(node, 20); err != nil {
		t.Fatalf("after the disk had space again: %v\n%s", err, &node.stderr)
	}
	node.verify(acks)
	node.stop(syscall.SIGKILL)
	start(t, data).verify(acks)
}

// refused calls try until it fails, since a node looks at its disk from time to time only.
func refused(t *testing.T, try func() error) error {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err := try(); err != nil {
			return err
		}
	}
	t.Fatal("a full disk is not noticed")
	return nil
}

// heals calls try until it succeeds.
func heals(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("still refused though there is space: %v", err)
}

// expectUnavailable looks at the answer itself: 503, when to come again, and not ready.
func expectUnavailable(t *testing.T, node *process) {
	t.Helper()
	key := newKey(t)
	op, err := registry.Content{Act: registry.Create, Country: "xz", Iat: time.Now().Unix(), Record: passportOf(key)}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(node.client.Base()+"/v1/operations", "application/sd-jwt", strings.NewReader(string(op.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a write is answered %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	ready, err := http.Get(node.client.Base() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Body.Close()
	if ready.StatusCode != http.StatusOK {
		t.Errorf("/readyz is answered %s: expected 200, since reads are answered", ready.Status)
	}
}
