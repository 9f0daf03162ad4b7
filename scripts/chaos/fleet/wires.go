package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
)

// wires is how nodes reach each other. Nodes are numbered from 0.
type wires interface {
	// addresses are where a node listens for the others, and for clients.
	addresses(node int) (peer, http string, err error)
	// command is what to run so that a program runs where the node is.
	command(node int, argv []string) []string
	cut(from, to int) error
	mend(from, to int) error
	close() error
}

// loopback is one network for all, in which nothing can be cut. It is the ports of the nodes, two for each.
type loopback []string

// newLoopback finds ports below those that the system gives to outgoing connections: one of these could take
// a node's port while that is down.
func newLoopback(nodes int) (loopback, error) {
	var found loopback
	for tries := 0; len(found) < 2*nodes; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			if tries > 1000 {
				return nil, err
			}
			continue
		}
		defer l.Close() // until all are found, so that none is found twice
		found = append(found, l.Addr().String())
	}
	return found, nil
}

func (l loopback) addresses(node int) (string, string, error) {
	return l[2*node], l[2*node+1], nil
}

func (loopback) command(_ int, argv []string) []string { return argv }
func (loopback) cut(int, int) error                    { return errors.New("loopback: nothing to cut") }
func (loopback) mend(int, int) error                   { return errors.New("loopback: nothing to mend") }
func (loopback) close() error                          { return nil }

// namespaces is a network namespace for each node, all on one bridge, on which the clients are too.
type namespaces struct {
	prefix string // of all names; short, as an interface's name has at most 15 characters
	subnet string // first three bytes
	nodes  int
}

func newNamespaces(nodes int) (*namespaces, error) {
	n := &namespaces{prefix: fmt.Sprintf("dc%05x", rand.IntN(1<<20)), nodes: nodes}
	taken, err := run("ip", "-o", "-4", "route", "show")
	if err != nil {
		return nil, err
	}
	for n.subnet == "" || strings.Contains(taken, n.subnet+".") {
		n.subnet = fmt.Sprintf("10.%d.%d", 128+rand.IntN(127), rand.IntN(256))
	}
	if err := n.build(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *namespaces) build() error {
	steps := [][]string{
		{"link", "add", n.bridge(), "type", "bridge"},
		{"addr", "add", n.subnet + ".254/24", "dev", n.bridge()},
		{"link", "set", n.bridge(), "up"},
	}
	for i := range n.nodes {
		out := fmt.Sprintf("%sv%d", n.prefix, i)
		steps = append(steps,
			[]string{"netns", "add", n.name(i)},
			[]string{"link", "add", out, "type", "veth", "peer", "name", "eth0", "netns", n.name(i)},
			[]string{"link", "set", out, "master", n.bridge(), "up"},
			[]string{"-n", n.name(i), "link", "set", "lo", "up"},
			[]string{"-n", n.name(i), "addr", "add", n.ip(i) + "/24", "dev", "eth0"},
			[]string{"-n", n.name(i), "link", "set", "eth0", "up"},
		)
	}
	for _, s := range steps {
		if _, err := run("ip", s...); err != nil {
			return err
		}
	}
	return nil
}

func (n *namespaces) bridge() string    { return n.prefix + "br" }
func (n *namespaces) name(i int) string { return fmt.Sprintf("%sn%d", n.prefix, i) }
func (n *namespaces) ip(i int) string   { return fmt.Sprintf("%s.%d", n.subnet, i+1) }

func (n *namespaces) addresses(i int) (string, string, error) {
	return n.ip(i) + ":7500", n.ip(i) + ":7400", nil
}

// command enters the network namespace only. What ip netns exec does more would keep other nodes' file
// systems mounted in a place where nobody can unmount them.
func (n *namespaces) command(i int, argv []string) []string {
	return append([]string{"nsenter", "--net=/run/netns/" + n.name(i), "--"}, argv...)
}

// nowhere is an Ethernet address that no node has: the bridge hands such a frame to all, and all drop it.
const nowhere = "02:00:00:de:ad:00"

func (n *namespaces) cut(from, to int) error {
	_, err := run("ip", "-n", n.name(from), "neigh", "replace", n.ip(to), "lladdr", nowhere, "dev", "eth0", "nud", "permanent")
	return err
}

func (n *namespaces) mend(from, to int) error {
	_, err := run("ip", "-n", n.name(from), "neigh", "flush", "to", n.ip(to), "dev", "eth0", "nud", "all")
	return err
}

// close takes away what was made, which after a failure is not all.
func (n *namespaces) close() error {
	var errs []error
	for i := range n.nodes {
		if _, err := os.Stat("/run/netns/" + n.name(i)); err == nil {
			_, err := run("ip", "netns", "del", n.name(i))
			errs = append(errs, err)
		}
	}
	if _, err := net.InterfaceByName(n.bridge()); err == nil {
		_, err := run("ip", "link", "del", n.bridge())
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// run runs a program of the system and returns what it printed.
func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
