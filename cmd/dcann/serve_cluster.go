package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/node/cluster"
)

// addCluster adds the flags of a node that is not alone (DESIGN 9).
func (s *serveFlags) addCluster(f *pflag.FlagSet) {
	c := &s.config
	f.StringVar(&c.NodeListen, "node-listen", "", "host:port for the other nodes, mutual TLS; without it this node is alone")
	f.StringVar(&c.NodeAddress, "node-address", "", "host:port where the others reach this node (default its own entry in --node, else --node-listen)")
	f.StringSliceVar(&s.nodes, "node", nil, "a founding member, NAME=HOST:PORT; once for each, the same on all of them, at every start")
	f.StringVar(&c.NodeCert, "node-cert", "", "PEM certificate for the other nodes, its DNS name the node's; reloaded when it changes")
	f.StringVar(&c.NodeKey, "node-key", "", "PEM key of --node-cert, mode 0600")
	f.StringVar(&c.NodeCA, "node-ca", "", "PEM certificates of the authority that all nodes' certificates are of; reloaded when they change")
	f.BoolVar(&c.Replica, "replica", false, "a read replica: has everything, answers reads, never votes")
	f.DurationVar(&c.RemoveDeadAfter, "remove-dead-after", 0, "a member unheard for so long is removed if three that vote stay; negative: never (default 10m)")
	f.DurationVar(&c.ElectionTimeout, "election-timeout", 0, "how long the leader may be silent before another is elected (default 500ms)")
}

// parsePeer reads NAME=HOST:PORT.
func parsePeer(text string) (cluster.Peer, error) {
	name, address, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return cluster.Peer{}, fmt.Errorf("%q: expected NAME=HOST:PORT, such as n1=10.0.0.1:7500", text)
	}
	if err := checkAddress(address); err != nil {
		return cluster.Peer{}, fmt.Errorf("%q: %w", text, err)
	}
	return cluster.Peer{Name: name, Address: address}, nil
}

// checkAddress refuses what others could not connect to.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return fmt.Errorf("address %q: expected HOST:PORT, such as 10.0.0.1:7500", address)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return fmt.Errorf("address %q: expected a port of 1 to 65535", address)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("address %q: expected one at which others reach the node, which may listen on all (node-listen, with this as node-address)", address)
	}
	return nil
}

// ownAddress is where the others reach the node of a configuration.
func ownAddress(c node.Config) string {
	if c.NodeAddress != "" {
		return c.NodeAddress
	}
	for _, p := range c.Nodes {
		if p.Name == c.Name {
			return p.Address
		}
	}
	return c.NodeListen
}
