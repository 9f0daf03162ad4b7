package scripts_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

type loadReport struct {
	Passports, New, Accepted int // of fill
	Provider                 string
	Requests, Items          int // of the others
	Errors                   map[string]int
}

// TestBenchmarkTools drives a real node with the generator that the benchmarks use, and holds its reference
// to the node's own answer. How fast anything is, is none of its business.
func TestBenchmarkTools(t *testing.T) {
	t.Parallel()
	url, data := startNode(t)
	ids := filepath.Join(t.TempDir(), "ids")
	bench := func(args ...string) (r loadReport) {
		t.Helper()
		out := script(t, "", nil, binary(t), append([]string{"--registry", url, "-o", "json", "bench"}, args...)...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("bench %s printed %q: %v", strings.Join(args, " "), out, err)
		}
		if len(r.Errors) > 0 {
			t.Errorf("bench %s: %v", strings.Join(args, " "), r.Errors)
		}
		return r
	}
	key := filepath.Join(data, "accreditation.pem")
	first := bench("fill", "-n", "120", "--batch", "50", "--ids", ids, "--accept", "5", "--accreditation-key", key)
	if first.New != 120 || first.Accepted != 5 {
		t.Errorf("fill made %d passports and %d acceptances: expected 120 and 5", first.New, first.Accepted)
	}
	// It goes on where it was, with the same provider.
	again := bench("fill", "-n", "200", "--ids", ids, "--accreditation-key", key)
	if again.New != 80 || again.Passports != 200 || again.Provider != first.Provider {
		t.Errorf("fill went on with %d passports and provider %s: expected 80 and %s", again.New, again.Provider, first.Provider)
	}
	lines, err := os.ReadFile(ids)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(lines))
	if len(all) != 200 {
		t.Fatalf("%d identifiers in the file: expected 200", len(all))
	}
	if _, body := get(t, url+"/v1/records/"+all[3]); !strings.Contains(body, `"endpoint":"https://vault.example/`) {
		t.Errorf("an accepted strand of an accredited provider shows no endpoint: %s", body)
	}

	if r := bench("resolve", "--ids", ids, "--dist", "zipf", "--duration", "300ms", "--conns", "4"); r.Requests == 0 {
		t.Error("resolve: nothing was answered")
	}
	if r := bench("resolve", "--ids", ids, "--duration", "300ms", "--rate", "200", "--conns", "4"); r.Requests == 0 || r.Requests > 61 {
		t.Errorf("resolve at 200 a second for 0.3 s: %d answers", r.Requests)
	}
	if r := bench("batch", "--ids", ids, "--size", "150", "--duration", "300ms", "--conns", "2"); r.Items != 150*r.Requests {
		t.Errorf("batch: %d items in %d answers of 150", r.Items, r.Requests)
	}
	if r := bench("write", "--presign", "70", "--duration", "30s", "--conns", "4"); r.Requests != 70 {
		t.Errorf("write: %d of 70 operations were taken", r.Requests)
	}
	sample := filepath.Join(t.TempDir(), "created.http")
	script(t, "", nil, binary(t), "--registry", url, "bench", "write", "--presign", "1", "--sample", sample)
	checkReference(t, url, all[0], sample)
}

// checkReference starts the echo handler and compares what it writes with what the node writes.
func checkReference(t *testing.T, url, id, sample string) {
	t.Helper()
	echo := filepath.Join(t.TempDir(), "echo")
	script(t, "", nil, "go", "build", "-o", echo, "./bench/echo")
	cmd := exec.Command(echo, "-node", url, "-id", id, "-created", sample)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the reference ended with %v: %s", err, stderr.String())
		}
	})
	address := make([]byte, 100)
	n, err := out.Read(address)
	if err != nil {
		t.Fatalf("the reference said nothing: %v %s", err, stderr.String())
	}
	reference := strings.TrimSpace(string(address[:n]))
	wantHeader, want := get(t, url+"/1.0/identifiers/"+id)
	gotHeader, got := get(t, reference+"/1.0/identifiers/"+id)
	if got != want {
		t.Errorf("the reference answers\n%s\nand the node\n%s", got, want)
	}
	for name := range wantHeader {
		if gotHeader.Get(name) == "" {
			t.Errorf("the reference lacks the node's header %s", name)
		}
	}
	answer, err := http.Post(reference+"/v1/operations", "application/sd-jwt", strings.NewReader("anything~"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 201 || !strings.Contains(string(body), `"position":`) {
		t.Errorf("the reference answers a write with %d %s %v: expected the node's 201", answer.StatusCode, body, err)
	}
}

// TestBenchmarkReferenceOfThree runs bare Raft in three processes, twice: the second run goes on with the
// logs of the first, on other ports.
func TestBenchmarkReferenceOfThree(t *testing.T) {
	t.Parallel()
	reference, dir := filepath.Join(t.TempDir(), "raft"), t.TempDir()
	script(t, "", nil, "go", "build", "-o", reference, "./bench/raft")
	for _, inFlight := range []int{4, 1} {
		var r struct{ Operations, InFlight, EntryBytes int }
		out := script(t, "", nil, reference, "-dir", dir, "-duration", "300ms", "-warm-up", "50ms", "-inflight", strconv.Itoa(inFlight))
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("the reference printed %q: %v", out, err)
		}
		if r.Operations == 0 || r.Operations%64 != 0 || r.InFlight != inFlight || r.EntryBytes != 64<<10 {
			t.Errorf("%d operations in entries of %d bytes, %d at a time: expected entries of 64 times 1 KB, %d at a time", r.Operations, r.EntryBytes, r.InFlight, inFlight)
		}
	}
}

// TestBenchmarkToolsOfThree drives three real nodes with the load of the benchmark and kills the one that
// leads.
func TestBenchmarkToolsOfThree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	args := []string{"cluster", "init", "--dir", dir, "--country", "xz"}
	names, urls := []string{"n1", "n2", "n3"}, map[string]string{}
	for _, name := range names {
		http := "127.0.0.1:" + freePort(t)
		urls[name] = "http://" + http
		args = append(args, "--node", name+"=127.0.0.1:"+freePort(t)+","+http)
	}
	script(t, "", nil, binary(t), args...)
	nodes := map[string]*exec.Cmd{}
	for _, name := range names {
		nodes[name] = startMember(t, filepath.Join(dir, name, "node.yaml"))
	}
	leader := awaitLeader(t, dir, names)
	for _, name := range names { // that the leader finds a node healthy, the node may not know yet
		script(t, "", nil, binary(t), "--registry", urls[name], "bench", "first")
	}
	all := strings.Join([]string{urls["n1"], urls["n2"], urls["n3"]}, ",")
	bench := func(report any, args ...string) {
		t.Helper()
		out := script(t, "", nil, binary(t), append([]string{"--registry", urls[leader], "-o", "json", "bench"}, args...)...)
		if err := json.Unmarshal([]byte(out), report); err != nil {
			t.Fatalf("bench %s printed %q: %v", strings.Join(args, " "), out, err)
		}
	}
	ids, key := filepath.Join(t.TempDir(), "ids"), filepath.Join(dir, "accreditation.pem")
	var filled, spread loadReport
	bench(&filled, "fill", "-n", "60", "--ids", ids, "--accept", "5", "--accreditation-key", key)
	bench(&spread, "spread", "--node", all, "--presign", "70", "--duration", "30s", "--conns", "6")
	if spread.Requests != 70 || len(spread.Errors) > 0 {
		t.Errorf("spread: %d of 70 operations were taken, errors %v", spread.Requests, spread.Errors)
	}
	var seen struct {
		Changes, ReadsRefused int
		Nodes                 []struct{ Seen struct{ MaxMillis float64 } }
	}
	bench(&seen, "visible", "--node", all, "--ids", ids, "--accreditation-key", key, "--count", "4")
	if seen.Changes != 4 || len(seen.Nodes) != 3 || seen.Nodes[2].Seen.MaxMillis <= 0 {
		t.Errorf("visible: %+v: expected 4 changes, seen on 3 nodes", seen)
	}

	var survivors []string
	for _, name := range names {
		if name != leader {
			survivors = append(survivors, urls[name])
		}
	}
	killed := time.AfterFunc(time.Second, func() { _ = nodes[leader].Process.Kill() })
	defer killed.Stop()
	var gap struct {
		Writes, Unfinished, Reads, ReadFailed int
		GapMillis, GapAtMillis                float64
		WriteTries                            map[string]int
	}
	bench(&gap, "gap", "--node", all, "--read", strings.Join(survivors, ","), "--ids", ids, "--rate", "100", "--conns", "6", "--read-rate", "50", "--duration", "6s")
	// What came after the kill can only be of the survivors: the gap lies before them.
	if len(gap.WriteTries) == 0 || gap.Writes == 0 || gap.GapAtMillis+gap.GapMillis >= 6000 || gap.Unfinished > 0 {
		t.Errorf("gap: %+v: expected writes that went on at others, and were acknowledged, before the end", gap)
	}
	if gap.ReadFailed > 0 || gap.Reads == 0 {
		t.Errorf("gap: %d bounded reads failed, %d were answered: expected none to fail on the nodes that were not killed", gap.ReadFailed, gap.Reads)
	}
}

// startMember runs a node of a cluster, which the test may kill.
func startMember(t *testing.T, config string) *exec.Cmd {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(binary(t), "serve", "--config", config)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s\n%s", config, log.String())
		}
	})
	return cmd
}

// awaitLeader waits until all nodes are members in good health, and says who leads.
func awaitLeader(t *testing.T, dir string, names []string) string {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := exec.Command(binary(t), "-o", "json", "cluster", "status", "--config", filepath.Join(dir, names[0], "node.yaml")).CombinedOutput()
		var o struct {
			Leader string
			Nodes  []struct{ Healthy bool }
		}
		if err == nil && json.Unmarshal(out, &o) == nil && o.Leader != "" {
			healthy := 0
			for _, n := range o.Nodes {
				if n.Healthy {
					healthy++
				}
			}
			if healthy == len(names) {
				return o.Leader
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no healthy cluster within a minute: %v\n%s", err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func get(t *testing.T, url string) (http.Header, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%s: %d %s %v", url, answer.StatusCode, body, err)
	}
	return answer.Header, string(body)
}
