package scripts_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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
