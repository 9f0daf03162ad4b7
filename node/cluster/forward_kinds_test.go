package cluster

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/state"
)

// What a client may write at a node that does not lead is written by the one that does, of whichever kind it is.
func TestEveryKindOfWriteIsForwarded(t *testing.T) {
	t.Parallel()
	network := newNet()
	forwarded := network.submitted()
	f := startClusterOn(t, 3, network, inMemory, patient)
	leader := f.settled()
	follower := f.seat(f.followers(leader)[0]).node()

	sign := newKey()
	provider, org := organisation(t, sign)
	strand, err := registry.NewDisclosure(registry.Strand{ID: "flights", Provider: provider.id, Path: "s/flights", Visibility: registry.Public,
		Class: []string{"https://w3id.org/dpv/pd#PurchasesAndSpendingHabit"}})
	if err != nil {
		t.Fatal(err)
	}
	holder := &passport{key: newKey()}
	record := holder.record("first")
	record.Strands = []registry.Digest{strand.Digest}
	op := holder.sign(registry.Content{Act: registry.Create, Country: "zz", Record: record}, strand)
	holder.id, holder.head = op.ID, op.Name
	status, acceptance := activeNow(t, provider), acceptedBy(t, provider, sign, holder, strand)

	for _, tt := range []struct {
		what   string
		kind   state.CommandType
		bytes  []byte
		submit func(context.Context, *node) (state.Result, error)
	}{
		{"an organisation", state.OperationCommand, org.Bytes(), func(ctx context.Context, n *node) (state.Result, error) { return n.SubmitOperation(ctx, org) }},
		{"its status", state.StatusCommand, []byte(status.Message().Compact()), func(ctx context.Context, n *node) (state.Result, error) { return n.SubmitStatus(ctx, status) }},
		{"a strand", state.OperationCommand, op.Bytes(), func(ctx context.Context, n *node) (state.Result, error) { return n.SubmitOperation(ctx, op) }},
		{"its acceptance", state.AcceptanceCommand, []byte(acceptance.Message().Compact()), func(ctx context.Context, n *node) (state.Result, error) { return n.SubmitAcceptance(ctx, acceptance) }},
	} {
		forwarded()
		first, err := tt.submit(inTime(t), follower)
		if err != nil || first.Known {
			t.Fatalf("%s: %+v, %v: expected that it is written", tt.what, first, err)
		}
		got := forwarded()
		if len(got) != 1 || got[0].Kind != tt.kind || !bytes.Equal(got[0].Bytes, tt.bytes) {
			t.Errorf("%s: sent on as %+v: expected %s, once and as it came", tt.what, got, tt.bytes)
		}
		again, err := tt.submit(inTime(t), leader)
		if first.Known = true; err != nil || again != first {
			t.Errorf("%s: the leader says %+v, %v: expected that it has it, %+v", tt.what, again, err, first)
		}
	}
	for _, n := range []*node{leader, follower} {
		eventually(t, n.cfg.Name+" shows a strand that is accepted", func() bool {
			v, err := n.st.Record(holder.id)
			return err == nil && len(v.Strands) == 1 && v.Strands[0].Acceptance != nil && v.Strands[0].Acceptance.Accepted
		})
	}
}

// organisation makes a provider; who signs for it has sign.
func organisation(t *testing.T, sign jws.PrivateKey) (*passport, *registry.Operation) {
	t.Helper()
	p := &passport{key: newKey()}
	op := p.sign(registry.Content{Act: registry.Create, Country: "zz", Record: &registry.Record{
		Kind: registry.Organisation, Rotation: []jws.Multikey{p.key.Public().Multikey()},
		Keys: []registry.Key{{ID: "sign-1", Key: sign.Public().Multikey(), Use: []registry.Use{registry.UseSign}}},
		Name: "A vault", Jurisdiction: "fi", Roles: []registry.Role{registry.RoleProvider}, Domain: "vault.example",
		Endpoints: []registry.Endpoint{{Protocol: "https://solidproject.org/TR/protocol", URL: "https://vault.example/"}},
	}})
	p.id, p.head = op.ID, op.Name
	return p, op
}

// activeNow is the registry's word that org may act.
func activeNow(t *testing.T, org *passport) *registry.StatusStatement {
	t.Helper()
	msg, err := registry.StatusContent{Sub: org.id, Head: org.head, Status: registry.OrgActive, Epoch: 1, Iat: time.Now().Unix()}.Sign(accreditation())
	if err != nil {
		t.Fatal(err)
	}
	s, err := registry.ParseStatus([]byte(msg.Compact()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// acceptedBy is a provider's word that it keeps a strand of holder.
func acceptedBy(t *testing.T, provider *passport, sign jws.PrivateKey, holder *passport, strand registry.Disclosure) *registry.Acceptance {
	t.Helper()
	msg, err := registry.AcceptanceContent{Iss: provider.id, Sub: holder.id, Strand: strand.Digest, Accepted: new(true), Iat: time.Now().Unix()}.Sign(sign, "sign-1")
	if err != nil {
		t.Fatal(err)
	}
	a, err := registry.ParseAcceptance([]byte(msg.Compact()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
