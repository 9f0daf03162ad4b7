package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
)

const keyHelp = "key file of a rotation key to sign with"

func newPassportUpdateCommand(a *app) *cobra.Command {
	var keyFile string
	var grant, auth, remove, retire []string
	c := &cobra.Command{
		Use:   "update --key FILE DID",
		Short: "add, retire or remove the keys that a passport lists",
		Long: `Changes the listed keys. What is not named stays as it is: the record is fetched,
its history verified, and signed anew as a whole.

A retired key signs nothing any more, but what it signed before stands. A removed key
takes all that it signed with it.`,
		Example: `  dcann passport update --key alice.pem --grant-key phone.pem did:dcann:xz:b…
  dcann passport update --key alice.pem --retire grant-1 --grant-key grant-2=new.pem did:dcann:xz:b…`,
		Args: exactly("DID"),
	}
	f := c.Flags()
	f.StringVar(&keyFile, "key", "", keyHelp)
	f.StringSliceVar(&grant, "grant-key", nil, "keys to list for signing permissions: [ID=]FILE or [ID=]MULTIKEY")
	f.StringSliceVar(&auth, "auth-key", nil, "keys to list for proving who asks: [ID=]FILE or [ID=]MULTIKEY")
	f.StringSliceVar(&retire, "retire", nil, "ids of listed keys that sign no more")
	f.StringSliceVar(&remove, "remove", nil, "ids of listed keys to take off")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(grant)+len(auth)+len(remove)+len(retire) == 0 {
			return usagef("nothing to change: expected --grant-key, --auth-key, --retire or --remove")
		}
		result, err := a.change(c.Context(), args[0], keyFile, registry.Passport, func(_ *chain, r *registry.Record, _ jws.PrivateKey) ([]registry.Disclosure, error) {
			return nil, editKeys(r, keyEdit{remove: remove, retire: retire, at: a.clock(), add: []addition{{registry.UseGrant, grant}, {registry.UseAuth, auth}}})
		})
		if err != nil {
			return err
		}
		return a.changed(result)
	}
	required(c, "key")
	return c
}

// keyEdit is a change of listed keys, made in the order of its fields.
type keyEdit struct {
	remove, retire []string
	at             int64 // of retirement
	add            []addition
}

type addition struct {
	use  registry.Use
	args []string
}

func editKeys(r *registry.Record, e keyEdit) error {
	if err := removeKeys(r, e.remove); err != nil {
		return err
	}
	if err := retireKeys(r, e.retire, e.at); err != nil {
		return err
	}
	for _, add := range e.add {
		if err := addKeys(r, add.use, add.args); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) changed(result client.Result) error {
	a.say("changed: operation %d of %s", result.Seq, result.ID)
	return a.done(result, string(result.Op))
}

func newPassportRotateCommand(a *app) *cobra.Command {
	var keyFile string
	var rotate []string
	c := &cobra.Command{
		Use:   "rotate --key FILE --rotation KEY[,KEY…] DID",
		Short: "change the keys that own a passport",
		Long: `Puts new rotation keys in the place of the old, strongest first. For 72 hours a key of
the old rotation that is stronger than --key can undo it.`,
		Example: `  dcann passport rotate --key safe.pem --rotation newsafe.pem,daily.pem did:dcann:xz:b…`,
		Args:    exactly("DID"),
	}
	c.Flags().StringVar(&keyFile, "key", "", keyHelp+" (of the old rotation)")
	c.Flags().StringSliceVar(&rotate, "rotation", nil, rotationHelp)
	c.RunE = func(c *cobra.Command, args []string) error {
		keys, _, err := rotation(rotate)
		if err != nil {
			return err
		}
		result, err := a.change(c.Context(), args[0], keyFile, registry.Passport, func(_ *chain, r *registry.Record, _ jws.PrivateKey) ([]registry.Disclosure, error) {
			r.Rotation = keys
			return nil, nil
		})
		if err != nil {
			return err
		}
		return a.changed(result)
	}
	required(c, "key", "rotation")
	return c
}

func newPassportDeactivateCommand(a *app) *cobra.Command {
	return a.endCommand(&cobra.Command{
		Use:   "deactivate --key FILE DID",
		Short: "end a passport; for 72 hours a stronger key can bring it back",
		Long: `Ends a passport: it leads nowhere any more and is answered as deactivated. A stronger
rotation key can undo it for 72 hours; after them it is final and can be erased.`,
		Example: `  dcann passport deactivate --key alice.pem did:dcann:xz:b…`,
	}, registry.Deactivate)
}

func newPassportEraseCommand(a *app) *cobra.Command {
	return a.endCommand(&cobra.Command{
		Use:   "erase --key FILE DID",
		Short: "remove what a registry holds of a deactivated passport, for ever",
		Long: `Removes the operations and strands of a passport that was deactivated more than 72 hours
ago. That there was one, and its last operation's name, stay. Nothing brings it back.`,
		Example: `  dcann passport erase --key alice.pem did:dcann:xz:b…`,
	}, registry.Erase)
}

// endCommand is a command whose operation carries no record.
func (a *app) endCommand(c *cobra.Command, act registry.Act) *cobra.Command {
	var keyFile string
	c.Flags().StringVar(&keyFile, "key", "", keyHelp)
	c.Args = exactly("DID")
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := a.lookToSign(c.Context(), args[0], keyFile)
		if err != nil {
			return err
		}
		defer s.Close()
		op, err := s.chain.content(act, a.clock()).Sign(s.key)
		if err != nil {
			return fmt.Errorf("sign %s: %w", act, err)
		}
		result, err := a.submit(c.Context(), s.Client, op)
		if err != nil {
			return err
		}
		return a.changed(result)
	}
	required(c, "key")
	return c
}
