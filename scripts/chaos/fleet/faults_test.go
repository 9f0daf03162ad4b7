package fleet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// possible is Possible, asked once for all tests.
var possible = sync.OnceValue(Possible)

// asRoot skips where the real thing cannot be had, loudly, and never where CI is set.
func asRoot(t *testing.T) {
	t.Helper()
	switch err := possible(); {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skipf("that cables and disks fail as they should is NOT tested: %v", err)
	}
}

// TestCut: what one node sends to another is lost, and only that.
func TestCut(t *testing.T) {
	t.Parallel()
	asRoot(t)
	n, err := newNamespaces(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	udp, err := net.ListenPacket("udp4", n.subnet+".254:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	// Node 1 hears on UDP and repeats what it hears to us, so that each direction is seen by itself.
	const script = `exec 3<>/dev/udp/%s; echo "$1" >&3`
	say := func(from int, to, word string) {
		t.Helper()
		argv := n.command(from, []string{"bash", "-c", fmt.Sprintf(script, strings.Replace(to, ":", "/", 1)), "bash", word})
		_ = exec.Command(argv[0], argv[1:]...).Run()
	}
	ears := n.command(1, []string{os.Args[0], "-test.run", "^TestEars$"})
	cmd := exec.Command(ears[0], ears[1:]...)
	cmd.Env = append(os.Environ(), "CHAOS_EARS="+n.ip(1)+":9000", "CHAOS_REPEAT="+udp.LocalAddr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	heard := func(word string, within time.Duration) bool {
		buf := make([]byte, 100)
		deadline := time.Now().Add(within)
		for {
			_ = udp.SetReadDeadline(deadline)
			k, _, err := udp.ReadFrom(buf)
			if err != nil {
				return false
			}
			if strings.TrimSpace(string(buf[:k])) == word {
				return true
			}
		}
	}
	arrives := func(word string) bool {
		for range 100 {
			say(0, n.ip(1)+":9000", word)
			if heard(word, 100*time.Millisecond) {
				return true
			}
		}
		return false
	}
	if !arrives("before") {
		t.Fatal("nothing arrives on a whole cable")
	}
	if err := n.cut(0, 1); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		say(0, n.ip(1)+":9000", "lost")
	}
	if heard("lost", 300*time.Millisecond) {
		t.Error("a cut cable still carries")
	}
	if say(1, udp.LocalAddr().String(), "client"); !heard("client", 2*time.Second) {
		t.Error("a node that is cut off from another cannot reach clients")
	}
	if err := n.mend(0, 1); err != nil {
		t.Fatal(err)
	}
	if !arrives("after") {
		t.Error("a mended cable does not carry")
	}
}

// TestEars is no test but the node that TestCut talks to.
func TestEars(t *testing.T) {
	if os.Getenv("CHAOS_EARS") == "" {
		t.Skip("run by TestCut")
	}
	in, err := net.ListenPacket("udp4", os.Getenv("CHAOS_EARS"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp4", os.Getenv("CHAOS_REPEAT"))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for {
		k, _, err := in.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = out.Write(buf[:k])
	}
}

func testDisk(t *testing.T) *disk {
	t.Helper()
	asRoot(t)
	dir := t.TempDir()
	mount := filepath.Join(dir, "m")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := newDisk(mount, filepath.Join(dir, "i"), diskSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestPowerCut: what was synced is there afterwards, and what was not is gone.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	d := testDisk(t)
	for name, sync := range map[string]bool{"kept": true, "gone": false} {
		f, err := os.Create(filepath.Join(d.mount, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
		if sync {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.powerCut(); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(filepath.Join(d.mount, "kept")); err != nil || len(kept) != 5000 {
		t.Errorf("a synced file has %d bytes: %v", len(kept), err)
	}
	if gone, err := os.ReadFile(filepath.Join(d.mount, "gone")); err == nil && len(gone) > 0 {
		t.Errorf("a file that was not synced has %d bytes after a power cut", len(gone))
	}
}

// TestPowerCutWhileHeld: after a power cut the file system can be written even if somebody held the one before for a
// moment longer, so that the kernel would give that again, in which every call fails.
func TestPowerCutWhileHeld(t *testing.T) {
	t.Parallel()
	d := testDisk(t)
	held := filepath.Join(t.TempDir(), "held")
	if err := os.Mkdir(held, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(d.mount, held, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() {
		time.Sleep(200 * time.Millisecond) // power is cut in far less
		released <- unix.Unmount(held, 0)
	}()
	err := d.powerCut()
	if err := errors.Join(err, <-released); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.mount, "new"), []byte("x"), 0o600); err != nil {
		t.Errorf("after the power cut: %v", err)
	}
}

// TestFreezeAndFill: writes wait, and fail for lack of space.
func TestFreezeAndFill(t *testing.T) {
	t.Parallel()
	d := testDisk(t)
	written := make(chan error, 1)
	if err := d.freeze(); err != nil {
		t.Fatal(err)
	}
	go func() { written <- os.WriteFile(filepath.Join(d.mount, "late"), []byte("x"), 0o600) }()
	select {
	case err := <-written:
		t.Errorf("a frozen disk takes writes: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := d.thaw(); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Errorf("a write that waited for a frozen disk: %v", err)
	}
	if err := d.fill(0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.mount, "more"), make([]byte, 4<<20), 0o600); err == nil {
		t.Error("a full disk takes 4 MiB")
	}
	if err := d.free(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.mount, "more"), make([]byte, 4<<20), 0o600); err != nil {
		t.Errorf("after the ballast is gone: %v", err)
	}
	if err := d.powerCut(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.ballast()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a power cut brought the ballast back: %v", err)
	}
}
