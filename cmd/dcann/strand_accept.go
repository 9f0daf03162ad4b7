package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// findStrand finds a public strand by its id, or takes a digest as it is.
func (a *app) findStrand(ctx context.Context, arg, id, digest string) (wire.Strand, error) {
	passport, err := parseID(arg)
	if err != nil {
		return wire.Strand{}, err
	}
	switch {
	case (id == "") == (digest == ""):
		return wire.Strand{}, usagef("expected --id, or --strand with a digest")
	case digest != "":
		d, err := registry.ParseDigest(digest)
		if err != nil {
			return wire.Strand{}, usageError{err}
		}
		return wire.Strand{Digest: d}, nil
	}
	c, err := a.client()
	if err != nil {
		return wire.Strand{}, err
	}
	defer c.Close()
	r, err := c.Record(ctx, passport)
	if err != nil {
		return wire.Strand{}, err
	}
	at := slices.IndexFunc(r.Strands, func(s wire.Strand) bool { return s.ID == id })
	if at < 0 {
		return wire.Strand{}, &registry.Error{Kind: registry.NotFound, Detail: string(passport) + " shows no strand " + id + ": name a granted one by its digest, --strand"}
	}
	return r.Strands[at], nil
}

func newStrandAcceptCommand(a *app) *cobra.Command {
	return a.acceptanceCommand(&cobra.Command{
		Use:   "accept --key FILE (--id NAME | --strand DIGEST --provider DID) DID",
		Short: "confirm, as its provider, that a strand is with you",
		Long: `Signs, with a key that the provider's record lists, that the provider holds this strand.
From then on whoever resolves the passport is led to the provider's endpoint.`,
		Example: `  dcann strand accept --key vault.pem --id purchases did:dcann:xz:b…
  dcann strand accept --key vault.pem --kid sign-1 --provider did:dcann:xz:b… --strand lJ8… did:dcann:xz:b…`,
	}, true)
}

func newStrandWithdrawCommand(a *app) *cobra.Command {
	return a.acceptanceCommand(&cobra.Command{
		Use:     "withdraw --key FILE (--id NAME | --strand DIGEST --provider DID) DID",
		Short:   "say, as its provider, that a strand is no longer with you",
		Long:    `Takes an acceptance back: the strand leads nowhere until it is accepted again.`,
		Example: `  dcann strand withdraw --key vault.pem --id purchases did:dcann:xz:b…`,
	}, false)
}

func (a *app) acceptanceCommand(c *cobra.Command, accepted bool) *cobra.Command {
	var keyFile, kid, provider, id, digest string
	f := c.Flags()
	f.StringVar(&keyFile, "key", "", "key file of a sign key of the provider")
	f.StringVar(&kid, "kid", "", "id of that key in the provider's record (default: found there)")
	f.StringVar(&provider, "provider", "", "identifier of the provider (default: the one the strand names)")
	f.StringVar(&id, "id", "", "name of a public strand")
	f.StringVar(&digest, "strand", "", "digest of the strand")
	c.Args = exactly("DID")
	c.RunE = func(c *cobra.Command, args []string) error {
		key, err := readKey(keyFile)
		if err != nil {
			return err
		}
		strand, err := a.findStrand(c.Context(), args[0], id, digest)
		if err != nil {
			return err
		}
		if provider != "" {
			if strand.Provider, err = parseID(provider); err != nil {
				return err
			}
		}
		if strand.Provider == "" {
			return usagef("--strand needs --provider: a digest does not say whose the strand is")
		}
		reg, err := a.client()
		if err != nil {
			return err
		}
		defer reg.Close()
		if kid == "" {
			if kid, err = keyIDOf(c.Context(), reg, strand.Provider, key.Public().Multikey()); err != nil {
				return err
			}
		}
		result, err := postAcceptance(c.Context(), reg, key, kid, registry.AcceptanceContent{
			Iss: strand.Provider, Sub: registry.ID(args[0]), Strand: strand.Digest, Accepted: &accepted, Iat: a.clock(),
		})
		if err != nil {
			return err
		}
		word := "withdrawn"
		if accepted {
			word = "accepted"
		}
		a.say("%s: strand %s of %s", word, strand.Digest, args[0])
		return a.done(result, string(result.Op))
	}
	required(c, "key")
	return c
}

// postAcceptance signs and submits. Statements have no number, so the same words in the same second are the
// same statement, which changes nothing: said again after a withdrawal, it must be said a second later.
func postAcceptance(ctx context.Context, c *client.Client, key jws.PrivateKey, kid string, content registry.AcceptanceContent) (client.Result, error) {
	for {
		statement, err := content.Sign(key, kid)
		if err != nil {
			return client.Result{}, err
		}
		result, err := c.PostAcceptance(ctx, statement.Compact())
		if err != nil || !result.Known {
			return result, err
		}
		content.Iat++
	}
}

// keyIDOf finds under which id an organisation lists a key.
func keyIDOf(ctx context.Context, c *client.Client, organisation registry.ID, key jws.Multikey) (string, error) {
	ch, err := fetchChain(ctx, c, organisation)
	if err != nil {
		return "", err
	}
	r := ch.inForce()
	at := slices.IndexFunc(r.Keys, func(k registry.Key) bool { return k.Key == key })
	if at < 0 {
		return "", usagef("%s does not list the key %s: it has %s", organisation, key, keyIDs(r))
	}
	return r.Keys[at].ID, nil
}
