package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

func (a *app) country(ctx context.Context) (registry.Country, error) {
	c, err := a.client()
	if err != nil {
		return "", err
	}
	defer c.Close()
	who, err := c.Registry(ctx)
	return who.Country, err
}

func newOrgStatusCommand(a *app) *cobra.Command {
	var keyFile, status, reason string
	var epoch uint64
	c := &cobra.Command{
		Use:   "status --accreditation-key FILE --status active|suspended|revoked DID",
		Short: "accredit, suspend or revoke an organisation, as the registry's operator",
		Long: `Signs how the registry sees an organisation. Active confirms the name, LEI, jurisdiction,
roles and domain that the record has now, which are shown. Revoked is final.

--epoch rises when the legal identity changes (a merger, a sale): permissions that people
gave to the old one do not pass to the new.`,
		Example: `  dcann org status --accreditation-key d/accreditation.pem --status active did:dcann:xz:b…
  dcann org status --accreditation-key d/accreditation.pem --status suspended --reason "lost data" did:dcann:xz:b…`,
		Args: exactly("DID"),
	}
	f := c.Flags()
	f.StringVar(&keyFile, "accreditation-key", "", "key file of an accreditation key of the registry")
	f.StringVar(&status, "status", "", "active, suspended or revoked")
	f.StringVar(&reason, "reason", "", "why, for everybody to read")
	f.Uint64Var(&epoch, "epoch", 0, "of the legal identity (default: as it is, 1 at first)")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		key, err := readKey(keyFile)
		if err != nil {
			return err
		}
		reg, err := a.client()
		if err != nil {
			return err
		}
		defer reg.Close()
		ch, err := fetchChain(c.Context(), reg, id)
		if err != nil {
			return err
		}
		if err := ch.expect(registry.Organisation); err != nil {
			return err
		}
		standing, err := reg.Record(c.Context(), id)
		if err != nil {
			return err
		}
		if epoch == 0 {
			epoch = 1
			if o := standing.Organisation; o != nil && o.Epoch > 0 {
				epoch = o.Epoch
			}
		}
		r := ch.inForce()
		a.say("%s: %q, jurisdiction %s, roles %v, domain %s, LEI %s", status, r.Name, r.Jurisdiction, r.Roles, orNone(r.Domain), orNone(r.LEI))
		statement, err := registry.StatusContent{
			Sub: id, Head: ch.lineage.Head, Status: registry.OrgStatus(status), Epoch: epoch, Reason: reason, Iat: a.clock(),
		}.Sign(key)
		if err != nil {
			return err
		}
		result, err := reg.PostStatus(c.Context(), statement.Compact())
		if err != nil {
			return err
		}
		return a.done(result, string(result.Op))
	}
	required(c, "accreditation-key", "status")
	choices(c, "status", "active", "suspended", "revoked")
	return c
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func newOrgShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show DID",
		Short:   "show an organisation as the registry has it",
		Example: `  dcann org show did:dcann:xz:b…`,
		Args:    exactly("DID"),
		RunE:    func(c *cobra.Command, args []string) error { return a.showRecord(c.Context(), args[0]) },
	}
}

func newOrgListCommand(a *app) *cobra.Command {
	var q wire.OrganisationQuery
	var role, status string
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "find organisations",
		Long: `Lists organisations; all that is given must agree. Without --all, the first page: the line
at its end says how to go on.`,
		Example: `  dcann org list --role provider --status active
  dcann org list --name vault -o json`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringVar(&role, "role", "", "provider, recipient or attestor")
	f.StringVar(&status, "status", "", "pending, active, suspended or revoked")
	f.StringVar(&q.Name, "name", "", "beginning of the name")
	f.StringVar(&q.Domain, "domain", "", "host name")
	f.StringVar(&q.LEI, "lei", "", "legal entity identifier")
	f.StringVar(&q.After, "after", "", "where the page before ended")
	f.IntVar(&q.Limit, "limit", 0, fmt.Sprintf("entries of a page, at most %d (default %d)", wire.MaxPage, wire.DefaultPage))
	f.BoolVar(&all, "all", false, "all pages")
	choices(c, "role", "provider", "recipient", "attestor")
	choices(c, "status", "pending", "active", "suspended", "revoked")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q.Role, q.Status = registry.Role(role), registry.OrgStatus(status)
		reg, err := a.client()
		if err != nil {
			return err
		}
		defer reg.Close()
		found := wire.OrganisationPage{Organisations: []wire.Record{}}
		for more := true; more; more = all && found.Next != "" {
			page, err := reg.Organisations(c.Context(), q)
			if err != nil {
				return err
			}
			found.Organisations = append(found.Organisations, page.Organisations...)
			found.Next, q.After = page.Next, page.Next
		}
		return a.show(found, func(w io.Writer) {
			for _, r := range found.Organisations {
				fmt.Fprintln(w, organisationLine(r))
			}
			if found.Next != "" {
				a.say("more: dcann org list --after %s …", found.Next)
			}
		})
	}
	return c
}
