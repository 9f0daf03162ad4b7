package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
)

func newStrandCommand(a *app) *cobra.Command {
	return group("strand", "say where your data lives, and confirm it as a vault",
		`A strand is one stream of a person's data in one vault: "my purchases are with this
provider, under this path". The holder adds and removes it; the provider accepts or
withdraws. Anyone is led to the vault once both have spoken.`,
		newStrandAddCommand(a), newStrandRemoveCommand(a), newStrandAcceptCommand(a), newStrandWithdrawCommand(a))
}

// classBase begins the vocabulary of personal data; flags may leave it out.
const classBase = "https://w3id.org/dpv/pd#"

// strandFlags are the flags that describe a strand.
type strandFlags struct {
	id, provider, path, visibility string
	class, tags                    []string
}

func (s *strandFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.id, "id", "", "name of the strand in the passport, such as purchases")
	f.StringVar(&s.provider, "provider", "", "identifier of the vault provider")
	f.StringVar(&s.path, "path", "", "where in the vault, such as s/8f3c")
	f.StringVar(&s.visibility, "visibility", string(registry.Granted), "public (needs --class), or granted: shown only to whom you permit")
	f.StringSliceVar(&s.class, "class", nil, "kinds of data, terms of "+classBase+" (which may be left out)")
	f.StringSliceVar(&s.tags, "tag", nil, "words of your own, such as frequent-flyer")
}

func (s *strandFlags) given() bool { return s.id != "" || s.provider != "" || s.path != "" }

func (s *strandFlags) disclosure() (registry.Disclosure, error) {
	if s.id == "" || s.provider == "" || s.path == "" {
		return registry.Disclosure{}, usagef("a strand needs --id, --provider and --path")
	}
	strand := registry.Strand{
		ID: s.id, Provider: registry.ID(s.provider), Path: s.path,
		Visibility: registry.Visibility(s.visibility), Class: expand(classBase, s.class), Tags: s.tags,
	}
	d, err := registry.NewDisclosure(strand)
	if err != nil {
		return d, usageError{err}
	}
	return d, nil
}

// expand puts base before the terms that have no scheme.
func expand(base string, terms []string) []string {
	full := make([]string, len(terms))
	for i, term := range terms {
		full[i] = term
		if !strings.Contains(term, ":") {
			full[i] = base + term
		}
	}
	return full
}

// strandResult is what strand add and remove answer: the disclosure is the holder's to keep.
type strandResult struct {
	client.Result
	Digest     registry.Digest `json:"digest"`
	Disclosure string          `json:"disclosure,omitzero"`
}

func newStrandAddCommand(a *app) *cobra.Command {
	var keyFile string
	var strand strandFlags
	c := &cobra.Command{
		Use:   "add --key FILE --id NAME --provider DID --path PATH DID",
		Short: "add a strand to a passport; prints its digest",
		Long: `Adds a strand and prints its digest, by which the provider accepts it. In the record it
stands among decoys, so that nobody sees how many strands there are; a granted one is
told to nobody but the registry and whom you permit. A public one needs --class, and none
of the special categories of data.`,
		Example: `  dcann strand add --key alice.pem --id purchases --provider did:dcann:xz:b… \
      --path s/8f3c --visibility public --class PurchasesAndSpendingHabit did:dcann:xz:b…`,
		Args: exactly("DID"),
	}
	c.Flags().StringVar(&keyFile, "key", "", keyHelp)
	strand.add(c.Flags())
	choices(c, "visibility", string(registry.Public), string(registry.Granted))
	c.RunE = func(c *cobra.Command, args []string) error {
		disclosure, err := strand.disclosure()
		if err != nil {
			return err
		}
		result, err := a.change(c.Context(), args[0], keyFile, registry.Passport, func(_ *chain, r *registry.Record, key jws.PrivateKey) ([]registry.Disclosure, error) {
			d, err := decoysOf(key)
			if err != nil {
				return nil, err
			}
			r.Strands, err = d.place(r.Strands, disclosure.Digest)
			return []registry.Disclosure{disclosure}, err
		})
		if err != nil {
			return err
		}
		a.say("added; now the provider accepts it: dcann strand accept --key FILE --provider %s --strand=%s %s", strand.provider, disclosure.Digest, args[0])
		v := strandResult{result, disclosure.Digest, disclosure.Text}
		return a.show(v, func(w io.Writer) { _ = printLine(w, "%s", v.Digest) })
	}
	required(c, "key")
	return c
}

func newStrandRemoveCommand(a *app) *cobra.Command {
	var keyFile, id, digest string
	c := &cobra.Command{
		Use:   "remove --key FILE (--id NAME | --strand DIGEST) DID",
		Short: "remove a strand from a passport",
		Long: `Removes a strand; a decoy takes its place. A public one is named by its id, a granted
one, which the registry does not show, by its digest.`,
		Example: `  dcann strand remove --key alice.pem --id purchases did:dcann:xz:b…`,
		Args:    exactly("DID"),
	}
	c.Flags().StringVar(&keyFile, "key", "", keyHelp)
	c.Flags().StringVar(&id, "id", "", "name of a public strand")
	c.Flags().StringVar(&digest, "strand", "", "digest of the strand")
	c.RunE = func(c *cobra.Command, args []string) error {
		found, err := a.findStrand(c.Context(), args[0], id, digest)
		if err != nil {
			return err
		}
		result, err := a.change(c.Context(), args[0], keyFile, registry.Passport, func(_ *chain, r *registry.Record, key jws.PrivateKey) ([]registry.Disclosure, error) {
			d, err := decoysOf(key)
			if err != nil {
				return nil, err
			}
			r.Strands, err = d.remove(r.Strands, found.Digest)
			return nil, err
		})
		if err != nil {
			return err
		}
		a.say("removed: the registry forgets it once the change can no longer be undone")
		v := strandResult{result, found.Digest, ""}
		return a.show(v, func(w io.Writer) { _ = printLine(w, "%s", v.Op) })
	}
	required(c, "key")
	return c
}
