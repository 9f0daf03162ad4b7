package scripts_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var nodeLine = regexp.MustCompile(`^  (n1|n2|n3|r1)  (http://\S+)  \(process (\d+)\)`)

// clusterRun is scripts/cluster.sh while it runs.
type clusterRun struct {
	urls map[string]string
	pids map[string]int
	stop func() int // by Ctrl-C; the exit code
}

func runCluster(t *testing.T, dir string, port int) clusterRun {
	t.Helper()
	cmd := exec.Command("bash", "cluster.sh", "-d", dir, "--base-port", strconv.Itoa(port))
	cmd.Env = append(os.Environ(), "DCANN_HTTP=127.0.0.1:1") // which is not for these nodes
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := clusterRun{urls: map[string]string{}, pids: map[string]int{}}
	said := make(chan string)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			said <- lines.Text()
		}
	}()
	ended := false
	r.stop = func() int {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGINT)
			overdue := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer overdue.Stop()
			for range said { // what it says must be read for it to end
			}
			_ = cmd.Wait()
		}
		return cmd.ProcessState.ExitCode()
	}
	t.Cleanup(func() { r.stop() })
	var all []string
	overdue := time.After(3 * time.Minute)
	for {
		select {
		case line, ok := <-said:
			if !ok {
				t.Fatalf("the script ended before all was ready:\n%s\n%s", strings.Join(all, "\n"), &stderr)
			}
			all = append(all, line)
			if m := nodeLine.FindStringSubmatch(line); m != nil {
				r.urls[m[1]] = m[2]
				r.pids[m[1]], _ = strconv.Atoi(m[3])
			}
			if !strings.HasPrefix(line, "Interrupt with") {
				continue
			}
			if len(r.urls) != 4 {
				t.Fatalf("the script named %v: expected four nodes:\n%s", r.urls, strings.Join(all, "\n"))
			}
			return r
		case <-overdue:
			t.Fatalf("the script is not ready after three minutes:\n%s\n%s", strings.Join(all, "\n"), &stderr)
		}
	}
}

// basePort is one whose ports for nodes are all free, and not among those that the system gives away.
func basePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		base := 10000 + rand.IntN(20000)
		free := true
		for _, offset := range []int{1, 2, 3, 4, 101, 102, 103, 104} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+offset))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// TestClusterScript starts the cluster as a reader of the README does, stops it, and finds everything again
// in the next run.
func TestClusterScript(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "dcann-cluster-") // a short path: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port := basePort(t)
	r := runCluster(t, dir, port)
	for name, url := range r.urls {
		if status := statusOf(t, url+"/readyz"); status != http.StatusOK {
			t.Errorf("node %s is not ready: %d", name, status)
		}
	}
	if want := fmt.Sprintf("http://127.0.0.1:%d", port+1); r.urls["n1"] != want {
		t.Errorf("n1 is at %s: expected %s", r.urls["n1"], want)
	}
	dcann := filepath.Join(dir, "bin", "dcann")
	key := filepath.Join(dir, "alice.pem")
	script(t, "", nil, dcann, "key", "new", "--out", key)
	id := strings.TrimSpace(script(t, "", nil, dcann, "--registry", r.urls["n2"], "passport", "create", "--rotation", key))
	deadline := time.Now().Add(90 * time.Second)
	for statusOf(t, r.urls["r1"]+"/v1/records/"+id) != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatal("the replica does not get what was written")
		}
		time.Sleep(20 * time.Millisecond)
	}
	status := script(t, "", nil, dcann, "cluster", "status", "--config", filepath.Join(dir, "cluster", "n3", "node.yaml"))
	if !regexp.MustCompile(`(?m)^r1 .* replica `).MatchString(status) {
		t.Errorf("no replica among the members:\n%s", status)
	}
	if code := r.stop(); code != 130 {
		t.Errorf("exit code %d after Ctrl-C: expected 130", code)
	}
	for name, pid := range r.pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("node %s, process %d, still runs after the script has ended", name, pid)
		}
	}
	again := runCluster(t, dir, port)
	if status := statusOf(t, again.urls["n3"]+"/v1/records/"+id); status != http.StatusOK {
		t.Errorf("status %d for a passport of the run before: expected 200", status)
	}
	again.stop()
}

// TestClusterScriptUsage refuses what it does not know, before it does anything.
func TestClusterScriptUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--port", "1"}, {"--base-port"}, {"--base-port", "x"}, {"--base-port", "65500"}, {"-d"}} {
		out, err := exec.Command("bash", append([]string{"cluster.sh"}, args...)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("cluster.sh %v: %v, expected exit code 2\n%s", args, err, out)
		}
	}
}

func statusOf(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
