package scripts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dcann/dcann/node/cluster"
)

// operatorsPatience bounds how long a procedure's step may take, on a machine that does much else.
const operatorsPatience = 3 * time.Minute

// desk is an operator's desk: a directory in which the commands of the guide are typed, and the nodes that
// they start. systemctl is played by this test: the nodes are processes of its own.
type desk struct {
	t       *testing.T
	dir     string // short, since sockets are in it
	dcann   string // the program, which an upgrade replaces
	address map[string]string
	nodes   map[string]*served // by the path of their settings
}

// newDesk makes a desk without nodes, or skips the test.
func newDesk(t *testing.T) *desk {
	t.Helper()
	if testing.Short() {
		t.Skip("the operator's procedures run real clusters, which takes long: left out by -short")
	}
	for _, tool := range []string{"curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s, which the operator's guide uses, is missing", tool)
			}
			t.Skipf("LEFT OUT: %s, which the operator's guide uses, is missing", tool)
		}
	}
	dir, err := os.MkdirTemp("", "desk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	d := &desk{t: t, dir: dir, dcann: filepath.Join(dir, "bin", "dcann"), address: map[string]string{}, nodes: map[string]*served{}}
	copyFile(t, binary(t), d.dcann)
	return d
}

// found makes a desk with the registry of three that the guide founds first, all of them ready.
func found(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	g := d.open("Founding a registry")
	for range 6 {
		g.run("")
	}
	d.awaitHealthy("D/n1", 3)
	return d
}

// copyFile has another process write it: a program that is open for writing here is open in whatever this process
// starts meanwhile, and cannot be run then.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// given remembers the ports that tests of this process were given.
var given sync.Map

// quietPort is a free port that the system gives to nobody: a node that is restarted must find it free again.
func quietPort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := fmt.Sprint(10000 + rand.IntN(20000))
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

var guidePort = regexp.MustCompile(`127\.0\.0\.1:7[45]\d\d`)

// here is text with the addresses of the guide replaced by such as are free, always the same.
func (d *desk) here(text string) string {
	return guidePort.ReplaceAllStringFunc(text, func(address string) string {
		if d.address[address] == "" {
			d.address[address] = "127.0.0.1:" + quietPort(d.t)
		}
		return d.address[address]
	})
}

// url is the public address that the guide gives a node.
func (d *desk) url(address string) string { return "http://" + d.here("127.0.0.1:"+address) }

// shell types a line, and returns what it printed and whether it succeeded.
func (d *desk) shell(line string) (string, error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), operatorsPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail\n"+d.here(line))
	cmd.Dir, cmd.Env = d.dir, d.environment()
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("it did not end: %w", context.Cause(ctx))
	}
	return string(out), err
}

func (d *desk) environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DCANN_") && !strings.HasPrefix(v, "PATH=") {
			env = append(env, v)
		}
	}
	return append(env, "PATH="+filepath.Dir(d.dcann)+":"+os.Getenv("PATH"))
}

// type types a line that must succeed.
func (d *desk) typed(line string) string {
	d.t.Helper()
	out, err := d.shell(line)
	if err != nil {
		d.t.Fatalf("%s\n%v\n%s", d.here(line), err, out)
	}
	return out
}

// refused types a line that must be refused with the exit code of a refusal or of wrong usage.
func (d *desk) refused(line, because string) {
	d.t.Helper()
	out, err := d.shell(line)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 && exit.ExitCode() != 2 || !strings.Contains(out, because) {
		d.t.Fatalf("%s\n%v\n%s\nexpected to be refused, since %q", d.here(line), err, out, because)
	}
}

// served is dcann serve on one file of settings.
type served struct {
	cmd  *exec.Cmd
	log  lines
	gone chan struct{}
}

// lines is what a process writes, which may be read meanwhile.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs the node of a file of settings, relative to the desk.
func (d *desk) start(settings string) {
	d.t.Helper()
	if s := d.nodes[settings]; s != nil && s.cmd.ProcessState == nil {
		d.t.Fatalf("%s runs already", settings)
	}
	s := &served{cmd: exec.Command(d.dcann, "serve", "--config", settings), gone: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = d.dir, d.environment()
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { defer close(s.gone); _ = s.cmd.Wait() }()
	d.nodes[settings] = s
	d.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.gone
		if d.t.Failed() {
			d.t.Logf("%s\n%s", settings, s.log.String())
		}
	})
}

// stop has a node end in good order.
func (d *desk) stop(settings string) {
	d.t.Helper()
	s := d.nodes[settings]
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(operatorsPatience):
		d.t.Fatalf("%s does not stop", settings)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("%s ended with %s: expected exit code 0", settings, s.cmd.ProcessState)
	}
}

// kill is what a loss of power does to a node.
func (d *desk) kill(name string) {
	d.t.Helper()
	s := d.nodes["D/"+name+"/node.yaml"]
	_ = s.cmd.Process.Kill()
	<-s.gone
}

func (d *desk) await(what string, ok func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(operatorsPatience)
	for !ok() {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: it did not come in %s", what, operatorsPatience)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// overview is what dcann cluster status says of the registry, asked at a node such as D/n1.
func (d *desk) overview(node string) (o cluster.Overview, ok bool) {
	d.t.Helper()
	out, err := d.shell("dcann -o json cluster status --config " + node + "/node.yaml 2>/dev/null")
	return o, err == nil && json.Unmarshal([]byte(out), &o) == nil
}

// awaitHealthy waits until so many members are in good health, those that vote, or are to, with their votes.
func (d *desk) awaitHealthy(node string, members int) (o cluster.Overview) {
	d.t.Helper()
	d.await(fmt.Sprintf("%d healthy members, as %s sees them", members, node), func() bool {
		var ok bool
		if o, ok = d.overview(node); !ok || o.Leader == "" || len(o.Nodes) != members {
			return false
		}
		for _, n := range o.Nodes {
			if !n.Healthy || !n.Voter && !n.Replica {
				return false
			}
		}
		return true
	})
	return o
}

// status is the HTTP status of a GET; 0 if nobody answers.
func (d *desk) status(url string) int {
	client := http.Client{Timeout: 30 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}
