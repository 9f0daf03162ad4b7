package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dcann/dcann/registry"
)

// Country is the registry's: one that no country has (DESIGN 3).
const Country = registry.Country("xa")

// Voters is how many nodes found the registry. The one after them is the replica.
const Voters = 3

// Config says what to run, and where.
type Config struct {
	Binary string // dcann
	Dir    string // an empty directory with a short path, for everything
	Wires  bool   // namespaces: needs root
	Disks  bool   // file systems of their own: needs root
	Env    []string
	Log    *slog.Logger
}

// Fleet is the nodes and what connects them. Its methods may be called by several goroutines at once.
type Fleet struct {
	config Config
	wires  wires
	nodes  []*Node
	quit   chan struct{}
	once   sync.Once
	guards sync.WaitGroup // the supervisors
}

// New lays everything out; no node runs yet. When it fails nothing is left behind.
func New(ctx context.Context, c Config) (f *Fleet, err error) {
	f = &Fleet{config: c, quit: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if c.Wires {
		f.wires, err = newNamespaces(Voters + 1)
	} else {
		f.wires, err = newLoopback(Voters + 1)
	}
	if err != nil {
		f.wires = nil
		return f, err
	}
	args := []string{"cluster", "init", "--dir", f.path("d"), "--country", string(Country)}
	for i := range Voters + 1 {
		n := &Node{fleet: f, number: i, Name: fmt.Sprintf("n%d", i+1), Replica: i == Voters}
		if n.Address, n.HTTP, err = f.wires.addresses(i); err != nil {
			return f, err
		}
		n.dir = f.path(n.Name)
		flag := "--node"
		if n.Replica {
			flag = "--replica"
		}
		args = append(args, flag, n.Name+"="+n.Address+","+n.HTTP)
		f.nodes = append(f.nodes, n)
	}
	if _, err := f.Command(ctx, args...); err != nil {
		return f, err
	}
	for _, n := range f.nodes {
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			return f, err
		}
		if c.Disks {
			if n.disk, err = newDisk(n.dir, f.path(n.Name+".img"), diskSize); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

func (f *Fleet) path(name string) string { return filepath.Join(f.config.Dir, name) }

// Nodes are all nodes, the replica last.
func (f *Fleet) Nodes() []*Node { return f.nodes }

// VoterNodes are the founding members.
func (f *Fleet) VoterNodes() []*Node { return f.nodes[:Voters] }

// Replica is the node that never votes.
func (f *Fleet) Replica() *Node { return f.nodes[Voters] }

// HasWires and HasDisks say which faults are possible.
func (f *Fleet) HasWires() bool { return f.config.Wires }

// HasDisks says whether nodes have file systems of their own.
func (f *Fleet) HasDisks() bool { return f.config.Disks }

// Command runs dcann as an operator would, and returns what it printed.
func (f *Fleet) Command(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, f.config.Binary, args...)
	c.Env = append(os.Environ(), f.config.Env...)
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("dcann %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// NodeCommand is Command about the registry that n belongs to: dcann cluster what --admin …
func (f *Fleet) NodeCommand(ctx context.Context, n *Node, what string, args ...string) (string, error) {
	return f.Command(ctx, append([]string{"cluster", what, "--admin", n.admin()}, args...)...)
}

// Cut loses everything that from sends to to; Mend ends that. They need Wires.
func (f *Fleet) Cut(from, to *Node) error { return f.wires.cut(from.number, to.number) }

// Mend makes the cable from one node to another whole again.
func (f *Fleet) Mend(from, to *Node) error { return f.wires.mend(from.number, to.number) }

// Heal undoes every fault that may still be there, and starts every node that does not run.
func (f *Fleet) Heal(ctx context.Context) error {
	var errs []error
	for _, n := range f.nodes {
		if f.config.Wires {
			for _, other := range f.nodes {
				if n != other {
					errs = append(errs, f.Mend(n, other))
				}
			}
		}
		if n.disk != nil {
			errs = append(errs, n.disk.thaw(), n.disk.free())
		}
		n.Continue()
		errs = append(errs, n.Start())
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// Close ends all nodes and takes away all that was made but the directory, whatever state it is in. It
// may be called twice.
func (f *Fleet) Close() (err error) {
	f.once.Do(func() {
		close(f.quit)
		var errs []error
		for _, n := range f.nodes {
			if n.disk != nil {
				errs = append(errs, n.disk.thaw())
			}
			n.Kill()
		}
		f.guards.Wait()
		for _, n := range f.nodes {
			if n.disk != nil {
				errs = append(errs, n.disk.close())
			}
		}
		if f.wires != nil {
			errs = append(errs, f.wires.close())
		}
		err = errors.Join(errs...)
	})
	return err
}

// sleep waits, and reports false when the fleet is being closed.
func (f *Fleet) sleep(d time.Duration) bool {
	select {
	case <-f.quit:
		return false
	case <-time.After(d):
		return true
	}
}
