package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

const clusterInitLong = `Writes into a new directory what several nodes need to be one registry:

  DIR/NAME/              all that node NAME needs; take it to the node's machine
  DIR/NAME/node.yaml     for dcann serve --config; it explains itself
  DIR/accreditation.pem  signed the first policy, and says which organisations can be trusted
  DIR/ca-key.pem         makes certificates for further nodes

The last two are for no node: keep them where only the operator is.

A node is NAME=ADDRESS,HTTP: its name for ever, the HOST:PORT where the other nodes reach
it, and the HOST:PORT of its public address. Three nodes go on when one fails, five when two
do. A replica has everything and answers reads, and never votes; it is joined once the
others run.

With --add or --add-replica, a directory that was made before gets one node more, to join
the running cluster. An operator with a certificate authority of their own needs none of
this, only the same node.yaml.`

// clusterInit is what the flags of dcann cluster init say.
type clusterInit struct {
	dir, country, policyFile string
	nodes, replicas          []string
	add, addReplicas         []string
	parts                    policyFlags
}

func newClusterInitCommand(a *app) *cobra.Command {
	var i clusterInit
	c := &cobra.Command{
		Use:   "init --dir DIR --country CC --node NAME=ADDRESS,HTTP …",
		Short: "write the configuration, certificates and keys of all nodes of a registry",
		Long:  clusterInitLong,
		Example: `  dcann cluster init --dir D --country xa \
      --node n1=127.0.0.1:7501,127.0.0.1:7401 \
      --node n2=127.0.0.1:7502,127.0.0.1:7402 \
      --node n3=127.0.0.1:7503,127.0.0.1:7403
  dcann cluster init --dir D --add n4=127.0.0.1:7504,127.0.0.1:7404`,
		Args: exactly(),
	}
	i.flags(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		var err error
		if i.dir, err = filepath.Abs(i.dir); err != nil {
			return usageError{err}
		}
		if err := i.check(c.Flags()); err != nil {
			return err
		}
		if i.adds() {
			plan, err := parsePlan(i.add, i.addReplicas)
			if err != nil {
				return err
			}
			return a.addNodes(i.dir, plan)
		}
		plan, err := parsePlan(i.nodes, i.replicas)
		if err != nil {
			return err
		}
		if len(i.nodes) == 0 {
			return usagef("%s needs --node, once for each founding member: see %s --help", c.CommandPath(), c.CommandPath())
		}
		return i.foundDir(a, c.Flags(), plan)
	}
	required(c, "dir")
	return c
}

func (i *clusterInit) flags(f *pflag.FlagSet) {
	f.StringVar(&i.dir, "dir", "", "directory to write to: a new or empty one, but to add")
	f.StringVar(&i.country, "country", "", "two letters, lower case; for tests a user-assigned one, such as xa")
	f.StringArrayVar(&i.nodes, "node", nil, "a founding member, NAME=ADDRESS,HTTP; once for each")
	f.StringArrayVar(&i.replicas, "replica", nil, "a read replica, NAME=ADDRESS,HTTP; once for each")
	f.StringArrayVar(&i.add, "add", nil, "a further node for an existing DIR, NAME=ADDRESS,HTTP")
	f.StringArrayVar(&i.addReplicas, "add-replica", nil, "a further read replica for an existing DIR, NAME=ADDRESS,HTTP")
	f.StringVar(&i.policyFile, "policy", "", "signed first policy (dcann policy new), instead of a new one with a new accreditation key")
	i.parts.add(f)
}

func (i *clusterInit) adds() bool { return len(i.add)+len(i.addReplicas) > 0 }

// check refuses flags that say the same thing twice.
func (i *clusterInit) check(f *pflag.FlagSet) error {
	for _, name := range []string{"node", "replica", "country", "policy"} {
		if i.adds() && f.Changed(name) {
			return usagef("--%s with --add or --add-replica: expected only one of them, since what one adds to is there already", name)
		}
	}
	for _, name := range append([]string{"country"}, i.parts.names()...) {
		if i.policyFile != "" && f.Changed(name) {
			return usagef("--%s with --policy: expected only one of them, since the signed policy says it", name)
		}
	}
	return nil
}

// foundDir writes the directory of a new registry.
func (i *clusterInit) foundDir(a *app, f *pflag.FlagSet, plan []plannedNode) error {
	d := clusterDir{layout: layout{Dir: i.dir, Founders: founders(plan)}}
	if n := len(d.Founders); n%2 == 0 {
		a.say("%d nodes that vote go on without %d of them, as %d would: an odd number is better", n, n/2-1, n-1)
	}
	err := d.found(a, i.country, i.policyFile, func(p *registry.Policy) error {
		more, _, err := rotation(i.parts.accreditation)
		if err != nil {
			return err
		}
		p.Accreditation = append(p.Accreditation, more...)
		return i.parts.apply(p, f)
	})
	if err != nil {
		return err
	}
	if err := d.write(plan, a.now()); err != nil {
		return err
	}
	return a.showPlan(d, plan)
}

func parsePlan(nodes, replicas []string) ([]plannedNode, error) {
	var plan []plannedNode
	for i, text := range append(nodes[:len(nodes):len(nodes)], replicas...) {
		n, err := parsePlannedNode(text, i >= len(nodes))
		if err != nil {
			return nil, err
		}
		plan = append(plan, n)
	}
	return plan, checkPlan(plan)
}

// founders are the members that a plan begins with: replicas are joined to them.
func founders(plan []plannedNode) []cluster.Peer {
	var list []cluster.Peer
	for _, n := range plan {
		if !n.Replica {
			list = append(list, cluster.Peer{Name: n.Name, Address: n.Address})
		}
	}
	return list
}

// found fills in what a new cluster directory needs: the authority, and a first policy, which a new
// accreditation key signs unless policyFile has one. change makes of the default policy what flags say.
func (d *clusterDir) found(a *app, country, policyFile string, change func(*registry.Policy) error) (err error) {
	if policyFile != "" {
		if d.policy, err = readStatement(policyFile); err != nil {
			return err
		}
		p, err := registry.ParsePolicy(d.policy, nil)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", policyFile, err)}
		}
		d.Country = p.Country
	} else {
		if d.Country, err = registry.ParseCountry(country); err != nil {
			return usageError{fmt.Errorf("--country: %w", err)}
		}
		key, err := jws.GenerateKey(jws.Ed25519)
		if err != nil {
			return err
		}
		p := registry.DefaultPolicy(d.Country)
		p.Accreditation, p.Iat = []jws.Multikey{key.Public().Multikey()}, a.clock()
		if err := change(&p); err != nil {
			return err
		}
		signed, err := p.Sign(key)
		if err != nil {
			return usageError{err}
		}
		d.policy = []byte(signed.Compact())
		if d.accreditation, err = key.PEM(); err != nil {
			return err
		}
	}
	d.policy = append(d.policy, '\n')
	if d.authority, err = newAuthority(d.Country, a.now()); err != nil {
		return err
	}
	d.trusted, _, err = d.authority.PEM()
	return err
}

// showPlan says what was written, and what to type next.
func (a *app) showPlan(d clusterDir, plan []plannedNode) error {
	type written struct {
		Name    string `json:"name"`
		Config  string `json:"config"`
		Address string `json:"address"`
		HTTP    string `json:"http"`
		Replica bool   `json:"replica,omitempty"`
	}
	result := struct {
		Dir     string           `json:"dir"`
		Country registry.Country `json:"country"`
		Nodes   []written        `json:"nodes"`
	}{Dir: d.Dir, Country: d.Country}
	var names []string
	var starts, joins strings.Builder
	for _, n := range plan {
		names = append(names, n.Name)
		file := d.path(n.Name, nodeFile)
		result.Nodes = append(result.Nodes, written{n.Name, file, n.Address, n.HTTP, n.Replica})
		fmt.Fprintf(&starts, "  dcann serve --config %s\n", file)
		switch first := d.path(d.Founders[0].Name, nodeFile); {
		case n.Replica:
			fmt.Fprintf(&joins, "  dcann cluster join --config %s --replica %s=%s\n", first, n.Name, n.Address)
		case !d.founder(n.Name):
			fmt.Fprintf(&joins, "  dcann cluster join --config %s %s=%s\n", first, n.Name, n.Address)
		}
	}
	return a.show(result, func(w io.Writer) {
		fmt.Fprintf(w, "The nodes of country %s are written to %s: %s.\nStart each, in any order, every time with the same command:\n\n%s", d.Country, d.Dir, strings.Join(names, ", "), &starts)
		if joins.Len() > 0 {
			fmt.Fprintf(w, "\nOnce the founding members run, make the others members too:\n\n%s", &joins)
		}
		fmt.Fprintf(w, "\nThen look: dcann cluster status --config %s\n", d.path(d.Founders[0].Name, nodeFile))
		fmt.Fprintf(w, "Every node's directory is all that its machine needs; keep %s away from them all.\n", d.secrets())
	})
}
