package peer

import (
	"fmt"
	"net"
	"strings"
)

// Target is the address that the Raft stream layer dials: the node's name and where it listens,
// "n2=host:port". It checks nothing: what makes no sense is an error of the dial.
func Target(name, hostport string) string { return name + "=" + hostport }

// parseTarget takes apart what Target made.
func parseTarget(target string) (name, hostport string, err error) {
	name, hostport, ok := strings.Cut(target, "=")
	if !ok {
		return "", "", fmt.Errorf("peer address %q: expected NAME=HOST:PORT", target)
	}
	if err := checkName(name); err != nil {
		return "", "", fmt.Errorf("peer address %q: %w", target, err)
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", "", fmt.Errorf("peer address %q: %w", target, err)
	}
	if host == "" || port == "" {
		return "", "", fmt.Errorf("peer address %q: expected NAME=HOST:PORT, with a host and a port", target)
	}
	return name, hostport, nil
}
