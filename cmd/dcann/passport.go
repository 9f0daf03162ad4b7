package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
)

func newPassportCommand(a *app) *cobra.Command {
	return group("passport", "own a data passport: make it, change it, get it back",
		`A passport is an identifier that you own by its rotation keys, strongest first. Any of
them can change it; what a weaker one did, a stronger one can undo for 72 hours.`,
		newPassportCreateCommand(a), newPassportShowCommand(a), newPassportUpdateCommand(a), newPassportRotateCommand(a),
		newPassportRecoverCommand(a), newPassportDeactivateCommand(a), newPassportEraseCommand(a), newHistoryCommand(a, "passport"))
}

const rotationHelp = "keys that own it, strongest first: key files, or Multikeys (z6Mk…) of keys kept elsewhere"

func newPassportCreateCommand(a *app) *cobra.Command {
	var rotate, grant, auth []string
	var keyFile, country string
	var strand strandFlags
	c := &cobra.Command{
		Use:   "create --rotation KEY[,KEY…]",
		Short: "make a passport; prints its identifier",
		Long: `Makes a passport and prints its identifier, alone, on standard output.

The first rotation key is the strongest. Keep it apart, in a safe: it takes the passport
back from whoever steals the key you use every day. Listed keys (--grant-key, --auth-key)
sign permissions and log-ins; they cannot change the passport. A first strand can be
given with it (--id, --provider, …: see dcann strand add).`,
		Example: `  dcann passport create --rotation safe.pem,daily.pem --grant-key phone.pem
  dcann passport create --rotation z6Mk…,daily.pem --key daily.pem
  id=$(dcann passport create --rotation alice.pem)`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringSliceVar(&rotate, "rotation", nil, rotationHelp)
	f.StringSliceVar(&grant, "grant-key", nil, "keys that sign permissions: [ID=]FILE or [ID=]MULTIKEY")
	f.StringSliceVar(&auth, "auth-key", nil, "keys that prove who asks: [ID=]FILE or [ID=]MULTIKEY")
	f.StringVar(&keyFile, "key", "", "rotation key to sign with (default: the first key file of --rotation)")
	f.StringVar(&country, "country", "", "country of birth (default: that of the registry)")
	strand.add(f)
	c.RunE = func(c *cobra.Command, _ []string) error {
		record := &registry.Record{Kind: registry.Passport}
		if err := addKeys(record, registry.UseGrant, grant); err != nil {
			return err
		}
		if err := addKeys(record, registry.UseAuth, auth); err != nil {
			return err
		}
		var disclosures []registry.Disclosure
		if strand.given() {
			d, err := strand.disclosure()
			if err != nil {
				return err
			}
			disclosures = append(disclosures, d)
		}
		result, err := a.create(c.Context(), record, rotate, keyFile, country, disclosures)
		if err != nil {
			return err
		}
		a.say("the passport exists; who holds its keys owns it")
		return a.done(result, string(result.ID))
	}
	required(c, "rotation")
	return c
}

// create signs and submits the create operation of record, a passport's padded with decoys.
func (a *app) create(ctx context.Context, record *registry.Record, rotate []string, keyFile, country string, disclosures []registry.Disclosure) (client.Result, error) {
	keys, strongest, err := rotation(rotate)
	if err != nil {
		return client.Result{}, err
	}
	record.Rotation = keys
	key, err := signerOf(keyFile, strongest)
	if err != nil {
		return client.Result{}, err
	}
	c, err := a.client()
	if err != nil {
		return client.Result{}, err
	}
	defer c.Close()
	content := registry.Content{Act: registry.Create, Country: registry.Country(country), Iat: a.clock(), Record: record}
	if country == "" {
		who, err := c.Registry(ctx)
		if err != nil {
			return client.Result{}, err
		}
		content.Country = who.Country
	}
	if record.Kind == registry.Passport {
		if err := padded(record, key, disclosures); err != nil {
			return client.Result{}, err
		}
	}
	op, err := content.Sign(key, disclosures...)
	if err != nil {
		return client.Result{}, configError(err)
	}
	return a.submit(ctx, c, op)
}

// padded gives a new passport the digests of its strands among decoys of key.
func padded(record *registry.Record, key jws.PrivateKey, disclosures []registry.Disclosure) error {
	d, err := decoysOf(key)
	if err != nil {
		return err
	}
	for _, disclosure := range disclosures {
		record.Strands = append(record.Strands, disclosure.Digest)
	}
	record.Strands = d.pad(record.Strands)
	return nil
}

func newPassportShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show DID",
		Short: "show a passport as the registry has it",
		Long: `Shows a record: its keys, the strands that anyone may see and where they lead.
A deactivated or erased one is shown as what is left of it.`,
		Example: `  dcann passport show did:dcann:xz:b…
  dcann passport show -o json did:dcann:xz:b…`,
		Args: exactly("DID"),
		RunE: func(c *cobra.Command, args []string) error { return a.showRecord(c.Context(), args[0]) },
	}
}
