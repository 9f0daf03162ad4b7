package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/client"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// benchPeopleFlags are those of the commands that make passports.
type benchPeopleFlags struct {
	seed          string
	country       string
	provider      string
	accreditation string
}

func (f *benchPeopleFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.seed, "seed", "1", "what the passports' keys follow from")
	c.Flags().StringVar(&f.country, "country", "", "the registry's country; empty: ask it")
	c.Flags().StringVar(&f.provider, "provider", "", "DID of the provider that holds the strands; empty: find or make one")
	c.Flags().StringVar(&f.accreditation, "accreditation-key", "", "key file of the registry, to accredit a provider that is made")
}

// people asks the registry for what no flag says.
func (f *benchPeopleFlags) people(ctx context.Context, a *app, t benchTarget) (*benchPeople, error) {
	p := &benchPeople{seed: f.seed, country: registry.Country(f.country), provider: registry.ID(f.provider)}
	if f.provider != "" {
		if _, err := registry.ParseID(f.provider); err != nil {
			return nil, usagef("--provider: %v", err)
		}
	}
	if f.provider != "" && f.country != "" {
		return p, nil // a reference that is no registry cannot be asked
	}
	c, err := client.New(a.registry, client.Options{})
	if err != nil {
		return nil, err
	}
	if f.country == "" {
		about, err := c.Registry(ctx)
		if err != nil {
			return nil, err
		}
		p.country = about.Country
	}
	if f.provider == "" {
		p.provider, err = f.findProvider(ctx, a, c, p)
	}
	return p, err
}

const benchProviderName = "Bench Vault"

// findProvider gives the provider that holds the strands, made by an earlier run or by this one. All runs
// share it, whatever their seed.
func (f *benchPeopleFlags) findProvider(ctx context.Context, a *app, c *client.Client, p *benchPeople) (registry.ID, error) {
	signer, err := benchProviderSigner('o')
	if err != nil {
		return "", err
	}
	page, err := c.Organisations(ctx, wire.OrganisationQuery{Name: benchProviderName})
	if err != nil {
		return "", err
	}
	for _, o := range page.Organisations {
		op, err := c.History(ctx, o.ID, nil, 1)
		if err != nil {
			return "", err
		}
		if len(op.Operations) == 1 && createdBy(op.Operations[0].Operation, signer.Public().Multikey()) {
			return o.ID, f.accredit(ctx, a, c, o.ID, o.Head, o.Organisation != nil && o.Organisation.Status == registry.OrgActive)
		}
	}
	signing, err := benchProviderSigner('p')
	if err != nil {
		return "", err
	}
	op, err := registry.Content{
		Act: registry.Create, Country: p.country, Iat: a.now().Unix(),
		Record: &registry.Record{
			Kind: registry.Organisation, Rotation: []jws.Multikey{signer.Public().Multikey()},
			Keys: []registry.Key{{ID: benchProviderKey, Key: signing.Public().Multikey(), Use: []registry.Use{registry.UseSign}}},
			Name: benchProviderName, Jurisdiction: p.country, Roles: []registry.Role{registry.RoleProvider},
			Endpoints: []registry.Endpoint{{Protocol: "https://solidproject.org/TR/protocol", URL: "https://vault.example/"}},
		},
	}.Sign(signer)
	if err != nil {
		return "", err
	}
	done, err := c.Submit(ctx, op.Bytes())
	if err != nil {
		return "", fmt.Errorf("make a provider: %w", err)
	}
	return done.ID, f.accredit(ctx, a, c, done.ID, done.Op, false)
}

// accredit makes the provider active, so that the strands placed with it are shown, if the key is there.
func (f *benchPeopleFlags) accredit(ctx context.Context, a *app, c *client.Client, id registry.ID, head registry.OpID, active bool) error {
	if f.accreditation == "" || active {
		return nil
	}
	key, err := readKey(f.accreditation)
	if err != nil {
		return err
	}
	status, err := registry.StatusContent{Sub: id, Head: head, Status: registry.OrgActive, Epoch: 1, Reason: "benchmark", Iat: a.now().Unix()}.Sign(key)
	if err != nil {
		return err
	}
	_, err = c.PostStatus(ctx, status.Compact())
	return err
}

func createdBy(operation string, key jws.Multikey) bool {
	op, err := registry.ParseOperation([]byte(operation))
	return err == nil && op.Record != nil && slices.Contains(op.Record.Rotation, key)
}

// benchProviderKey is the fragment of the key that accepts strands.
const benchProviderKey = "sign-1"

// benchProviderSigner is a key of the provider that all runs share, whatever their seed: 'o' owns it, 'p'
// accepts strands.
func benchProviderSigner(kind byte) (benchSigner, error) {
	shared := benchPeople{seed: "provider"}
	return newBenchSigner(shared.key(kind, 0))
}

// acceptAll makes the provider accept the strands of the first n passports, over a few connections.
func (f *fill) acceptAll(ctx context.Context, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	ids, err := os.ReadFile(f.file.Name())
	if err != nil {
		return 0, err
	}
	signer, err := benchProviderSigner('p')
	if err != nil {
		return 0, err
	}
	c, err := client.New(f.app.registry, client.Options{Retry: time.Minute})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				id := registry.ID(benchIDs(ids).at(int(i)))
				if err := f.accept(ctx, c, signer, id, uint64(i)); err != nil {
					cancel(fmt.Errorf("accept the strand of %s: %w", id, err))
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return n, nil
}

func (f *fill) accept(ctx context.Context, c *client.Client, signer jws.Signer, id registry.ID, n uint64) error {
	yes := true
	statement, err := registry.AcceptanceContent{
		Iss: f.people.provider, Sub: id, Strand: f.people.digestOf(n), Accepted: &yes, Iat: f.app.now().Unix(),
	}.Sign(signer, benchProviderKey)
	if err != nil {
		return err
	}
	_, err = c.PostAcceptance(ctx, statement.Compact())
	return err
}
