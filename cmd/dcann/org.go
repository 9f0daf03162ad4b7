package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
)

func newOrgCommand(a *app) *cobra.Command {
	return group("org", "register an organisation: a vault provider, a company, an authority",
		`An organisation registers itself and is pending until the registry's operator says that
it is who it claims to be (dcann org status).`,
		newOrgCreateCommand(a), newOrgUpdateCommand(a), newOrgStatusCommand(a), newOrgShowCommand(a), newOrgListCommand(a),
		a.endCommand(&cobra.Command{
			Use: "deactivate --key FILE DID", Short: "end an organisation's record",
			Example: `  dcann org deactivate --key vault.pem did:dcann:xz:b…`,
		}, registry.Deactivate),
		newHistoryCommand(a, "org"))
}

const (
	purposeBase     = "https://w3id.org/dpv#"
	defaultProtocol = "urn:ietf:rfc:9110" // HTTP
)

// orgFlags are the flags that describe an organisation; apply changes what was given.
type orgFlags struct {
	name, lei, jurisdiction, domain  string
	roles, endpoints, uses, signKeys []string
}

func (o *orgFlags) add(f *pflag.FlagSet) {
	f.StringVar(&o.name, "name", "", "legal name")
	f.StringVar(&o.jurisdiction, "jurisdiction", "", "country of its law, two letters")
	f.StringSliceVar(&o.roles, "role", nil, "provider, recipient, attestor")
	f.StringVar(&o.domain, "domain", "", "host name, to be confirmed")
	f.StringVar(&o.lei, "lei", "", "legal entity identifier, 20 characters (ISO 17442)")
	f.StringSliceVar(&o.endpoints, "endpoint", nil, "of a provider: [PROTOCOL=]https://host/path/ (protocol: a URI, default "+defaultProtocol+")")
	f.StringArrayVar(&o.uses, "use", nil, "of a recipient: PURPOSE[+PURPOSE…]:CLASS[+CLASS…], what data is wanted for")
	f.StringSliceVar(&o.signKeys, "sign-key", nil, "keys that sign for it: [ID=]FILE or [ID=]MULTIKEY")
}

func (o *orgFlags) apply(r *registry.Record, f *pflag.FlagSet) error {
	if f.Changed("name") {
		r.Name = o.name
	}
	if f.Changed("jurisdiction") {
		r.Jurisdiction = registry.Country(o.jurisdiction)
	}
	if f.Changed("domain") {
		r.Domain = o.domain
	}
	if f.Changed("lei") {
		r.LEI = o.lei
	}
	if f.Changed("role") {
		r.Roles = nil
		for _, role := range o.roles {
			if !slices.Contains(roles, role) {
				return usagef("--role %q: expected %s", role, strings.Join(roles, ", "))
			}
			r.Roles = append(r.Roles, registry.Role(role))
		}
	}
	if f.Changed("endpoint") {
		r.Endpoints = nil
		for _, e := range o.endpoints {
			r.Endpoints = append(r.Endpoints, parseEndpoint(e))
		}
	}
	if f.Changed("use") {
		r.Uses = nil
		for _, u := range o.uses {
			use, err := parseUse(u)
			if err != nil {
				return err
			}
			r.Uses = append(r.Uses, use)
		}
	}
	return addKeys(r, registry.UseSign, o.signKeys)
}

// parseEndpoint reads [PROTOCOL=]URL. A protocol is a URI and may hold "=" itself, a URL of an endpoint
// begins with https.
func parseEndpoint(s string) registry.Endpoint {
	if at := strings.LastIndex(s, "=https://"); at > 0 {
		return registry.Endpoint{Protocol: s[:at], URL: s[at+1:]}
	}
	return registry.Endpoint{Protocol: defaultProtocol, URL: s}
}

// parseUse reads PURPOSE+…:CLASS+…, of terms without their vocabularies' addresses.
func parseUse(s string) (registry.Purpose, error) {
	purposes, classes, ok := strings.Cut(s, ":")
	if !ok || purposes == "" || classes == "" {
		return registry.Purpose{}, usagef("--use %q: expected PURPOSE:CLASS, such as ServicePersonalisation:PurchasesAndSpendingHabit", s)
	}
	return registry.Purpose{
		Purpose: expand(purposeBase, strings.Split(purposes, "+")),
		Class:   expand(classBase, strings.Split(classes, "+")),
	}, nil
}

func newOrgCreateCommand(a *app) *cobra.Command {
	var rotate []string
	var keyFile string
	var org orgFlags
	c := &cobra.Command{
		Use:   "create --rotation KEY[,KEY…] --name NAME --role ROLE …",
		Short: "register an organisation; prints its identifier",
		Long: `Registers an organisation and prints its identifier, alone, on standard output. It is
pending until the registry's operator accredits it.`,
		Example: `  dcann org create --rotation vault.pem --sign-key vault-sign.pem --name "Vault One" \
      --role provider --endpoint https://vault.example/
  dcann org create --rotation shop.pem --name Shop --role recipient \
      --use ServicePersonalisation:PurchasesAndSpendingHabit`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringSliceVar(&rotate, "rotation", nil, rotationHelp)
	f.StringVar(&keyFile, "key", "", "rotation key to sign with (default: the first key file of --rotation)")
	org.add(f)
	c.RunE = func(c *cobra.Command, _ []string) error {
		record := &registry.Record{Kind: registry.Organisation}
		if err := org.apply(record, f); err != nil {
			return err
		}
		country := ""
		if record.Jurisdiction == "" {
			who, err := a.standing(c.Context())
			if err != nil {
				return err
			}
			record.Jurisdiction, country = who.Country, string(who.Country)
		}
		result, err := a.create(c.Context(), record, rotate, keyFile, country, nil)
		if err != nil {
			return err
		}
		a.say("registered, and pending until the registry's operator accredits it")
		return a.done(result, string(result.ID))
	}
	required(c, "rotation", "name", "role")
	return c
}

func newOrgUpdateCommand(a *app) *cobra.Command {
	var keyFile string
	var rotate, remove, retire []string
	var org orgFlags
	c := &cobra.Command{
		Use:   "update --key FILE … DID",
		Short: "change an organisation's record",
		Long: `Changes what is named and keeps the rest. A new endpoint moves every strand that was placed
with the provider, at once. A change of name, LEI, jurisdiction, roles or domain makes the
organisation pending until it is accredited again.`,
		Example: `  dcann org update --key vault.pem --endpoint https://new.vault.example/ did:dcann:xz:b…`,
		Args:    exactly("DID"),
	}
	f := c.Flags()
	f.StringVar(&keyFile, "key", "", keyHelp)
	f.StringSliceVar(&rotate, "rotation", nil, "new "+rotationHelp)
	f.StringSliceVar(&retire, "retire", nil, "ids of listed keys that sign no more")
	f.StringSliceVar(&remove, "remove", nil, "ids of listed keys to take off")
	org.add(f)
	c.RunE = func(c *cobra.Command, args []string) error {
		changes := []string{"rotation", "retire", "remove", "name", "jurisdiction", "role", "domain", "lei", "endpoint", "use", "sign-key"}
		if !slices.ContainsFunc(changes, f.Changed) {
			return usagef("nothing to change: expected one of --%s", strings.Join(changes, ", --"))
		}
		keys, _, err := rotation(rotate)
		if err != nil {
			return err
		}
		result, err := a.change(c.Context(), args[0], keyFile, registry.Organisation, func(_ *chain, r *registry.Record, _ jws.PrivateKey) ([]registry.Disclosure, error) {
			if keys != nil {
				r.Rotation = keys
			}
			if err := editKeys(r, keyEdit{remove: remove, retire: retire, at: a.clock()}); err != nil {
				return nil, err
			}
			if err := org.apply(r, f); err != nil {
				return nil, fmt.Errorf("organisation: %w", err)
			}
			return nil, nil
		})
		if err != nil {
			return err
		}
		return a.changed(result)
	}
	required(c, "key")
	return c
}
