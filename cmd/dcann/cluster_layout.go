package main

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// The files of a cluster directory, D, and of a node's directory in it, D/NAME.
const (
	authorityCertFile = "ca.pem"
	authorityKeyFile  = "ca-key.pem"
	nodeFile          = "node.yaml"
	nodeCertFile      = "cert.pem"
	nodeKeyFile       = "key.pem"
	nodeCAFile        = "ca.pem"
	nodePolicyFile    = "policy.jwt"
	nodeDataDir       = "data"
)

// plannedNode is a node that dcann cluster init writes the files of.
type plannedNode struct {
	Name    string
	Address string // host:port for the other nodes
	HTTP    string // host:port of the public listener
	Replica bool
}

// nodeName is what a node of a cluster directory may be called: it names a directory, and is a DNS name in
// the node's certificate.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// parsePlannedNode reads NAME=ADDRESS,HTTP.
func parsePlannedNode(text string, replica bool) (plannedNode, error) {
	name, addresses, _ := strings.Cut(text, "=")
	address, http, ok := strings.Cut(addresses, ",")
	if !ok {
		return plannedNode{}, usagef("node %q: expected NAME=HOST:PORT,HOST:PORT, the address for other nodes and the one for everybody, such as n1=10.0.0.1:7500,10.0.0.1:7400", text)
	}
	if !nodeName.MatchString(name) {
		return plannedNode{}, usagef("node %q: the name is %q: expected 1 to 63 of a-z, 0-9 and -", text, name)
	}
	if err := checkAddress(address); err != nil {
		return plannedNode{}, usageError{fmt.Errorf("node %s: %w", name, err)}
	}
	if _, port, err := net.SplitHostPort(http); err != nil {
		return plannedNode{}, usagef("node %s: HTTP address %q: expected HOST:PORT, such as 10.0.0.1:7400", name, http)
	} else if _, err := net.LookupPort("tcp", port); err != nil {
		return plannedNode{}, usagef("node %s: HTTP address %q: expected a port of 0 to 65535", name, http)
	}
	return plannedNode{Name: name, Address: address, HTTP: http, Replica: replica}, nil
}

// checkPlan refuses nodes that share a name or an address, which none of them would notice alone.
func checkPlan(nodes []plannedNode) error {
	names, addresses := map[string]bool{}, map[string]string{}
	for _, n := range nodes {
		if names[n.Name] {
			return usagef("node %s is there twice: expected a name of its own for each", n.Name)
		}
		names[n.Name] = true
		for _, address := range []string{n.Address, n.HTTP} {
			if strings.HasSuffix(address, ":0") {
				continue // any free port
			}
			if other, ok := addresses[address]; ok {
				return usagef("address %s is of node %s, and of node %s: expected one for each, and two for each node", address, other, n.Name)
			}
			addresses[address] = n.Name
		}
	}
	return nil
}
