package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary stand in for dcann: scripts and tests that start it as that run main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dcann": main})
}

// patience is how long a script waits for a condition before it fails.
const patience = 90 * time.Second

// TestScripts runs the whole binary through the scripts in testdata/script. Beside testscript's own
// commands they have:
//
//	ready FILE              wait for a node's ready file, make it the registry of what follows, and move the
//	                        file to FILE.seen, so that the node's next start is waited for
//	capture VAR             set VAR to what the last command printed, without the newline
//	field VAR NAME          set VAR to a member of the JSON object that the last command printed
//	exit CODE PROGRAM …     run a program and expect its exit code
//	eventually PROGRAM …    run a program until it succeeds
//	get STATUS PATH [TYPE]  GET from the registry, expect an HTTP status; the answer is the output
//	admin STATUS METHOD SOCKET PATH   the same of an operator's socket
//	addresses VAR …         set each VAR to an address of this machine that nobody listens on
//	absent DIR TEXT         no file under DIR holds TEXT
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(10 * patience), // a command that hangs fails, and shows where
		Setup: func(env *testscript.Env) error {
			env.Setenv("DCANN_HTTP", "127.0.0.1:0")
			env.Setenv("DCANN_MIN_FREE", "1048576")
			env.Setenv("DCANN_REGISTRY", "http://127.0.0.1:1") // nothing listens there: scripts say what they mean
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready":      scriptReady,
			"capture":    scriptCapture,
			"field":      scriptField,
			"exit":       scriptExit,
			"eventually": scriptEventually,
			"get":        scriptGet,
			"admin":      scriptAdmin,
			"absent":     scriptAbsent,
			"addresses":  scriptAddresses,
		},
	})
}

func arguments(ts *testscript.TestScript, neg bool, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func scriptReady(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 1, "ready FILE")
	var r readiness
	if err := waitReady(ts.MkAbs(args[0]), &r); err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.Rename(ts.MkAbs(args[0]), ts.MkAbs(args[0])+".seen"))
	ts.Setenv("DCANN_REGISTRY", r.HTTP)
}

// waitReady waits for the ready file of a node that was started.
func waitReady(path string, r *readiness) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			return json.Unmarshal(text, r)
		}
	}
	return err
}

func scriptCapture(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 1, "capture VAR")
	text := strings.TrimSuffix(ts.ReadFile("stdout"), "\n")
	if text == "" || strings.Contains(text, "\n") {
		ts.Fatalf("expected one line of output, got %q", text)
	}
	ts.Setenv(args[0], text)
}

func scriptField(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 2, "field VAR NAME")
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	text, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("the answer has no text %q", args[1])
	}
	ts.Setenv(args[0], text)
}

func scriptExit(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) >= 2, "exit CODE PROGRAM …")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d: expected %d", code, want)
	}
}

func scriptEventually(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) >= 1, "eventually PROGRAM …")
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
	}
	ts.Fatalf("still failing after %v: %v", patience, err)
}

func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 2 || len(args) == 3, "get STATUS PATH [TYPE]")
	req, err := http.NewRequest(http.MethodGet, ts.Getenv("DCANN_REGISTRY")+args[1], nil)
	ts.Check(err)
	if len(args) == 3 {
		req.Header.Set("Accept", args[2])
	}
	scriptAsk(ts, http.DefaultClient, req, args[0])
}

func scriptAdmin(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 4, "admin STATUS METHOD SOCKET PATH")
	req, err := http.NewRequest(args[1], "http://admin"+args[3], nil)
	ts.Check(err)
	scriptAsk(ts, adminClient(ts.MkAbs(args[2])), req, args[0])
}

func scriptAsk(ts *testscript.TestScript, c *http.Client, req *http.Request, want string) {
	res, err := c.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	if got := strconv.Itoa(res.StatusCode); got != want {
		ts.Fatalf("%s %s: status %s, expected %s: %s", req.Method, req.URL, got, want, body)
	}
	_, err = ts.Stdout().Write(body)
	ts.Check(err)
}

func scriptAbsent(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, false, len(args) == 2, "[!] absent DIR TEXT")
	var found []string
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(args[1])) {
			found = append(found, path)
		}
		return err
	})
	ts.Check(err)
	slices.Sort(found)
	if neg != (len(found) > 0) {
		ts.Fatalf("files that hold %q: %v", args[1], found)
	}
}

// scriptAddresses takes each from a loopback address of its own where the system has more than one: nobody
// else's free port can be the same there, until a node takes it.
func scriptAddresses(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) > 0, "addresses VAR …")
	for _, name := range args {
		host := "127.0.0.1"
		if runtime.GOOS == "linux" {
			host = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		}
		l, err := net.Listen("tcp", host+":0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, l.Addr().String())
	}
}
