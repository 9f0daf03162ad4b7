package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// demoMinFree is how much free disk a node of the demonstration insists on, as a flag.
const demoMinFree = "32MiB"

// demoNode is a node of the demonstration: dcann serve, this same program, as a process of its own.
type demoNode struct {
	name   string
	config string // its node.yaml
	http   string // what it listens on; port 0 at the first start
	ready  string // file
	log    string // file
	env    []string

	url, admin string // once it answers
	cmd        *exec.Cmd
	ended      chan struct{} // closed when the process has ended
}

// start begins the process, which ends when this one does, however that is.
func (n *demoNode) start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, "serve", "--config", n.config, "--http", n.http, "--ready-file", n.ready, "--min-free", demoMinFree)
	cmd.Args[0] = "dcann" // whatever this program is called
	cmd.Env, cmd.Stderr = n.env, log
	endWithParent(cmd)
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The system ends the child with the thread that started it: it must not be one that comes and goes.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	n.cmd, n.ended = cmd, ended
	return nil
}

// wait waits until the node answers.
func (n *demoNode) wait(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ended:
			return n.why()
		}
		text, err := os.ReadFile(n.ready)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var r readiness
		if err := wire.Decode(text, &r); err != nil {
			return err
		}
		n.url, n.admin = r.HTTP, r.Admin
		n.http = strings.TrimPrefix(r.HTTP, "http://") // its next start takes the same
		return nil
	}
}

// why is the last thing that an ended process said, as an error of the kind that its exit code has.
func (n *demoNode) why() error {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	err = fmt.Errorf("node %s ended: %s", n.name, strings.TrimPrefix(lines[len(lines)-1], "dcann: "))
	switch n.cmd.ProcessState.ExitCode() {
	case exitUsage:
		return usageError{err}
	case exitUnavailable:
		return &registry.Error{Kind: registry.Unavailable, Detail: err.Error()}
	}
	return err
}

// signal sends one and waits for the end of the process; one that does not end in time is killed.
func (n *demoNode) signal(s os.Signal, patience time.Duration) {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(s)
	select {
	case <-n.ended:
	case <-time.After(patience):
		_ = n.cmd.Process.Kill()
		<-n.ended
	}
}

// kill ends the process without a chance to do anything about it.
func (n *demoNode) kill() error {
	n.signal(syscall.SIGKILL, time.Minute)
	return os.Remove(n.ready) // which it had no time to do
}

func (n *demoNode) running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}
