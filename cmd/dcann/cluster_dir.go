package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/dcann/dcann/node"
	"github.com/dcann/dcann/node/cluster"
	"github.com/dcann/dcann/node/peer"
)

// clusterDir is the directory of dcann cluster init.
type clusterDir struct {
	layout
	policy        []byte // signed, with a line's end
	accreditation []byte // PEM; nil if the policy was signed elsewhere
	authority     *peer.Authority
	trusted       []byte // PEM: the certificates of all authorities that the nodes believe
}

func (l layout) founder(name string) bool {
	return slices.ContainsFunc(l.Founders, func(p cluster.Peer) bool { return p.Name == name })
}

// secrets names what no node may have.
func (d clusterDir) secrets() string {
	names := authorityKeyFile
	if d.accreditation != nil {
		names = node.AccreditationFile + " and " + names
	}
	return names
}

// write makes the whole directory, or nothing.
func (d clusterDir) write(plan []plannedNode, now time.Time) error {
	switch held, err := os.ReadDir(d.Dir); {
	case err == nil && len(held) > 0:
		return usagef("%s holds %s: expected a new or empty directory, or --add to add a node to those that are there", d.Dir, held[0].Name())
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return usageError{err}
	}
	_, key, err := d.authority.PEM()
	if err != nil {
		return err
	}
	files := map[string][]byte{authorityCertFile: d.trusted, authorityKeyFile: key}
	if d.accreditation != nil {
		files[node.AccreditationFile] = d.accreditation
	}
	for _, n := range plan {
		of, err := d.filesOf(n, now)
		if err != nil {
			return err
		}
		for name, content := range of {
			files[filepath.Join(n.Name, name)] = content
		}
	}
	return writeTree(d.Dir, files)
}

// filesOf are the files of one node's directory.
func (d clusterDir) filesOf(n plannedNode, now time.Time) (map[string][]byte, error) {
	text, err := d.yaml(n)
	if err != nil {
		return nil, err
	}
	if err := d.checkYAML(n, text); err != nil {
		return nil, err
	}
	// For the name alone: so it stays good when the node moves.
	cert, key, err := d.authority.Issue(n.Name, nil, now, peer.AuthorityValidity)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{nodeFile: text, nodeCertFile: cert, nodeKeyFile: key, nodeCAFile: d.trusted, nodePolicyFile: d.policy}, nil
}

// checkYAML reads a configuration as dcann serve will, so that what it refuses is said now.
func (d clusterDir) checkYAML(n plannedNode, text []byte) error {
	_, err := serveFrom(func(flags *pflag.FlagSet) error {
		return setFromYAML(flags, bytes.NewReader(text), d.path(n.Name, nodeFile))
	})
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return nil
}

// member is a node of a cluster directory, as its file says it.
type member struct {
	plannedNode
	file   string
	config node.Config
}

// openClusterDir reads what dcann cluster init left in dir, and which nodes it holds. What all files should say
// alike is the first's; see agree.
func openClusterDir(dir string) (clusterDir, []member, error) {
	d := clusterDir{layout: layout{Dir: dir}}
	var err error
	if d.trusted, err = os.ReadFile(filepath.Join(dir, authorityCertFile)); err != nil {
		return d, nil, usagef("%v: expected a directory that dcann cluster init made", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, authorityKeyFile))
	if err != nil {
		return d, nil, usagef("%v: without the key of the authority no certificate can be made; put it back for as long as that takes", err)
	}
	if d.authority, err = peer.LoadAuthority(d.trusted, key); err != nil {
		return d, nil, usageError{fmt.Errorf("%s: %w", dir, err)}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", nodeFile))
	if err != nil {
		return d, nil, err
	}
	var members []member
	for _, file := range found {
		c, err := configFromYAML(file)
		if err != nil {
			return d, nil, err
		}
		members = append(members, member{plannedNode{Name: c.Name, Address: ownAddress(c), HTTP: c.HTTP, Replica: c.Replica}, file, c})
	}
	if len(members) == 0 || len(members[0].config.Nodes) == 0 {
		return d, nil, usagef("%s holds no %s that lists founding members: expected a directory that dcann cluster init made", dir, filepath.Join("NAME", nodeFile))
	}
	d.Country, d.Founders = members[0].config.Country, members[0].config.Nodes
	return d, members, nil
}

// agree refuses members whose files disagree on what a further node has to be told, and reads their policy.
func (d *clusterDir) agree(members []member) error {
	first, policy := members[0], ""
	for _, m := range members {
		for _, said := range []struct{ name, first, here string }{
			{"country", string(first.config.Country), string(m.config.Country)},
			{"node", peerList(first.config.Nodes), peerList(m.config.Nodes)},
		} {
			if said.first != said.here {
				return usagef("%s is %q in %s and %q in %s: expected the same in all nodes' files", said.name, said.first, first.file, said.here, m.file)
			}
		}
		if m.config.Policy == "" {
			continue // a node that has begun needs it no more
		}
		text, err := os.ReadFile(m.config.Policy)
		switch {
		case err != nil:
			return usageError{fmt.Errorf("%s: policy: %w", m.file, err)}
		case policy == "":
			policy, d.policy = m.config.Policy, text
		case !bytes.Equal(d.policy, text):
			return usagef("policy is %s and %s, and they differ: expected the same first policy for all nodes", policy, m.config.Policy)
		}
	}
	if policy == "" {
		return usagef("no %s in %s names a policy: expected the signed first policy of the registry in one of them", nodeFile, d.Dir)
	}
	return nil
}

func peerList(nodes []cluster.Peer) string {
	var list []string
	for _, p := range nodes {
		list = append(list, p.Name+"="+p.Address)
	}
	return strings.Join(list, ",")
}

// addNodes adds the directories of further nodes.
func (a *app) addNodes(dir string, more []plannedNode) error {
	d, members, err := openClusterDir(dir)
	if err != nil {
		return err
	}
	if err := d.agree(members); err != nil {
		return err
	}
	var plan []plannedNode
	for _, m := range members {
		plan = append(plan, m.plannedNode)
	}
	if err := checkPlan(append(plan, more...)); err != nil {
		return err
	}
	all := map[string]map[string][]byte{}
	for _, n := range more {
		if _, err := os.Lstat(filepath.Join(dir, n.Name)); err == nil {
			return usagef("%s exists: expected a name that is not taken", filepath.Join(dir, n.Name))
		}
		if all[n.Name], err = d.filesOf(n, a.now()); err != nil {
			return err
		}
	}
	for name, files := range all {
		if err := writeTree(filepath.Join(dir, name), files); err != nil {
			return err
		}
	}
	return a.showPlan(d, more)
}

// writeTree makes a directory with these files, by their paths in it, each of mode 0600 or, if it is no
// secret, as the umask allows. It is written beside, and renamed when it is on disk: after a crash it is
// whole or not there.
func writeTree(dir string, files map[string][]byte) (err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return usageError{err}
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".new-*")
	if err != nil {
		return usageError{err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	dirs := map[string]bool{tmp: true}
	for name, content := range files {
		path := filepath.Join(tmp, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		dirs[filepath.Dir(path)] = true
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, "key.pem") || name == node.AccreditationFile {
			mode = 0o600
		}
		if err := writeNew(path, content, mode); err != nil {
			return err
		}
	}
	for d := range dirs {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty one makes room
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	return syncDir(parent)
}

// replaceFile writes a file, whole or not at all, whatever stood there.
func replaceFile(path string, content []byte, mode fs.FileMode) (err error) {
	tmp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if err != nil {
		return usageError{err}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	written := filepath.Join(tmp, filepath.Base(path))
	if err := writeNew(written, content, mode); err != nil {
		return err
	}
	if err := os.Rename(written, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes what was done to the entries of a directory survive a crash.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
