package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServiceManager starts a node as systemd does, and listens to what it says of itself.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "dcann-notify-") // a short path: it is a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	address := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	manager, err := net.ListenUnixgram(address.Net, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Close() })
	if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(dir, "ready")
	cmd := exec.Command("dcann", "serve", "--dev", "--data", filepath.Join(dir, "d"), "--http", "127.0.0.1:0", "--min-free", "1048576", "--ready-file", ready)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+address.Name, "WATCHDOG_USEC=90000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var said []string
	hear := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				t.Fatalf("no %s: %v; the node said %q", want, err, said)
			}
			said = append(said, string(buf[:n]))
			for line := range strings.Lines(string(buf[:n])) {
				if strings.TrimSpace(line) == want {
					return
				}
			}
		}
	}
	hear("READY=1")
	if _, err := os.Stat(ready); err != nil {
		t.Errorf("it was said to be ready before it was: %v", err)
	}
	for range 3 {
		hear("WATCHDOG=1")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, text := range said {
		if strings.Contains(text, "STOPPING=1") && text != said[len(said)-1] {
			t.Errorf("it was said to stop before it was asked to: %q", said)
		}
	}
}

// TestServiceManagerGone refuses to start for a service manager that could not hear it, which would wait.
func TestServiceManagerGone(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("dcann", "serve", "--dev", "--data", filepath.Join(t.TempDir(), "d"))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "none"))
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(string(out), "NOTIFY_SOCKET") {
		t.Fatalf("exit code %d (%v): expected %d, and what is wrong: %s", code, err, exitUsage, out)
	}
}
