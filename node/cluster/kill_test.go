package cluster

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/state"
)

// childDir, when set, makes the test binary a node that writes until it is killed.
const childDir = "DCANN_CLUSTER_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Println("error", child(dir))
		os.Exit(1)
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue { // they wait most of the time
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
	os.Exit(m.Run())
}

// child writes without end. It flushes, cuts the log, erases and scrubs as often as it can, so that a kill
// finds it in the middle of everything. Each line that it prints was acknowledged: "have ID HEAD INDEX" or
// "gone ID - INDEX".
func child(dir string) error {
	n, err := open(context.Background(), dir, func(c *Config) {
		c.FlushInterval, c.FlushBytes, c.TrailingBytes = time.Millisecond, 1, 512<<10
	})
	if err != nil {
		return err
	}
	if err := n.prepare(context.Background()); err != nil {
		return err
	}
	fmt.Println("ready")
	errs := make(chan error)
	for range 8 {
		go func() { errs <- n.writeForEver() }()
	}
	go func() { errs <- n.eraseForEver() }()
	return <-errs
}

func (n *node) writeForEver() error {
	for {
		p, op := create()
		for range 3 {
			if _, err := n.SubmitOperation(context.Background(), op); err != nil {
				return err
			}
			p.moved(op)
			fmt.Println("have", p.id, p.head, n.AppliedIndex())
			op = p.next(registry.Update)
		}
	}
}

func (n *node) eraseForEver() error {
	for {
		p, op := create()
		if _, err := n.SubmitOperation(context.Background(), op); err != nil {
			return err
		}
		op = p.next(registry.Deactivate)
		if _, err := n.SubmitOperation(context.Background(), op); err != nil {
			return err
		}
		p.moved(op)
		if err := n.eraseWhenFinal(p); err != nil {
			return err
		}
		fmt.Println("gone", p.id, "-", n.AppliedIndex())
		for range 3 {
			if err := n.Scrub(context.Background()); err != nil {
				return err
			}
			n.scrubbed.Store(0) // scrub again, to be killed in it
		}
	}
}

// eraseWhenFinal erases p as soon as its deactivation can no longer be undone.
func (n *node) eraseWhenFinal(p *passport) error {
	for {
		_, err := n.SubmitOperation(context.Background(), p.next(registry.Erase))
		if err == nil || registry.KindOf(err) == registry.Unavailable {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestKilledAtAnyMomentItLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	have, gone := map[registry.ID]registry.OpID{}, map[registry.ID]bool{}
	var highest uint64
	for range rounds {
		index := runAndKill(t, dir, have, gone)
		highest = max(highest, index)
		checkRuleOnDisk(t, dir, highest)
	}
	if len(have) == 0 || len(gone) == 0 {
		t.Fatalf("%d records acknowledged, %d erased: the test shows nothing", len(have), len(gone))
	}
	n := start(t, dir, nil)
	for id, head := range have {
		v, err := n.st.Record(id)
		if err != nil {
			t.Fatalf("acknowledged record %s: %v", id, err)
		}
		if v.Head != head {
			// An update whose acknowledgement was cut off may stand above what was acknowledged.
			if _, err := n.st.RecordAtVersion(id, head); err != nil {
				t.Fatalf("acknowledged operation %s of %s: %v", head, id, err)
			}
		}
	}
	for id := range gone {
		if v, err := n.st.Record(id); err != nil || v.Status != registry.Erased {
			t.Errorf("erased record %s: %+v, %v", id, v, err)
		}
	}
	if err := n.st.VerifyContent(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds: %d records, %d erased", rounds, len(have), len(gone))
}

// runAndKill runs a child on dir for a while, notes what it acknowledged, and kills it.
func runAndKill(t *testing.T, dir string, have map[registry.ID]registry.OpID, gone map[registry.ID]bool) (index uint64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	var killer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if f[0] == "ready" {
			killer = time.AfterFunc(time.Duration(1200+rand.IntN(1500))*time.Millisecond, func() { once.Do(func() { _ = cmd.Process.Kill() }) })
		}
		if len(f) == 4 {
			at, err := strconv.ParseUint(f[3], 10, 64)
			if err != nil {
				continue // a line cut off by the kill
			}
			index = max(index, at)
			switch id := registry.ID(f[1]); f[0] {
			case "have":
				have[id] = registry.OpID(f[2])
			case "gone":
				gone[id] = true
			}
		} else if f[0] == "error" {
			t.Errorf("child: %s", lines.Text())
		}
	}
	if killer == nil {
		t.Fatal("the child did not become ready")
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return index
}

// checkRuleOnDisk looks at what a killed node left: F <= D+1, and the log reaches what was acknowledged.
func checkRuleOnDisk(t *testing.T, dir string, acknowledged uint64) {
	t.Helper()
	st, err := state.Open(filepath.Join(dir, "state"), state.Options{ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	db, err := openLog(filepath.Join(dir, "raft", logFile), 0)
	if err != nil {
		t.Fatal(errors.Join(err, st.Close()))
	}
	durable, err := st.DurableIndex()
	if err != nil {
		t.Error(err)
	}
	first, last := bounds(t, db)
	if first > durable+1 || max(last, durable) < acknowledged {
		t.Errorf("log %d..%d, state durable up to %d, acknowledged up to %d", first, last, durable, acknowledged)
	}
	if err := errors.Join(db.Close(), st.Close()); err != nil {
		t.Error(err)
	}
}
