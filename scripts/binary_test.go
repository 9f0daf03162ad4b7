package scripts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is where TestMain makes room for the binary; it is written before any test runs.
var built struct {
	dir  string
	once func() (string, error)
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "dcann-scripts-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built.dir = dir
	built.once = sync.OnceValues(func() (string, error) {
		path := filepath.Join(dir, "dcann")
		out, err := exec.Command("go", "build", "-o", path, "../cmd/dcann").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build dcann: %w\n%s", err, out)
		}
		return path, nil
	})
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// binary is the real program, built once for all tests that ask for it.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built.once()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startNode runs a node to try things on, on loopback, and returns its base URL and data directory. It is
// stopped with the test, and must stop in good order.
func startNode(t *testing.T) (url, data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "d")
	ready := filepath.Join(t.TempDir(), "ready.json")
	var log bytes.Buffer
	cmd := exec.Command(binary(t), "serve", "--dev", "--country", "xz", "--data", data,
		"--http", "127.0.0.1:0", "--admin", "off", "--ready-file", ready)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-gone:
			if err != nil {
				t.Errorf("the node ended with %v\n%s", err, log.String())
			}
		case <-time.After(90 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
			t.Errorf("the node did not stop within 90 s\n%s", log.String())
		}
	})
	deadline := time.After(60 * time.Second)
	for {
		var r struct {
			HTTP string `json:"http"`
		}
		if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, &r) == nil && r.HTTP != "" {
			return r.HTTP, data
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("the node ended before it was ready: %v\n%s", err, log.String())
		case <-deadline:
			t.Fatal("the node was not ready within 60 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// script runs a program and returns what it printed; it fails the test, with everything printed, if the
// program does.
func script(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// freePort is a port of this machine that nobody used a moment ago, for what cannot choose its own.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
