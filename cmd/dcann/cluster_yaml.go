package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"text/template"

	"github.com/spf13/pflag"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
)

// layout is what all nodes of a cluster directory share.
type layout struct {
	Dir      string // absolute
	Country  registry.Country
	Founders []cluster.Peer
}

// path names a file of a node by its absolute path.
func (l layout) path(name, file string) string { return filepath.Join(l.Dir, name, file) }

// nodeYAML is the configuration of one node, in the form in which an operator who has a certificate
// authority of their own writes it by hand. Texts are quoted: Norway's country is not false. What Go's %q
// writes is a string in YAML too.
var nodeYAML = template.Must(template.New(nodeFile).Parse(`# Node {{.Node.Name}} of the registry of country {{.Country}}. Start it, every time, with
#   dcann serve --config {{.File}}
# Every flag of dcann serve can stand here under its name. Relative paths are from the directory of this file,
# which can be moved as a whole, such as to the machine of the node.

# The name of this node, for ever: its certificate says it, and the others know it by it.
name: {{printf "%q" .Node.Name}}

# The country of the registry; it must be that of the policy.
country: {{printf "%q" .Country}}

# All that this node must not lose. Best on a disk of its own; nobody else writes there.
data: {{printf "%q" .Data}}

# The public address, for wallets and companies.
http: {{printf "%q" .Node.HTTP}}

# The signed first policy, the same file for all nodes. It is used when the registry is founded.
policy: {{printf "%q" .Policy}}

# Where this node listens for the other nodes, with mutual TLS. If they reach it by another address than it
# listens on, such as behind 0.0.0.0, say that in node-address: HOST:PORT.
node-listen: {{printf "%q" .Node.Address}}

# The nodes that found the registry: the same list on each of them, at every start. Who comes or goes
# later is told to the running cluster, by dcann cluster join and dcann cluster remove.
node:
{{- range .Founders}}
  - {{printf "%q" (printf "%s=%s" .Name .Address)}}
{{- end}}
{{- if not .Founder}}
# This node is none of them: it waits until dcann cluster join makes it a member.
{{- end}}

# Who this node is to the others: a certificate whose DNS name (subjectAltName) is the node's name, its key
# (mode 0600), and the authority that issued the certificates of all nodes. Files that change are taken up
# without a restart.
node-cert: {{printf "%q" .Cert}}
node-key: {{printf "%q" .Key}}
node-ca: {{printf "%q" .CA}}
{{- if .Node.Replica}}

# A read replica: it has everything and answers reads, and never votes.
replica: true
{{- end}}
`))

// yaml is the node.yaml of n.
func (l layout) yaml(n plannedNode) ([]byte, error) {
	var text bytes.Buffer
	err := nodeYAML.Execute(&text, map[string]any{
		"Node": n, "Country": l.Country, "Founders": l.Founders,
		"Founder": slices.ContainsFunc(l.Founders, func(p cluster.Peer) bool { return p.Name == n.Name }),
		"File":    nodeFile, "Data": nodeDataDir, "Policy": nodePolicyFile, "Cert": nodeCertFile, "Key": nodeKeyFile, "CA": nodeCAFile,
	})
	return text.Bytes(), err
}

// serveFromYAML is what dcann serve takes from a file alone, validated.
func serveFromYAML(path string) (serveFlags, error) {
	return serveFrom(func(flags *pflag.FlagSet) error { return setFromFile(flags, path) })
}

func serveFrom(set func(*pflag.FlagSet) error) (serveFlags, error) {
	var s serveFlags
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.add(flags)
	if err := set(flags); err != nil {
		return s, err
	}
	config, err := s.nodeConfig()
	s.config = config
	return s, err
}

// configFromYAML is its part that is the node's.
func configFromYAML(path string) (node.Config, error) {
	s, err := serveFromYAML(path)
	return s.config, err
}
