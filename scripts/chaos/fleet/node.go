package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Node is one node: its process, which comes and goes, and its disk.
type Node struct {
	fleet   *Fleet
	number  int
	dir     string // where its disk is mounted, or what stands in for one
	disk    *disk  // nil without Config.Disks
	Name    string
	Address string // for the other nodes
	HTTP    string // for clients
	Replica bool

	disks sync.Mutex // held by who works on the disk of a node that does not run

	mu     sync.Mutex
	wanted bool          // to be started again when it ends
	held   int           // how many work on its disk: it is not started meanwhile, but after
	cmd    *exec.Cmd     // nil while it does not run
	gone   chan struct{} // closed when cmd has ended and was waited for
	exits  map[string]int
}

// restartDelay is between the end of a process and its next start, as in the systemd unit.
const restartDelay = 200 * time.Millisecond

// LogBytes is what the nodes are told to keep of the log: so little that it is cut all the time, and that a
// node which was away for some seconds has to be sent the whole state.
const LogBytes = 1 << 20

// URL is where clients find the node.
func (n *Node) URL() string { return "http://" + n.HTTP }

func (n *Node) data() string  { return filepath.Join(n.dir, "data") }
func (n *Node) admin() string { return "unix:" + filepath.Join(n.data(), "admin.sock") }

// LogFile is what the node has written to its standard error, over all its lives.
func (n *Node) LogFile() string { return n.fleet.path(n.Name + ".log") }

// Start starts the node unless it runs, and from then on whenever it ends by itself.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wanted = true
	if n.cmd != nil || n.held > 0 {
		return nil
	}
	return n.spawn()
}

// spawn is called with n.mu held and no process.
func (n *Node) spawn() error {
	log, err := os.OpenFile(n.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	argv := n.fleet.wires.command(n.number, []string{n.fleet.config.Binary, "serve", "--config", n.fleet.path("d/" + n.Name + "/node.yaml")})
	cmd := exec.Command(argv[0], argv[1:]...)
	// All clients have one address, so there is no limit of one address.
	cmd.Env = append(os.Environ(), "DCANN_DATA="+n.data(), fmt.Sprintf("DCANN_MIN_FREE=%d", MinFree), fmt.Sprintf("DCANN_LOG_BYTES=%d", LogBytes),
		"DCANN_REQUESTS_PER_SECOND=-1", "DCANN_CREATIONS_PER_HOUR=-1")
	cmd.Env = append(cmd.Env, n.fleet.config.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // a signal to us is not one to them
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	gone := make(chan struct{})
	n.cmd, n.gone = cmd, gone
	n.fleet.guards.Go(func() { n.supervise(cmd, gone) })
	return nil
}

// supervise waits for the end of a process, and starts the next one if the end was nobody's wish.
func (n *Node) supervise(cmd *exec.Cmd, gone chan struct{}) {
	_ = cmd.Wait()
	n.mu.Lock()
	n.cmd = nil
	unasked := n.wanted
	if unasked {
		if n.exits == nil {
			n.exits = map[string]int{}
		}
		n.exits[cmd.ProcessState.String()]++
	}
	n.mu.Unlock()
	close(gone)
	if !unasked {
		return
	}
	n.fleet.config.Log.Warn("a node has ended by itself", "node", n.Name, "how", cmd.ProcessState.String())
	if !n.fleet.sleep(restartDelay) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wanted && n.cmd == nil && n.held == 0 {
		if err := n.spawn(); err != nil {
			n.fleet.config.Log.Error("a node cannot be started", "node", n.Name, "error", err)
		}
	}
}

// Kill ends the process with SIGKILL, for good until Start. It returns when the process is gone, and
// reports whether one ran.
func (n *Node) Kill() bool {
	n.mu.Lock()
	n.wanted = false
	cmd, gone := n.cmd, n.gone
	n.mu.Unlock()
	if cmd == nil {
		return false
	}
	_ = cmd.Process.Kill()
	<-gone
	return true
}

// Freeze stops the process with SIGSTOP and reports whether it runs and stands still; Continue lets it go
// on, if it runs.
func (n *Node) Freeze() bool {
	if !n.signal(syscall.SIGSTOP) {
		return false
	}
	for range 100 {
		if n.state() == 'T' {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// Continue ends a Freeze.
func (n *Node) Continue() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd != nil && n.cmd.Process.Signal(s) == nil
}

// state is the kernel's letter for what the process does: T for stopped; 0 if there is none.
func (n *Node) state() byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for i := len(text) - 3; i >= 0; i-- { // the name in brackets may hold anything
		if text[i] == ')' {
			return text[i+2]
		}
	}
	return 0
}

// Runs reports whether there is a process.
func (n *Node) Runs() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd != nil
}

// Exits counts how the process has ended by itself.
func (n *Node) Exits() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	exits := map[string]int{}
	for how, times := range n.exits {
		exits[how] = times
	}
	return exits
}

// Wipe kills the node and removes all that it has stored. Whoever starts it meanwhile, for another fault, starts
// it when that is done.
func (n *Node) Wipe() error {
	return n.atRest(func() error { return os.RemoveAll(n.data()) })
}

// atRest kills the node and calls do while it cannot be started, one at a time.
func (n *Node) atRest(do func() error) error {
	n.mu.Lock()
	n.held++
	n.mu.Unlock()
	n.Kill()
	n.disks.Lock()
	err := do()
	n.disks.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held--; n.held > 0 || !n.wanted || n.cmd != nil {
		return err
	}
	return errors.Join(err, n.spawn())
}
