package main

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node/peer"
	"github.com/dcann/dcann/registry"
)

// maxCertificateDays is how long an authority is valid.
const maxCertificateDays = int(peer.AuthorityValidity / (24 * time.Hour))

const clusterRenewLong = `Makes new certificates, with new keys, for the nodes that dcann cluster init wrote to DIR, or
for those that are named. Take DIR/NAME/cert.pem and DIR/NAME/key.pem to the node's machine: a
running node takes them up within 10 seconds, without a restart. dcann cluster status and the
metric dcann_certificate_expiry_timestamp_seconds say what is in use.

The authority that issues them ends too, and whoever copied its key, or that of a node, could
be a node. To replace it, take each step to all machines before the next:

  1. --add-authority    makes another; all nodes trust both (DIR/NAME/ca.pem)
  2. without either     new certificates, by the newest authority
  3. --drop-authorities all nodes trust the newest alone (DIR/NAME/ca.pem)`

func newClusterRenewCommand(a *app) *cobra.Command {
	var dir string
	var days int
	var add, drop bool
	c := &cobra.Command{
		Use:   "renew --dir DIR [NAME …]",
		Short: "make new certificates for the nodes of a registry",
		Long:  clusterRenewLong,
		Example: `  dcann cluster renew --dir D --days 365 n1
  dcann cluster renew --dir D --add-authority`,
	}
	c.Flags().StringVar(&dir, "dir", "", "directory that dcann cluster init made")
	c.Flags().IntVar(&days, "days", maxCertificateDays, "days that the certificates are valid, if the authority is for so long")
	c.Flags().BoolVar(&add, "add-authority", false, "make another authority, which all nodes trust too, and no certificates")
	c.Flags().BoolVar(&drop, "drop-authorities", false, "let all nodes trust the newest authority alone, and make no certificates")
	c.RunE = func(c *cobra.Command, names []string) error {
		if add && drop {
			return usagef("--add-authority with --drop-authorities: expected only one of them, for the nodes need new certificates between them")
		}
		if (add || drop) && len(names) > 0 {
			return usagef("%s with --add-authority or --drop-authorities: expected no name, since all nodes trust the same", names[0])
		}
		if (add || drop) && c.Flags().Changed("days") {
			return usagef("--days with --add-authority or --drop-authorities: expected only one of them, since they make no certificates")
		}
		if days < 1 || days > maxCertificateDays {
			return usagef("--days %d: expected 1 to %d", days, maxCertificateDays)
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return usageError{err}
		}
		d, members, err := openClusterDir(dir)
		if err != nil {
			return err
		}
		switch {
		case add:
			return a.addAuthority(d, members)
		case drop:
			return a.dropAuthorities(d, members)
		}
		return a.renew(d, members, names, time.Duration(days)*24*time.Hour)
	}
	required(c, "dir")
	return c
}

func newAuthority(country registry.Country, now time.Time) (*peer.Authority, error) {
	return peer.NewAuthority("dcann registry of country "+string(country), now)
}

// renew gives the nodes of these names, or all, new certificates, valid for so long or until the authority ends.
func (a *app) renew(d clusterDir, members []member, names []string, validity time.Duration) error {
	for _, name := range names {
		if !slices.ContainsFunc(members, func(n member) bool { return n.Name == name }) {
			return usagef("%s: there is no such node in %s", name, d.Dir)
		}
	}
	until := a.now().Add(validity)
	if end := d.authority.Expires(); end.Before(until) {
		until = end
	}
	for _, n := range members {
		if len(names) > 0 && !slices.Contains(names, n.Name) {
			continue
		}
		cert, key, err := d.authority.Issue(n.Name, nil, a.now(), validity)
		if err != nil {
			return usageError{err}
		}
		if err := replaceFile(d.path(n.Name, nodeKeyFile), key, 0o600); err != nil {
			return err
		}
		if err := replaceFile(d.path(n.Name, nodeCertFile), cert, 0o644); err != nil {
			return err
		}
		a.say("%s and %s are new, until %s", d.path(n.Name, nodeCertFile), nodeKeyFile, until.UTC().Format(time.DateOnly))
	}
	return nil
}

// addAuthority makes an authority that issues from now on. The certificates stand before the key: whenever
// this ends, the key is of one of them.
func (a *app) addAuthority(d clusterDir, members []member) error {
	next, err := newAuthority(d.Country, a.now())
	if err != nil {
		return err
	}
	cert, key, err := next.PEM()
	if err != nil {
		return err
	}
	if err := d.trust(members, append(cert, d.trusted...)); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(d.Dir, authorityKeyFile), key, 0o600); err != nil {
		return err
	}
	a.say("all nodes in %s trust a further authority, which ends on %s: take every node's %s to its machine, then renew the certificates",
		d.Dir, next.Expires().UTC().Format(time.DateOnly), nodeCAFile)
	return nil
}

// dropAuthorities leaves only the one that issues. A node whose certificate is of another would be alone.
func (a *app) dropAuthorities(d clusterDir, members []member) error {
	for _, n := range members {
		path := d.path(n.Name, nodeCertFile)
		cert, err := os.ReadFile(path)
		if err != nil {
			return usageError{err}
		}
		issued, err := d.authority.Issued(cert)
		if err != nil {
			return usagef("%s: %v", path, err)
		}
		if !issued {
			return usagef("%s is of an older authority: expected one of the newest, or the others would not talk to node %s any more (dcann cluster renew --dir %s)", path, n.Name, d.Dir)
		}
	}
	cert, _, err := d.authority.PEM()
	if err != nil {
		return err
	}
	if err := d.trust(members, cert); err != nil {
		return err
	}
	a.say("all nodes in %s trust the newest authority alone: take every node's %s to its machine", d.Dir, nodeCAFile)
	return nil
}

// trust writes which authorities the nodes believe.
func (d clusterDir) trust(members []member, certs []byte) error {
	if err := replaceFile(filepath.Join(d.Dir, authorityCertFile), certs, 0o644); err != nil {
		return err
	}
	for _, n := range members {
		if err := replaceFile(d.path(n.Name, nodeCAFile), certs, 0o644); err != nil {
			return err
		}
	}
	return nil
}
