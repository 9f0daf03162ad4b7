package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/wire"
)

// orgStatus is what an operator says of an organisation, as flags give it.
type orgStatus struct {
	keyFile, status, reason string
	epoch                   uint64
}

func newOrgStatusCommand(a *app) *cobra.Command {
	var o orgStatus
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
		RunE: func(c *cobra.Command, args []string) error { return a.postStatus(c.Context(), args[0], o) },
	}
	f := c.Flags()
	f.StringVar(&o.keyFile, "accreditation-key", "", "key file of an accreditation key of the registry")
	f.StringVar(&o.status, "status", "", "active, suspended or revoked")
	f.StringVar(&o.reason, "reason", "", "why, for everybody to read")
	f.Uint64Var(&o.epoch, "epoch", 0, "of the legal identity (default: as it is, 1 at first)")
	required(c, "accreditation-key", "status")
	choices(c, "status", statuses...)
	return c
}

// postStatus signs and submits a status of the organisation that arg names, at its head.
func (a *app) postStatus(ctx context.Context, arg string, o orgStatus) error {
	if !slices.Contains(statuses, o.status) {
		return usagef("--status %q: expected %s", o.status, strings.Join(statuses, ", "))
	}
	s, err := a.lookToSign(ctx, arg, o.keyFile)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.chain.expect(registry.Organisation); err != nil {
		return err
	}
	if o.epoch == 0 {
		if o.epoch, err = s.epoch(ctx); err != nil {
			return err
		}
	}
	r := s.chain.inForce()
	a.say("%s: %q, jurisdiction %s, roles %v, domain %s, LEI %s", o.status, r.Name, r.Jurisdiction, r.Roles, orNone(r.Domain), orNone(r.LEI))
	statement, err := registry.StatusContent{
		Sub: s.chain.id, Head: s.chain.lineage.Head, Status: registry.OrgStatus(o.status), Epoch: o.epoch, Reason: o.reason, Iat: a.clock(),
	}.Sign(s.key)
	if err != nil {
		return err
	}
	result, err := s.PostStatus(ctx, statement.Compact())
	if err != nil {
		return err
	}
	return a.done(result, string(result.Op))
}

// epoch is that of an organisation's legal identity as the registry has it, 1 if there was none.
func (s *session) epoch(ctx context.Context) (uint64, error) {
	standing, err := s.Record(ctx, s.chain.id)
	if err != nil {
		return 0, err
	}
	if o := standing.Organisation; o != nil && o.Epoch > 0 {
		return o.Epoch, nil
	}
	return 1, nil
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

// What flags name; pending is what nobody says, but what is so until somebody does.
var (
	roles    = []string{string(registry.RoleProvider), string(registry.RoleRecipient), string(registry.RoleAttestor)}
	statuses = []string{string(registry.OrgActive), string(registry.OrgSuspended), string(registry.OrgRevoked)}
)

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
	choices(c, "role", roles...)
	choices(c, "status", "pending", "active", "suspended", "revoked")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q.Role, q.Status = registry.Role(role), registry.OrgStatus(status)
		switch {
		case f.Changed("limit") && (q.Limit < 1 || q.Limit > wire.MaxPage):
			return usagef("--limit %d: expected 1 to %d", q.Limit, wire.MaxPage)
		case role != "" && !slices.Contains(roles, role):
			return usagef("--role %q: expected %s", role, strings.Join(roles, ", "))
		case status != "" && !slices.Contains(append(statuses, string(registry.OrgPending)), status):
			return usagef("--status %q: expected pending, %s", status, strings.Join(statuses, ", "))
		}
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
				_ = printLine(w, "%s", organisationLine(r))
			}
			if found.Next != "" {
				a.say("more: dcann org list --after %s …", found.Next)
			}
		})
	}
	return c
}
