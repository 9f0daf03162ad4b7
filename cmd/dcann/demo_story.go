package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// The scenes of the story, in their order. Each signs what it needs, sends it by HTTP, and looks at the
// registry by HTTP to see that what it claims is so.
func (s *story) play(ctx context.Context) error {
	for _, scene := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"a vault provider registers itself", s.providerRegisters},
		{"the registry's operator accredits it", s.providerIsAccredited},
		{"a person makes keys and a passport", s.personMakesPassport},
		{"the provider confirms that the data is with it", s.providerAccepts},
		{"a company resolves the passport", s.companyResolves},
		{"the node that leads is killed while the provider moves", s.providerMoves},
		{"the provider has moved, and nobody had to be told", s.companyResolvesAgain},
		{"a key is stolen", s.thiefChangesPassport},
		{"the person takes the passport back", s.personRecovers},
		{"the person ends the passport", s.personDeactivates},
		{"the killed node comes back", s.nodeComesBack},
		{"everything is on record", s.everythingIsOnRecord},
	} {
		s.begin(scene.title)
		if err := scene.play(ctx); err != nil {
			return err
		}
	}
	return nil
}

const (
	vaultURL    = "https://vault.example/"
	newVaultURL = "https://data.vault.example/"
	strandPath  = "s/8f3c"
)

func (s *story) providerRegisters(ctx context.Context) error {
	owner, err := s.key("vault")
	if err != nil {
		return err
	}
	sign, err := s.key("vault-sign")
	if err != nil {
		return err
	}
	s.tell("Vault One keeps data for people. It says who it is and where it answers, signed by its\nown keys. Nobody has looked at it yet, so it is pending.")
	s.vault = &registry.Record{
		Kind: registry.Organisation, Rotation: []jws.Multikey{owner.Public().Multikey()},
		Keys: []registry.Key{{ID: "sign-1", Key: sign.Public().Multikey(), Use: []registry.Use{registry.UseSign}}},
		Name: "Vault One", Jurisdiction: s.country, Roles: []registry.Role{registry.RoleProvider},
		Endpoints: []registry.Endpoint{{Protocol: defaultProtocol, URL: vaultURL}},
	}
	op, err := s.operation(ctx, "provider-create", owner, registry.Content{Act: registry.Create, Country: s.country, Record: s.vault}, http.StatusCreated)
	if err != nil {
		return err
	}
	s.provider = op.ID
	r, err := s.record(ctx, s.provider, "status", "organisation", "record.name")
	if err != nil {
		return err
	}
	return s.expect(r.Organisation != nil && r.Organisation.Status == registry.OrgPending, "the organisation to be pending")
}

func (s *story) providerIsAccredited(ctx context.Context) error {
	s.tell("The operator of the registry checks the name, and signs that it is so, with the\naccreditation key of the country.")
	statement, err := registry.StatusContent{
		Sub: s.provider, Head: s.provider.Create(), Status: registry.OrgActive, Epoch: 1, Iat: s.now().Unix(),
	}.Sign(s.accreditation)
	if err != nil {
		return err
	}
	if err := s.post(ctx, "provider-status", wire.PathStatuses, wire.TypeStatement, statement.Compact(), http.StatusCreated); err != nil {
		return err
	}
	r, err := s.record(ctx, s.provider, "organisation")
	if err != nil {
		return err
	}
	return s.expect(r.Organisation != nil && r.Organisation.Status == registry.OrgActive, "the organisation to be active")
}

func (s *story) personMakesPassport(ctx context.Context) error {
	safe, err := s.key("alice-safe")
	if err != nil {
		return err
	}
	daily, err := s.key("alice-daily")
	if err != nil {
		return err
	}
	phone, err := s.key("alice-phone")
	if err != nil {
		return err
	}
	s.tell("Alice makes a key for the safe and one for every day; the first is the stronger. Her\npassport says that her purchases are with Vault One. Its identifier is the hash of what\nshe signed: nobody gave it to her. The vault has not spoken yet, so it leads nowhere.")
	d, err := registry.NewDisclosure(registry.Strand{
		ID: "purchases", Provider: s.provider, Path: strandPath, Visibility: registry.Public,
		Class: []string{classBase + "PurchasesAndSpendingHabit"}, Tags: []string{"frequent-flyer"},
	})
	if err != nil {
		return err
	}
	s.strand = d
	s.alice = &registry.Record{
		Kind: registry.Passport, Rotation: []jws.Multikey{safe.Public().Multikey(), daily.Public().Multikey()},
		Keys:    []registry.Key{{ID: "grant-1", Key: phone.Public().Multikey(), Use: []registry.Use{registry.UseGrant}}},
		Strands: registry.PadStrands([]registry.Digest{d.Digest}),
	}
	op, err := s.operation(ctx, "passport-create", safe, registry.Content{Act: registry.Create, Country: s.country, Record: s.alice}, http.StatusCreated, d)
	if err != nil {
		return err
	}
	s.passport = op.ID
	r, err := s.record(ctx, s.passport, "strands")
	if err != nil {
		return err
	}
	return s.expect(len(r.Strands) == 1 && r.Strands[0].Withheld == registry.NotAccepted, "one strand, not accepted yet")
}

func (s *story) providerAccepts(ctx context.Context) error {
	s.tell("Vault One signs that this strand is with it. Now both have spoken, and the passport\nleads to the vault.")
	accepted := true
	statement, err := registry.AcceptanceContent{
		Iss: s.provider, Sub: s.passport, Strand: s.strand.Digest, Accepted: &accepted, Iat: s.now().Unix(),
	}.Sign(s.keys["vault-sign"], "sign-1")
	if err != nil {
		return err
	}
	if err := s.post(ctx, "strand-acceptance", wire.PathAcceptances, wire.TypeStatement, statement.Compact(), http.StatusCreated); err != nil {
		return err
	}
	return s.leadsTo(ctx, vaultURL+strandPath+"/")
}

func (s *story) companyResolves(ctx context.Context) error {
	s.tell("A company that was shown the identifier asks any registry, by the W3C's DID Resolution,\nand finds the keys that sign Alice's permissions and the vault to ask.")
	return s.documentLeadsTo(ctx, vaultURL+strandPath+"/")
}

func (s *story) companyResolvesAgain(ctx context.Context) error {
	s.tell("Vault One changed its own record, once. Every strand of every person that is with it\nmoved along, and the company's question has a new answer.")
	return s.documentLeadsTo(ctx, newVaultURL+strandPath+"/")
}

func (s *story) thiefChangesPassport(ctx context.Context) error {
	thief, err := s.key("thief")
	if err != nil {
		return err
	}
	s.tell("A thief gets hold of the key for every day, and makes the passport his own: his key\ninstead of hers, and her data gone. He may, for now: but the answer says until when a\nstronger key can undo it.")
	stolen := &registry.Record{
		Kind: registry.Passport, Rotation: []jws.Multikey{thief.Public().Multikey()}, Keys: []registry.Key{}, Strands: registry.PadStrands(nil),
	}
	op, err := s.operation(ctx, "theft", s.keys["alice-daily"], registry.Content{
		Act: registry.Update, ID: s.passport, Prev: s.passport.Create(), Seq: 1, Record: stolen,
	}, http.StatusCreated)
	if err != nil {
		return err
	}
	s.theft = op.Name
	r, err := s.record(ctx, s.passport, "head", "finalAt", "record.rotation", "strands")
	if err != nil {
		return err
	}
	return s.expect(r.Head == s.theft && len(r.Strands) == 0 && r.FinalAt != 0, "the thief's record, with the time until which it can be undone")
}

func (s *story) personRecovers(ctx context.Context) error {
	s.tell("Alice takes the key from the safe, and undoes what the stolen one did; a new key takes\nits place. Nothing was rewritten: the theft stays in the history, marked as undone.")
	fresh, err := s.key("alice-new-daily")
	if err != nil {
		return err
	}
	back := cloneRecord(s.alice)
	back.Rotation = []jws.Multikey{s.keys["alice-safe"].Public().Multikey(), fresh.Public().Multikey()}
	op, err := s.operation(ctx, "recovery", s.keys["alice-safe"], registry.Content{
		Act: registry.Recover, ID: s.passport, Prev: s.theft, Seq: 2, Undo: s.theft, Record: back,
	}, http.StatusCreated)
	if err != nil {
		return err
	}
	s.recovery = op.Name
	if err := s.leadsTo(ctx, newVaultURL+strandPath+"/"); err != nil {
		return err
	}
	s.tell("The thief tries again, with his key. It is worth nothing now.")
	_, err = s.operation(ctx, "thief-again", s.keys["thief"], registry.Content{
		Act: registry.Update, ID: s.passport, Prev: s.recovery, Seq: 3, Record: back,
	}, http.StatusForbidden)
	return err
}

func (s *story) personDeactivates(ctx context.Context) error {
	s.tell("Alice is free to go. She ends the passport; whoever asks is told so, and after 72 hours\nshe may have all traces of it erased.")
	if _, err := s.operation(ctx, "deactivation", s.keys["alice-safe"], registry.Content{
		Act: registry.Deactivate, ID: s.passport, Prev: s.recovery, Seq: 3,
	}, http.StatusCreated); err != nil {
		return err
	}
	var result wire.Resolution
	if err := s.get(ctx, wire.PathIdentifiers+string(s.passport), wire.TypeResolution, http.StatusGone, &result, "didDocument", "didDocumentMetadata.deactivated"); err != nil {
		return err
	}
	return s.expect(result.DocumentMetadata.Deactivated, "deactivated in the metadata")
}

func (s *story) everythingIsOnRecord(ctx context.Context) error {
	s.tell("Every operation is kept, signed by who made it, and anyone can verify the history. It is\nthe node that was dead for a while which answers here.")
	var h wire.History
	if err := s.get(ctx, wire.HistoryPath(s.passport, nil, 0), wire.TypeJSON, http.StatusOK, &h, "operations.op", "operations.seq", "operations.time", "operations.undone"); err != nil {
		return err
	}
	undone := slices.ContainsFunc(h.Operations, func(e wire.HistoryEntry) bool { return e.Op == s.theft && e.Undone })
	return s.expect(len(h.Operations) == 4 && undone, "four operations, the theft undone")
}

// leadsTo expects the passport's strand to lead to an endpoint.
func (s *story) leadsTo(ctx context.Context, endpoint string) error {
	r, err := s.record(ctx, s.passport, "strands")
	if err != nil {
		return err
	}
	return s.expect(len(r.Strands) == 1 && slices.Equal(r.Strands[0].Endpoint, []string{endpoint}), "a strand that leads to "+endpoint)
}

// documentLeadsTo expects the same of the DID document.
func (s *story) documentLeadsTo(ctx context.Context, endpoint string) error {
	var result wire.Resolution
	if err := s.get(ctx, wire.PathIdentifiers+string(s.passport), wire.TypeResolution, http.StatusOK, &result, "didDocument.assertionMethod", "didDocument.service"); err != nil {
		return err
	}
	var document wire.Document
	if err := wire.Decode(result.Document, &document); err != nil {
		return err
	}
	led := len(document.Service) == 1 && slices.Equal(document.Service[0].Endpoint, []string{endpoint})
	return s.expect(led, fmt.Sprintf("a service that leads to %s", endpoint))
}
